/* The slow side of malloc and free. */
#include "front/gate/gate.h"

#include <errno.h>
#include <string.h>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "boxes/exact_sizes/exact_sizes.h"
#include "boxes/grain_hist/grain_hist.h"
#include "core/dyn_class/dyn_class.h"
#include "core/lock/lock.h"
#include "core/options/options.h"
#include "front/decay/decay.h"
#include "front/gate/gate_inl.h"
#include "front/gate/gate_internal.h"
#include "front/thread/thread.h"

enum { HAK_NOT_STARTED, HAK_STARTING, HAK_STARTED };

static hak_a32_t hak_state;
static hak_lock_t hak_init_lock = HAK_LOCK_INIT(HAK_RANK_FORK);
static hak_a64_t hak_calls[HAK_CALL_COUNT];
/* HAKMEM_CHECK=interior: the own blocks too go through the full classification. Set at start. */
static bool hak_check_all;

void hak_gate_count_call(hak_call_t call) {
    hak_add_rlx(&hak_calls[call], 1); /* relaxed: a statistic */
}

uint64_t hak_gate_calls(hak_call_t call) {
    /* relaxed: a statistic */
    return hak_cfg_stats ? hak_load_rlx(&hak_calls[call]) : HAK_STAT_DISABLED;
}

static void hak_in_child(void) {
    hak_decay_forget();
    hak_decay_start();
}

static bool hak_configure(bool warn) {
    bool accepted = true;
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        if ((*b)->configure != NULL) {
            accepted &= (*b)->configure(warn);
        }
    }
    return accepted;
}

static void hak_start_locked(char *const *environment) {
    hak_options_init(environment);
    (void)hak_configure(true);
    hak_check_all = hak_option(HAK_OPTION_CHECK) == HAK_CHECK_INTERIOR;
    hak_registry_init((hak_registry_form_t)hak_option(HAK_OPTION_REGISTRY), hak_check_all);
    hak_thread_init();
}

/* The dynamic loader and other libraries' constructors may call malloc before our constructor,
 * with or without an environment; so the first caller starts the allocator, and the constructor
 * brings what needs a running C library. */
void hak_gate_init(char *const *environment) {
    if (hak_load_acq(&hak_state) != HAK_STARTED) { /* pairs with the release below */
        hak_lock_take(&hak_init_lock);
        bool first = hak_load_rlx(&hak_state) == HAK_NOT_STARTED; /* relaxed: under the lock */
        if (first) {
            hak_store_rlx(&hak_state, HAK_STARTING);
            hak_start_locked(environment);
            hak_store_rel(&hak_state, HAK_STARTED); /* pairs with the acquire above */
        }
        hak_lock_drop(&hak_init_lock);
        if (first) {
            hak_thread_init_fork(hak_in_child); /* may call malloc */
        }
    }
    if (environment != NULL) {
        hak_options_init(environment); /* if there was no environment at the first call */
        (void)hak_configure(true);
        hak_decay_start();
    }
}

hak_inline void hak_gate_ready(void) {
    /* pairs with the release in hak_gate_init */
    if (hak_unlikely(hak_load_acq(&hak_state) != HAK_STARTED)) {
        hak_gate_init(NULL);
    }
}

bool hak_gate_options_changed(void) {
    hak_gate_ready();
    return hak_configure(false);
}

static void *hak_hand_out(hak_block_t *block, unsigned sc) {
    if (hak_cfg_check_double_free) {
        hak_block_set_mark(block, 0);
    }
    hak_unpoison(block, hak_dyn_class_bytes(sc));
    return block;
}

static void *hak_failed(void) {
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_FAILED);
    }
    errno = ENOMEM;
    return NULL;
}

/* The bin may hold blocks: a program may have allocated while the thread got its heap. */
static void *hak_refill(hak_heap_t *mine, unsigned sc) {
    hak_block_t *block = hak_tls_sll_pop_class(sc);
    if (block == NULL) {
        block = hak_route[sc]->refill(mine, sc);
        hak_decay_tick_seldom(mine);
    }
    return block == NULL ? NULL : hak_hand_out(block, sc);
}

