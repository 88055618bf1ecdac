/* The table. Each default stands once, in the enum below: the
 * values that other boxes read must be right before any code of ours has run, so they are constant
 * data too.
 */

#include "config/hak_config.h"
#include "core/options/options_internal.h"
#include "core/options/options_learn_internal.h"

enum {
    HAK_DEFAULT_PURGE_DELAY_MS = 500,
    HAK_DEFAULT_HUGE_CACHE_MB = 256,
    HAK_DEFAULT_SUPERSLAB_MAX_CACHED = 256,
    HAK_DEFAULT_SUPERSLAB_MAX_MEMORY_MB = 512,
    HAK_DEFAULT_SUPERSLAB_TTL_SEC = 60,
    HAK_MAX_PURGE_DELAY_MS = 24 * 60 * 60 * 1000,
    HAK_MAX_HUGE_CACHE_MB = 1 << 20,
    HAK_DEFAULT_DRAIN_INTERVAL = 1024, /* the tiny notes' figure */
    HAK_MAX_DRAIN_INTERVAL = 1 << 30,
    HAK_MAX_SUPERSLAB_MAX_CACHED = 1 << 20,
    HAK_MAX_SUPERSLAB_MAX_MEMORY_MB = 1 << 20,
    HAK_MAX_SUPERSLAB_TTL_SEC = 24 * 60 * 60,
    HAK_DEFAULT_MID_CHUNK_MB = 4,
    HAK_DEFAULT_POOL_REFILL = 64, /* the notes' figure */
    HAK_MAX_POOL_REFILL = 256,
    /* the pool's figures are those of the notes on phases 6.20 to 6.27 */
    HAK_DEFAULT_POOL_REFILL_BATCH = 2,
    HAK_MAX_POOL_REFILL_BATCH = 4,
    HAK_DEFAULT_POOL_RING_CAP = 32,
    HAK_DEFAULT_POOL_TLS_PAGES = 2,
    HAK_MAX_POOL_TLS_PAGES = 4,
    HAK_DEFAULT_MF2_DRAIN_EVERY = 4, /* the MF2 notes' last figure, as the three below */
    HAK_DEFAULT_MF2_SWEEPER_MS = 1,
    HAK_DEFAULT_MF2_LEASE_MS = 10,
    HAK_MAX_MF2_MS = 10000,
    HAK_MAX_DYN_BYTES = 32640,
};

/* The spare classes of an mf2 variant are for mid_dyn1 and mid_dyn2. */
enum { HAK_DEFAULT_EXACT_AUTO = hak_cfg_mid_ids ? HAK_EXACT_AUTO_OFF : HAK_EXACT_AUTO_LEARN };
#define HAK_EXACT_SETTABLE (hak_cfg_mid_ids ? HAK_SETTABLE_BY_VARIANT : HAK_SETTABLE_ANY_TIME)

