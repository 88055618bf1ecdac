/* options: every setting of hakmem in one table: name, kind, default, bounds, help. Read once from
 * HAKMEM_* in the environment, later through hak_option_get and hak_option_set.
 *
 * Owns       the values. A hot or slow path reads a number; nothing outside this box parses text.
 * Threads    reads and sets: any thread. hak_options_init: by whoever comes first; later calls do
 *            nothing.
 * Errors     a bad value in the environment: the default stays, one warning line on stderr.
 * Layer      2 (core). Uses base, core/text, backends/os.
 */
#ifndef HAK_CORE_OPTIONS_OPTIONS_H_
#define HAK_CORE_OPTIONS_OPTIONS_H_

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In the order of the table in options.c, which docs/ENV_VARS.md is tested against. */
typedef enum {
    HAK_OPTION_ON_ERROR,       /* hak_on_error_t */
    HAK_OPTION_CHECK,          /* hak_check_t; at start only */
    HAK_OPTION_REGISTRY,       /* hak_registry_kind_t; at start only */
    HAK_OPTION_PURGE_DELAY_MS, /* 0: purge at once */
    HAK_OPTION_BACKGROUND,     /* 1: a thread purges for idle processes; at start only */
    HAK_OPTION_HUGE_CACHE_MB,  /* most that freed large blocks may hold */
    /* 1: leave huge pages to the system's setting; 0: none in superslabs */
    HAK_OPTION_THP,
    HAK_OPTION_CACHE_POLICY, /* 0 bounded, 1 drain; fixed by the variant */
    HAK_OPTION_TINY_TLS_SLL, /* 0: the thread cache keeps nothing; at start only */
    /* 1: bins are drained; cache policy `drain` alone, as the next two; at start only */
    HAK_OPTION_TINY_SLL_DRAIN_ENABLE,
    HAK_OPTION_TINY_SLL_DRAIN_INTERVAL, /* frees of a class between two drains */
    HAK_OPTION_TINY_SLL_DRAIN_BATCH,    /* blocks that one drain gives back; 0: all */
    /* boxes/ss_lru: most superslabs, most address space, greatest age */
    HAK_OPTION_SUPERSLAB_MAX_CACHED,
    HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB,
    HAK_OPTION_SUPERSLAB_TTL_SEC,
    HAK_OPTION_SS_POLICY,              /* hak_slot_policy_t; fixed by the variant */
    HAK_OPTION_TINY_CROSS_CLASS_EMPTY, /* 0: sp_slot has no stage 1b */
    HAK_OPTION_MID_CHUNK_MB,           /* size of a chunk of Mid MT: 2 or 4 */
    HAK_OPTION_MID_CHUNK_ADAPTIVE,     /* 1: a heap's first chunk of a class is small */
    HAK_OPTION_MID_REGISTRY,           /* hak_mid_registry_t */
    HAK_OPTION_POOL_REMOTE,            /* 0 lockfree, 1 mutex; fixed by the variant */
    HAK_OPTION_POOL_REFILL,            /* blocks of 2 KiB that one refill of a thread pool takes */
    HAK_OPTION_PAGE_ARENA,             /* 1: freed chunks are kept for reuse */
    HAK_OPTION_POOL_FREELIST,          /* mid pool: 0 mutex, 1 lockfree; fixed by the variant */
    HAK_OPTION_POOL_SHARDS,            /* mid pool: free lists a class; fixed by the variant */
    HAK_OPTION_POOL_REFILL_BATCH,      /* mid pool: pages of one refill */
    HAK_OPTION_POOL_RING_CAP,          /* mid pool: blocks in a ring; at start only */
    HAK_OPTION_POOL_TLS_PAGES,         /* mid pool: pages a heap carves; at start only */
    HAK_OPTION_POOL_CAS_POLICY,        /* hak_pool_cas_policy_t */
    HAK_OPTION_MF2_ENABLE,             /* 0: their sizes go to slabs; at start only */
    HAK_OPTION_MID_DYN1,               /* mf2: bytes of a class between 2 and 32 KiB; 0: none */
    HAK_OPTION_MID_DYN2,               /* and of another */
    HAK_OPTION_MF2_DRAIN,              /* 0 adopt, 1 own, 2 rr, 3 hybrid; fixed by the variant */
    HAK_OPTION_MF2_DRAIN_EVERY,        /* operations between two drains; own and rr */
    HAK_OPTION_MF2_SWEEPER,            /* 1: a thread drains what is pending; at start only */
    HAK_OPTION_MF2_SWEEPER_MS,         /* pause between its ticks */
    HAK_OPTION_MF2_HANDOFF,            /* 1: who drains another's page keeps it; rr and hybrid */
    HAK_OPTION_MF2_LEASE_MS,           /* how long a page stays with the heap that it moved to */
    HAK_OPTION_EXACT_SIZES,            /* up to 8 sizes with a class of their own: see below */
    HAK_OPTION_EXACT_AUTO,             /* hak_exact_auto_t */
    HAK_OPTION_LEARN,                  /* 1: the learner runs; at start only, as the next */
    HAK_OPTION_LEARN_WINDOW_MS,        /* time between two steps */
    HAK_OPTION_LEARN_LOG,              /* HAK_OPTION_IS_TEXT: a descriptor or a path */
    HAK_OPTION_HIST_SAMPLE,            /* one of so many slow steps is looked at */
    HAK_OPTION_TARGET_HIT_MID,         /* in thousandths */
    HAK_OPTION_CAP_STEP_MID,           /* pages */
    HAK_OPTION_CAP_MIN_MID,
    HAK_OPTION_CAP_MAX_MID,
    HAK_OPTION_CAP_DWELL_SEC_MID,
    HAK_OPTION_CAP_MID, /* HAK_OPTION_IS_LIST: 2, 4, 8, 16, 32 KiB */
    HAK_OPTION_CAP_MID_DYN1,
    HAK_OPTION_CAP_MID_DYN2,
    HAK_OPTION_BUDGET_MID, /* pages; 0: none */
    HAK_OPTION_WMAX_MID,   /* in hundredths */
    HAK_OPTION_WMAX_LEARN,
    HAK_OPTION_WMAX_CANDIDATES_MID, /* HAK_OPTION_IS_LIST, in hundredths */
    HAK_OPTION_WMAX_CANARY,
    HAK_OPTION_WMAX_TRIAL_SEC,
    HAK_OPTION_WMAX_DWELL_SEC,
    HAK_OPTION_WMAX_ADOPT_PCT, /* in thousandths */
    HAK_OPTION_DYN1_AUTO,
    HAK_OPTION_DYN2_AUTO,
    HAK_OPTION_STATS, /* hak_stats_option_t: print at exit; at start only */
    HAK_OPTION_HELP,  /* 1: print the table at start; at start only */
    HAK_OPTION_COUNT
} hak_option_id_t;