static hak_cold void *hak_refill_borrowed(unsigned sc) {
    hak_heap_t *heap = hak_thread_borrow();
    if (heap == NULL) {
        return NULL;
    }
    hak_block_t *block = hak_route[sc]->refill_one(heap, sc);
    hak_thread_return(heap);
    return block == NULL ? NULL : hak_hand_out(block, sc);
}

void *hak_gate_alloc_class(unsigned sc) {
    hak_gate_ready();
    hak_heap_t *mine = hak_thread_heap();
    void *block = hak_likely(mine != NULL) ? hak_refill(mine, sc) : hak_refill_borrowed(sc);
    if (hak_unlikely(block == NULL)) {
        /* What other threads hold free may be enough. */
        if (hak_decay_trim(mine, 0) != 0) {
            block = mine != NULL ? hak_refill(mine, sc) : hak_refill_borrowed(sc);
        }
        if (block == NULL) {
            return hak_failed();
        }
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_MALLOC);
    }
    return block;
}

void *hak_gate_alloc_large(size_t size, size_t align, bool *zeroed) {
    hak_gate_ready();
    if (hak_unlikely(size > PTRDIFF_MAX)) {
        return hak_failed();
    }
    hak_heap_t *mine = hak_tls.heap;
    void *block = hak_large_alloc_mt(size == 0 ? 1 : size, align, zeroed);
    if (hak_unlikely(block == NULL) && hak_decay_trim(mine, 0) != 0) {
        block = hak_large_alloc_mt(size == 0 ? 1 : size, align, zeroed);
    }
    hak_decay_tick(mine);
    if (hak_unlikely(block == NULL)) {
        return hak_failed();
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_MALLOC);
    }
    return block;
}

/* The same, and counts for what the refill was. */
static hak_noinline void *hak_alloc_watched(size_t size, unsigned sc) {
    hak_heap_t *mine = hak_tls.heap;
    if (mine == NULL) {
        return hak_gate_alloc_class(sc);
    }
    /* relaxed, all: written by this thread, statistics to others */
    const hak_heap_counters_t *c = &mine->counters;
    uint64_t blocks = hak_load_rlx(&c->refill_blocks), slabs = hak_load_rlx(&c->slabs_made);
    void *block = hak_gate_alloc_class(sc);
    hak_grain_hist_count_owner(&mine->grains, size, hak_load_rlx(&c->refill_blocks) - blocks);
    if (hak_load_rlx(&c->slabs_made) != slabs) {
        hak_exact_sizes_opened_owner(mine);
    }
    return block;
}

/* The class to refill for `size`. An exact one that needs a new slab has time while its fixed class
 * has slabs with room, such as those from before the exact one was there: else these would empty
 * slowly while new ones fill, and for so long the two of them hold more memory than one did. */
static unsigned hak_class_to_refill(size_t size) {
    enum { MANY = 8 };
    unsigned sc = hak_dyn_class_of(size);
    const hak_heap_t *mine = hak_tls.heap;
    if (hak_likely(sc <= HAK_SC_FIXED) || hak_cfg_mid_dyn || mine == NULL ||
        hak_heap_partial_slabs(mine, sc) != 0) {
        return sc;
    }
    unsigned fixed = hak_sc_of(size);
    return hak_heap_partial_slabs(mine, fixed) >= MANY ? fixed : sc;
}

/* Classes may change: one that got a smaller size since it was looked up is no use. */
static void *hak_alloc_size(size_t size) {
    for (;;) {
        unsigned sc = hak_class_to_refill(size);
        bool may_be_exact = size > HAK_EXACT_ABOVE_BYTES && size <= HAK_SC_SMALL_MAX_BYTES;
        void *block = hak_unlikely(hak_exact_sizes_watch()) && may_be_exact
                          ? hak_alloc_watched(size, sc)
                          : hak_gate_alloc_class(sc);
        if (block == NULL || hak_likely(hak_dyn_class_bytes(sc) >= size)) {
            return block;
        }
        hak_gate_free(block);
    }
}