hak_a64_t hak_option_values[HAK_OPTION_COUNT] = {
    [HAK_OPTION_PURGE_DELAY_MS] = {HAK_DEFAULT_PURGE_DELAY_MS},
    [HAK_OPTION_HUGE_CACHE_MB] = {HAK_DEFAULT_HUGE_CACHE_MB},
    [HAK_OPTION_THP] = {HAK_THP_DENSE},
    [HAK_OPTION_CACHE_POLICY] = {hak_cfg_cache_drain},
    [HAK_OPTION_TINY_TLS_SLL] = {1},
    [HAK_OPTION_TINY_SLL_DRAIN_ENABLE] = {1},
    [HAK_OPTION_TINY_SLL_DRAIN_INTERVAL] = {HAK_DEFAULT_DRAIN_INTERVAL},
    [HAK_OPTION_SUPERSLAB_MAX_CACHED] = {HAK_DEFAULT_SUPERSLAB_MAX_CACHED},
    [HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB] = {HAK_DEFAULT_SUPERSLAB_MAX_MEMORY_MB},
    [HAK_OPTION_SUPERSLAB_TTL_SEC] = {HAK_DEFAULT_SUPERSLAB_TTL_SEC},
    [HAK_OPTION_SS_POLICY] = {hak_cfg_slot_policy},
    [HAK_OPTION_TINY_CROSS_CLASS_EMPTY] = {1},
    [HAK_OPTION_MID_CHUNK_MB] = {HAK_DEFAULT_MID_CHUNK_MB},
    [HAK_OPTION_POOL_REMOTE] = {hak_cfg_pool_remote_mutex},
    [HAK_OPTION_POOL_REFILL] = {HAK_DEFAULT_POOL_REFILL},
    [HAK_OPTION_POOL_FREELIST] = {hak_cfg_pool_lockfree},
    [HAK_OPTION_POOL_SHARDS] = {hak_cfg_pool_shards},
    [HAK_OPTION_POOL_REFILL_BATCH] = {HAK_DEFAULT_POOL_REFILL_BATCH},
    [HAK_OPTION_POOL_RING_CAP] = {HAK_DEFAULT_POOL_RING_CAP},
    [HAK_OPTION_POOL_TLS_PAGES] = {HAK_DEFAULT_POOL_TLS_PAGES},
    [HAK_OPTION_MF2_ENABLE] = {1},
    [HAK_OPTION_MF2_DRAIN] = {hak_cfg_mf2_drain},
    [HAK_OPTION_MF2_DRAIN_EVERY] = {HAK_DEFAULT_MF2_DRAIN_EVERY},
    [HAK_OPTION_MF2_SWEEPER] = {hak_cfg_mf2_sweeper},
    [HAK_OPTION_MF2_SWEEPER_MS] = {HAK_DEFAULT_MF2_SWEEPER_MS},
    [HAK_OPTION_MF2_HANDOFF] = {1},
    [HAK_OPTION_MF2_LEASE_MS] = {HAK_DEFAULT_MF2_LEASE_MS},
    [HAK_OPTION_EXACT_AUTO] = {HAK_DEFAULT_EXACT_AUTO},
    HAK_LEARN_VALUES,
};

static const hak_option_word_t hak_on_error_words[] = {{"abort", HAK_ON_ERROR_ABORT},
                                                       {"report", HAK_ON_ERROR_REPORT},
                                                       {"ignore", HAK_ON_ERROR_IGNORE},
                                                       {NULL, 0}};
static const hak_option_word_t hak_check_words[] = {
    {"default", HAK_CHECK_DEFAULT}, {"interior", HAK_CHECK_INTERIOR}, {NULL, 0}};
static const hak_option_word_t hak_registry_words[] = {{"auto", HAK_REGISTRY_AUTO},
                                                       {"flat", HAK_REGISTRY_FLAT},
                                                       {"two_level", HAK_REGISTRY_TWO_LEVEL},
                                                       {NULL, 0}};
static const hak_option_word_t hak_cache_words[] = {{"bounded", 0}, {"drain", 1}, {NULL, 0}};
static const hak_option_word_t hak_thp_words[] = {
    {"0", HAK_THP_OFF}, {"1", HAK_THP_SYSTEM}, {"dense", HAK_THP_DENSE}, {NULL, 0}};
static const hak_option_word_t hak_chunk_words[] = {{"2", 2}, {"4", 4}, {NULL, 0}};
static const hak_option_word_t hak_mid_registry_words[] = {
    {"page", HAK_MID_REGISTRY_PAGE}, {"sorted", HAK_MID_REGISTRY_SORTED}, {NULL, 0}};
static const hak_option_word_t hak_pool_remote_words[] = {{"lockfree", 0}, {"mutex", 1}, {NULL, 0}};
static const hak_option_word_t hak_pool_freelist_words[] = {
    {"mutex", 0}, {"lockfree", 1}, {NULL, 0}};
static const hak_option_word_t hak_pool_shards_words[] = {{"64", 64}, {"8", 8}, {NULL, 0}};
static const hak_option_word_t hak_pool_cas_words[] = {
    {"spin", 0}, {"backoff", 1}, {"mutex", 2}, {NULL, 0}};
static const hak_option_word_t hak_mf2_words[] = {
    {"adopt", 0}, {"own", 1}, {"rr", 2}, {"hybrid", 3}, {NULL, 0}};