typedef enum { HAK_ON_ERROR_ABORT, HAK_ON_ERROR_REPORT, HAK_ON_ERROR_IGNORE } hak_on_error_t;
typedef enum { HAK_CHECK_DEFAULT, HAK_CHECK_INTERIOR } hak_check_t;
/* LEARN: as HAK_OPTION_LEARN. */
typedef enum { HAK_EXACT_AUTO_OFF, HAK_EXACT_AUTO_ON, HAK_EXACT_AUTO_LEARN } hak_exact_auto_t;
/* Huge pages: none; where the system gives them unasked; where small blocks will fill them. */
typedef enum { HAK_THP_OFF, HAK_THP_SYSTEM, HAK_THP_DENSE } hak_thp_t;
typedef enum { HAK_REGISTRY_AUTO, HAK_REGISTRY_FLAT, HAK_REGISTRY_TWO_LEVEL } hak_registry_kind_t;
typedef enum { HAK_MID_REGISTRY_PAGE, HAK_MID_REGISTRY_SORTED } hak_mid_registry_t;
typedef enum {
    HAK_SLOT_POLICY_ANY,
    HAK_SLOT_POLICY_SP_SLOT,
    HAK_SLOT_POLICY_SHARED,
    HAK_SLOT_POLICY_PER_CLASS
} hak_slot_policy_t;
typedef enum {
    HAK_STATS_OPTION_OFF,
    HAK_STATS_OPTION_TEXT, /* "1" or "text" */
    HAK_STATS_OPTION_SUMMARY,
    HAK_STATS_OPTION_JSON,
    HAK_STATS_OPTION_OPENMETRICS
} hak_stats_option_t;

/* The value of a list of sizes: eight bytes, each a size in units of 16 bytes, ascending from the
 * lowest; 0 behind the last. */
enum { HAK_SIZES_MAX = 8, HAK_SIZES_GRAIN_BYTES = 16 };

/* Constant-initialised with the defaults, so that reads before hak_options_init are valid. */
extern hak_a64_t hak_option_values[HAK_OPTION_COUNT];

static inline uint64_t hak_option(hak_option_id_t id) {
    /* relaxed: options are independent of each other */
    return hak_load_rlx(&hak_option_values[id]);
}

/* A list of numbers is packed in one value: item `index`, or 0 where it ends. */
enum { HAK_OPTION_CAP_BITS = 12, HAK_OPTION_WMAX_BITS = 8 };
static inline uint32_t hak_option_item(uint64_t list, unsigned bits, unsigned index) {
    return index >= 64 / bits ? 0 : (uint32_t)(list >> (index * bits)) & ((1u << bits) - 1);
}

/* HAKMEM_LEARN_LOG as it was given; "" if it was not. Written at start. */
const char *hak_options_learn_log(void);

/* Parses HAKMEM_* of `environment` (NULL: the process's own, if the C library has set it up). Does
 * nothing if a call before found an environment, or if the program is privileged (AT_SECURE).
 * Allocates nothing. */
void hak_options_init(char *const *environment);

/* As in hakmem.h: hak_option_get, hak_option_set. */
int hak_options_get_text(const char *name, char *value, size_t bytes);
int hak_options_set_text(const char *name, const char *value);

/* For who finds that a value does not go with others: the option gets the value before again, and
 * with `why` a line on stderr, as for a value that the table does not accept. */
void hak_options_refuse(hak_option_id_t id, uint64_t before, const char *why);

/* Prints the table: name, default, current value, help. */
void hak_options_write_help(int fd);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_OPTIONS_OPTIONS_H_ */