hak_noinline void *hak_gate_alloc_slow(size_t size) {
    bool zeroed;
    return hak_likely(size <= HAK_SC_MAX_BYTES) ? hak_alloc_size(size)
                                                : hak_gate_alloc_large(size, 1, &zeroed);
}

hak_noinline void hak_gate_take_back(hak_block_t *block, unsigned sc) {
    hak_heap_t *mine = hak_tls.heap;
    hak_route[sc]->take_back(mine, block, sc);
    hak_decay_tick_seldom(mine);
}

/* A live block of a size class, in any thread's slab. False if it turns out that it was never
 * handed out. */
static bool hak_free_block(hak_block_t *block, uint32_t tag, unsigned sc) {
    if (hak_cfg_check_double_free) {
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
    }
    hak_poison(block, hak_dyn_class_bytes(sc));
    hak_heap_t *mine = hak_thread_heap();
    if (mine != NULL && tag >> HAK_TAG_OWNER_SHIFT == mine->tag >> HAK_TAG_OWNER_SHIFT) {
        if (!hak_tls_sll_push_class(sc, block)) {
            hak_gate_take_back(block, sc);
        }
        return true;
    }
    bool taken = hak_route[sc]->take_back_remote(mine, block, sc);
    if (mine != NULL) {
        hak_decay_tick_seldom(mine);
    }
    return taken;
}

/* True if a block of a slab of an exact size starts here, as the divisor says for fixed classes. */
static bool hak_starts_exact(uintptr_t address, unsigned sc) {
    uint32_t bytes = hak_cfg_mid_dyn || sc <= HAK_SC_FIXED ? 0 : hak_dyn_class_bytes(sc);
    return bytes != 0 && (uint16_t)address % bytes == 0;
}

/* The tag, from the flat map if there is one. */
static uint32_t hak_tag(uintptr_t address) {
    uint32_t tag;
    return hak_registry_look_up(address, &tag) ? tag : hak_registry_find_tag(address);
}

/* The common cases of the slow side, without the full classification: a block of another thread,
 * or any block where there is no flat map, in a slab of one unit, where the divisor tells if it is
 * a block's start. */
static bool hak_free_fast(hak_block_t *block) {
    uint32_t tag = hak_tag((uintptr_t)block);
    if (tag >> HAK_TAG_OWNER_SHIFT == 0 || (hak_check_all && tag - hak_tls.tag < HAK_TAG_CLASSES)) {
        return false;
    }
    unsigned sc = (tag & (HAK_TAG_CLASSES - 1)) >> HAK_BIN_SHIFT;
    uint32_t divisor = hak_sc_divisor[sc];
    if ((uint16_t)(uintptr_t)block * divisor >= divisor &&
        !hak_starts_exact((uintptr_t)block, sc)) {
        return false;
    }
    if (hak_cfg_check_double_free && hak_block_mark(block) == hak_registry_mark((uintptr_t)block)) {
        return false;
    }
    return hak_free_block(block, tag, sc);
}

hak_noinline void hak_gate_free_slow(void *address, const char *call) {
    if (address == NULL) {
        return;
    }
    int saved = errno;
    if (hak_free_fast(address)) {
        if (hak_cfg_stats) {
            hak_gate_count_call(HAK_CALL_FREE);
        }
        errno = saved;
        return;
    }
    hak_classified_t c = hak_gate_classify(address);
    if (c.kind == HAK_KIND_BLOCK) {
        (void)hak_free_block(address, c.tag, c.sc);
    } else if (c.kind == HAK_KIND_LARGE) {
        if (!hak_large_free_mt(address)) { /* another thread was faster */
            c.kind = HAK_KIND_INVALID;
            c.error = HAK_ERROR_DOUBLE_FREE;
        }
        hak_decay_tick(hak_tls.heap);
    }
    if (c.kind == HAK_KIND_INVALID) {
        hak_error_report(c.error, call, address, (void *)c.info.block, c.info.bytes);
    } else if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_FREE);
    }
    errno = saved;
}