static const hak_option_word_t hak_exact_auto_words[] = {{"learn", HAK_EXACT_AUTO_LEARN},
                                                         {"0", HAK_EXACT_AUTO_OFF},
                                                         {"1", HAK_EXACT_AUTO_ON},
                                                         {NULL, 0}};
static const hak_option_word_t hak_stats_words[] = {{"0", HAK_STATS_OPTION_OFF},
                                                    {"1", HAK_STATS_OPTION_TEXT},
                                                    {"text", HAK_STATS_OPTION_TEXT},
                                                    {"summary", HAK_STATS_OPTION_SUMMARY},
                                                    {"json", HAK_STATS_OPTION_JSON},
                                                    {"openmetrics", HAK_STATS_OPTION_OPENMETRICS},
                                                    {NULL, 0}};
static const hak_option_word_t hak_policy_words[] = {{"any", HAK_SLOT_POLICY_ANY},
                                                     {"sp_slot", HAK_SLOT_POLICY_SP_SLOT},
                                                     {"shared", HAK_SLOT_POLICY_SHARED},
                                                     {"per_class", HAK_SLOT_POLICY_PER_CLASS},
                                                     {NULL, 0}};
const hak_option_word_t hak_option_switch_words[] = {{"0", 0},     {"1", 1},    {"off", 0},
                                                     {"on", 1},    {"no", 0},   {"yes", 1},
                                                     {"false", 0}, {"true", 1}, {NULL, 0}};

static char hak_learn_log[HAK_OPTION_TEXT_MOST + 1];
const char *hak_options_learn_log(void) { return hak_learn_log; }

const hak_option_row_t hak_option_rows[HAK_OPTION_COUNT] = {
    [HAK_OPTION_ON_ERROR] =
        {.name = "on_error",
         .help =
             "After a misuse such as a double free: abort, report and go on, or go on silently.",
         .kind = HAK_OPTION_IS_WORD,
         .words = hak_on_error_words},
    [HAK_OPTION_CHECK] =
        {.name = "check",
         .help = "interior: every free also checks that the pointer is the start of a block.",
         .kind = HAK_OPTION_IS_WORD,
         .settable = HAK_SETTABLE_AT_START,
         .words = hak_check_words},
    [HAK_OPTION_REGISTRY] =
        {.name = "registry",
         .help = "Map from addresses to blocks: flat is fastest, two_level needs little address "
                 "space; auto chooses by the limits of the process.",
         .kind = HAK_OPTION_IS_WORD,
         .settable = HAK_SETTABLE_AT_START,
         .words = hak_registry_words},
    [HAK_OPTION_PURGE_DELAY_MS] =
        {.name = "purge_delay_ms",
         .help = "How long memory stays empty before the kernel gets it back; 0: at once.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_PURGE_DELAY_MS,
         .high = HAK_MAX_PURGE_DELAY_MS},
    [HAK_OPTION_BACKGROUND] =
        {.name = "background",
         .help = "A thread of hakmem's own purges, also while the program does nothing.",
         .kind = HAK_OPTION_IS_SWITCH,
         .settable = HAK_SETTABLE_AT_START},
    [HAK_OPTION_HUGE_CACHE_MB] =
        {.name = "huge_cache_mb",
         .help = "MiB of freed large blocks kept for reuse until the purge delay has passed; those"
                 " above 32 MiB count apart.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_HUGE_CACHE_MB,
         .high = HAK_MAX_HUGE_CACHE_MB},
    [HAK_OPTION_THP] =
        {.name = "thp",
         .help =
             "Huge pages. 0: none in blocks up to 32 MiB; 1: where the system's setting is always; "
             "dense: asked for where blocks up to 1 KiB will fill them, in a program with more "
             "than "
             "32 MiB of blocks up to 64 KiB, and in large blocks if such are written to their end.",
         .kind = HAK_OPTION_IS_WORD,
         .initial = HAK_THP_DENSE,
         .words = hak_thp_words,
         .switch_words = true},
    [HAK_OPTION_CACHE_POLICY] =
        {.name = "cache_policy",
         .help = "When blocks leave a thread cache: bounded, when it is full; drain, all of them "
                 "every so many frees.",
         .kind = HAK_OPTION_IS_WORD,
         .settable = HAK_SETTABLE_BY_VARIANT,
         .initial = hak_cfg_cache_drain,
         .words = hak_cache_words},
    [HAK_OPTION_TINY_TLS_SLL] = {.name = "tiny_tls_sll",
                                 .help =
                                     "0: thread caches keep nothing, every free goes to its slab.",
                                 .kind = HAK_OPTION_IS_SWITCH,
                                 .settable = HAK_SETTABLE_AT_START,
                                 .initial = 1},
    [HAK_OPTION_TINY_SLL_DRAIN_ENABLE] =
        {.name = "tiny_sll_drain_enable",
         .help = "0: a thread cache grows without bound. For cache_policy drain alone.",
         .kind = HAK_OPTION_IS_SWITCH,
         .settable = HAK_SETTABLE_AT_START,
         .initial = 1},
    [HAK_OPTION_TINY_SLL_DRAIN_INTERVAL] =
        {.name = "tiny_sll_drain_interval",
         .help = "Frees of one size class, up to 1 KiB, between two drains; larger blocks have "
                 "proportionally fewer. For cache_policy drain alone.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_DRAIN_INTERVAL,
         .low = 1,
         .high = HAK_MAX_DRAIN_INTERVAL},
    [HAK_OPTION_TINY_SLL_DRAIN_BATCH] =
        {.name = "tiny_sll_drain_batch",
         .help = "Blocks that one drain gives back; 0: all. For cache_policy drain alone.",
         .kind = HAK_OPTION_IS_NUMBER,
         .high = HAK_MAX_DRAIN_INTERVAL},
    [HAK_OPTION_SUPERSLAB_MAX_CACHED] =
        {.name = "superslab_max_cached",
         .help = "Most wholly free superslabs of 2 MiB that stay mapped; 0: none.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_SUPERSLAB_MAX_CACHED,
         .high = HAK_MAX_SUPERSLAB_MAX_CACHED},
    [HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB] =
        {.name = "superslab_max_memory_mb",
         .help = "MiB of address space that they may hold; the memory in them is purged like any "
                 "other.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_SUPERSLAB_MAX_MEMORY_MB,
         .high = HAK_MAX_SUPERSLAB_MAX_MEMORY_MB},
    [HAK_OPTION_SUPERSLAB_TTL_SEC] = {.name = "superslab_ttl_sec",
                                      .help = "How long they stay mapped when nobody needs them.",
                                      .kind = HAK_OPTION_IS_NUMBER,
                                      .initial = HAK_DEFAULT_SUPERSLAB_TTL_SEC,
                                      .high = HAK_MAX_SUPERSLAB_TTL_SEC},
    [HAK_OPTION_SS_POLICY] = {.name = "ss_policy",
                              .help = "How slabs of blocks up to 1 KiB are placed in superslabs.",
                              .kind = HAK_OPTION_IS_WORD,
                              .settable = HAK_SETTABLE_BY_VARIANT,
                              .initial = hak_cfg_slot_policy,
                              .words = hak_policy_words},
    [HAK_OPTION_TINY_CROSS_CLASS_EMPTY] =
        {.name = "tiny_cross_class_empty",
         .help = "ss_policy sp_slot: an emptied slot may serve another class before a superslab is "
                 "added.",
         .kind = HAK_OPTION_IS_SWITCH,
         .initial = 1},
    [HAK_OPTION_MID_CHUNK_MB] = {.name = "mid_chunk_mb",
                                 .help = "Size of a chunk in MiB. For mid_mt alone.",
                                 .kind = HAK_OPTION_IS_WORD,
                                 .initial = HAK_DEFAULT_MID_CHUNK_MB,
                                 .words = hak_chunk_words},
    [HAK_OPTION_MID_CHUNK_ADAPTIVE] =
        {.name = "mid_chunk_adaptive",
         .help = "1: a thread's first chunk of a size class has 512 KiB, each further one twice as "
                 "much up to mid_chunk_mb. For mid_mt alone.",
         .kind = HAK_OPTION_IS_SWITCH},
    [HAK_OPTION_MID_REGISTRY] =
        {.name = "mid_registry",
         .help = "How a free finds its chunk: page, by the map of all pages; sorted, by a search "
                 "under a lock. For mid_mt alone.",
         .kind = HAK_OPTION_IS_WORD,
         .words = hak_mid_registry_words},
    [HAK_OPTION_POOL_REMOTE] =
        {.name = "pool_remote",
         .help = "Queue of blocks that come back to a thread pool from other threads. For mid "
                 "pool_tls alone.",
         .kind = HAK_OPTION_IS_WORD,
         .settable = HAK_SETTABLE_BY_VARIANT,
         .initial = hak_cfg_pool_remote_mutex,
         .words = hak_pool_remote_words},
    [HAK_OPTION_POOL_REFILL] =
        {.name = "pool_refill",
         .help = "Blocks of 2 KiB that one refill of a thread pool takes; fewer of larger ones, a "
                 "quarter of 32 KiB. For mid pool_tls alone.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_POOL_REFILL,
         .low = 4,
         .high = HAK_MAX_POOL_REFILL},
    [HAK_OPTION_PAGE_ARENA] =
        {.name = "page_arena",
         .help = "1: emptied chunks of thread pools wait on a shelf for reuse until the purge "
                 "delay has passed. For mid pool_tls alone.",
         .kind = HAK_OPTION_IS_SWITCH},
    [HAK_OPTION_POOL_FREELIST] = {.name = "pool_freelist",
                                  .help = "What holds the free blocks of the mid pool's shards.",
                                  .kind = HAK_OPTION_IS_WORD,
                                  .settable = HAK_SETTABLE_BY_VARIANT,
                                  .initial = hak_cfg_pool_lockfree,
                                  .words = hak_pool_freelist_words},
    [HAK_OPTION_POOL_SHARDS] = {.name = "pool_shards",
                                .help = "Shards of each class of the mid pool.",
                                .kind = HAK_OPTION_IS_WORD,
                                .settable = HAK_SETTABLE_BY_VARIANT,
                                .initial = hak_cfg_pool_shards,
                                .words = hak_pool_shards_words},
    [HAK_OPTION_POOL_REFILL_BATCH] =
        {.name = "pool_refill_batch",
         .help = "Pages that a refill of the mid pool fetches; 1: as before batching.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_POOL_REFILL_BATCH,
         .low = 1,
         .high = HAK_MAX_POOL_REFILL_BATCH},
    [HAK_OPTION_POOL_RING_CAP] =
        {.name = "pool_ring_cap",
         .help = "Blocks of one class that the ring of a mid pool's thread holds.",
         .kind = HAK_OPTION_IS_NUMBER,
         .settable = HAK_SETTABLE_AT_START,
         .initial = HAK_DEFAULT_POOL_RING_CAP,
         .low = 1,
         .high = HAK_DEFAULT_POOL_RING_CAP},
    [HAK_OPTION_POOL_TLS_PAGES] = {.name = "pool_tls_pages",
                                   .help =
                                       "Pages of one class that a thread of the mid pool carves.",
                                   .kind = HAK_OPTION_IS_NUMBER,
                                   .settable = HAK_SETTABLE_AT_START,
                                   .initial = HAK_DEFAULT_POOL_TLS_PAGES,
                                   .low = HAK_DEFAULT_POOL_TLS_PAGES,
                                   .high = HAK_MAX_POOL_TLS_PAGES},
    [HAK_OPTION_POOL_CAS_POLICY] =
        {.name = "pool_cas_policy",
         .help = "What a thread does after 100 failed compare-and-swaps in a row on a lock-free "
                 "list of the mid pool.",
         .kind = HAK_OPTION_IS_WORD,
         .words = hak_pool_cas_words},
    [HAK_OPTION_MF2_ENABLE] =
        {.name = "mf2_enable",
         .help = "0: blocks of 2 to 32 KiB come from slabs, as in //:hakmem. For mid mf2 alone.",
         .kind = HAK_OPTION_IS_SWITCH,
         .settable = HAK_SETTABLE_AT_START,
         .initial = 1},
    [HAK_OPTION_MID_DYN1] =
        {.name = "mid_dyn1",
         .help = "Bytes of one more size class above 2 and below 32 KiB, rounded up to a multiple "
                 "of 128; 0: none. For mid mf2 alone.",
         .kind = HAK_OPTION_IS_NUMBER,
         .high = HAK_MAX_DYN_BYTES},
    [HAK_OPTION_MID_DYN2] = {.name = "mid_dyn2",
                             .help = "The same for another one.",
                             .kind = HAK_OPTION_IS_NUMBER,
                             .high = HAK_MAX_DYN_BYTES},
    [HAK_OPTION_MF2_DRAIN] =
        {.name = "mf2_drain",
         .help = "Which thread takes remote frees of MF2 pages in: adopt, whoever needs a page; "
                 "own, the page's own; rr, each in turn; hybrid, both.",
         .kind = HAK_OPTION_IS_WORD,
         .settable = HAK_SETTABLE_BY_VARIANT,
         .initial = hak_cfg_mf2_drain,
         .words = hak_mf2_words},
    [HAK_OPTION_MF2_DRAIN_EVERY] =
        {.name = "mf2_drain_every",
         .help = "Operations that reach MF2 between two drains. For mf2_drain own and rr alone.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_MF2_DRAIN_EVERY,
         .low = 1,
         .high = HAK_MAX_DRAIN_INTERVAL},
    [HAK_OPTION_MF2_SWEEPER] =
        {.name = "mf2_sweeper",
         .help =
             "A thread takes remote frees of MF2 pages in, also while the program does nothing.",
         .kind = HAK_OPTION_IS_SWITCH,
         .settable = HAK_SETTABLE_AT_START,
         .initial = hak_cfg_mf2_sweeper},
    [HAK_OPTION_MF2_SWEEPER_MS] = {.name = "mf2_sweeper_ms",
                                   .help = "Pause of that thread; up to 16 times as long while "
                                           "there is nothing to do.",
                                   .kind = HAK_OPTION_IS_NUMBER,
                                   .initial = HAK_DEFAULT_MF2_SWEEPER_MS,
                                   .low = 1,
                                   .high = HAK_MAX_MF2_MS},
    [HAK_OPTION_MF2_HANDOFF] =
        {.name = "mf2_handoff",
         .help = "1: a thread that drains another's MF2 page keeps it; 0: it stays with its heap. "
                 "For mf2_drain rr and hybrid alone.",
         .kind = HAK_OPTION_IS_SWITCH,
         .initial = 1},
    [HAK_OPTION_MF2_LEASE_MS] =
        {.name = "mf2_lease_ms",
         .help = "How long an MF2 page that changed threads may not change again.",
         .kind = HAK_OPTION_IS_NUMBER,
         .initial = HAK_DEFAULT_MF2_LEASE_MS,
         .high = HAK_MAX_MF2_MS},
    [HAK_OPTION_EXACT_SIZES] =
        {.name = "exact_sizes",
         .help = "Sizes that get a class of their own, as in 528,1000; rounded up to multiples of "
                 "16. Sizes up to 256, multiples of 32 up to 512 and of 64 above have one anyway.",
         .kind = HAK_OPTION_IS_SIZES,
         .settable = HAK_EXACT_SETTABLE},
    [HAK_OPTION_EXACT_AUTO] =
        {.name = "exact_auto",
         .help =
             "1: up to four sizes more get one while the program allocates so many of them that "
             "it saves memory. learn: as HAKMEM_LEARN.",
         .kind = HAK_OPTION_IS_WORD,
         .settable = HAK_EXACT_SETTABLE,
         .initial = HAK_DEFAULT_EXACT_AUTO,
         .words = hak_exact_auto_words,
         .switch_words = true},
    HAK_LEARN_ROWS,
    [HAK_OPTION_STATS] =
        {.name = "stats",
         .help = "Prints statistics on stderr at exit: 1 or text, one summary line, json, or "
                 "openmetrics.",
         .kind = HAK_OPTION_IS_WORD,
         .settable = HAK_SETTABLE_AT_START,
         .words = hak_stats_words,
         .switch_words = true},
    [HAK_OPTION_HELP] =
        {.name = "help",
         .help = "Prints this table on stderr at start; the program then runs as usual.",
         .kind = HAK_OPTION_IS_SWITCH,
         .settable = HAK_SETTABLE_AT_START},
};
