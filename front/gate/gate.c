/* The slow side of malloc and free. */
#include "front/gate/gate.h"

#include <errno.h>
#include <string.h>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "boxes/exact_sizes/exact_sizes.h"
#include "boxes/free_remote/free_remote_inl.h"
#include "boxes/learn/learn.h"
#include "core/dyn_class/dyn_class.h"
#include "core/lock/lock.h"
#include "core/options/options.h"
#include "front/decay/decay.h"
#include "front/gate/gate_inl.h"
#include "front/gate/gate_internal.h"
#include "front/thread/thread.h"

/* Slow steps to a sample for the learner, at most; frees of large blocks to a look at the clock. */
enum { HAK_SAMPLE_SELDOM = 32, HAK_LARGE_SELDOM = 8 };
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

/* One of some slow steps: the clock, and seldom what is asked for: a sample counts for so many. */
static hak_cold void hak_look(hak_heap_t *mine, unsigned sc, size_t size) {
    bool is_sparse = hak_decay_tick(mine);
    if (hak_load_rlx(&hak_learn_sampling) == 0) { /* relaxed: a hint */
        mine->slow_steps |= is_sparse ? HAK_DECAY_SELDOM_MOST - 1 : 0;
    } else if (size != 0 && mine->slow_steps % HAK_SAMPLE_SELDOM == 0) {
        mine->slow_steps += hak_learn_sample_mt(size, sc, mine->slow_steps);
    }
}

/* As hak_decay_step; the same count serves the learner, so that it costs nothing. */
static inline void hak_step(hak_heap_t *mine, unsigned seldom, unsigned sc, size_t size) {
    if (hak_unlikely(++mine->slow_steps % seldom == 0)) {
        hak_look(mine, sc, size);
    }
}

/* The bin may hold blocks: a program may have allocated while the thread got its heap. */
static void *hak_refill(hak_heap_t *mine, unsigned sc, size_t size) {
    hak_block_t *block = hak_tls_sll_pop_class(sc);
    if (block == NULL && hak_cfg_learn) { /* before the refill, which would have to keep the size */
        hak_step(mine, HAK_DECAY_SELDOM, sc, size);
        block = hak_route[sc]->refill(mine, sc);
    } else {
        block = block != NULL ? block : hak_route[sc]->refill(mine, sc);
        hak_decay_step(mine, HAK_DECAY_SELDOM);
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

/* For `size` bytes; 0: nobody knows. */
static inline void *hak_alloc(unsigned sc, size_t size) {
    hak_gate_ready();
    hak_heap_t *mine = hak_thread_heap();
    void *block = hak_likely(mine != NULL) ? hak_refill(mine, sc, size) : hak_refill_borrowed(sc);
    if (hak_unlikely(block == NULL)) {
        hak_gate_make_room(false);
        block = mine != NULL ? hak_refill(mine, sc, 0) : hak_refill_borrowed(sc);
        if (block == NULL) {
            return hak_failed();
        }
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_MALLOC);
    }
    return block;
}

void *hak_gate_alloc_class(unsigned sc) { return hak_alloc(sc, 0); }

void *hak_gate_alloc_large(size_t size, size_t align, bool *zeroed) {
    hak_gate_ready();
    if (hak_unlikely(((size | align) >> HAK_OS_ADDRESS_BITS) != 0)) {
        return hak_failed(); /* no address space has room: giving memory back would not help */
    }
    hak_heap_t *mine = hak_thread_heap();
    void *block = hak_large_alloc_mt(mine, size == 0 ? 1 : size, align, zeroed);
    if (hak_unlikely(block == NULL)) {
        hak_gate_make_room(true);
        block = hak_large_alloc_mt(mine, size == 0 ? 1 : size, align, zeroed);
    }
    (void)hak_decay_tick(mine);
    if (hak_unlikely(block == NULL)) {
        return hak_failed();
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_MALLOC);
    }
    return block;
}

/* Whether a size that leads to the exact class `sc` is served by its fixed class. An exact class
 * that needs a new slab has time while its fixed class has many with room, such as those from
 * before the exact one was there: else these would empty slowly while new ones fill, and for so
 * long the two of them hold more memory than one did. Less than an eighth of the exact class's
 * slabs is not many: each block of the fixed class that comes back costs a slow step for as long as
 * such slabs are filled again, which is for ever. */
hak_inline bool hak_prefers_fixed(unsigned sc, unsigned fixed) {
    enum { MANY = 32, SHARE = 8 };
    const hak_heap_t *mine = hak_tls.heap;
    return mine != NULL && hak_heap_partial_slabs(mine, sc) == 0 &&
           hak_heap_partial_slabs(mine, fixed) >= MANY + hak_dyn_class_open_count(sc) / SHARE;
}

/* A slab was opened for the request: a sample of those that will fill it. */
static hak_cold void hak_note_opened(size_t size) {
    if (hak_exact_sizes_watch()) {
        hak_exact_sizes_opened_mt(size);
    }
}

/* Slabs that the calling thread's heap has opened so far. */
static uint64_t hak_slabs_made(void) {
    const hak_heap_t *mine = hak_tls.heap;
    return mine == NULL ? 0 : hak_load_rlx(&mine->counters.slabs_made); /* relaxed: our own */
}

/* `sc`: a class for `size`. Classes may change: one that got a smaller size since it was looked up
 * is no use. */
static hak_noinline void *hak_alloc_size(size_t size, unsigned sc) {
    bool may_be_exact = size > HAK_EXACT_ABOVE_BYTES && size <= HAK_SC_SMALL_MAX_BYTES;
    for (;;) {
        uint64_t made = may_be_exact ? hak_slabs_made() : 0;
        void *block = hak_alloc(sc, size);
        if (may_be_exact && hak_unlikely(hak_slabs_made() != made)) {
            hak_note_opened(size);
        }
        if (block == NULL || hak_likely(hak_dyn_class_bytes(sc) >= size)) {
            return block;
        }
        hak_gate_free(block);
        sc = hak_dyn_class_of(size);
    }
}

/* What a refill of the fixed class would do first, but shorter: blocks of slabs from before an
 * exact class was there come out of the bin one by one. */
hak_inline void *hak_pop_fixed(unsigned fixed) {
    hak_block_t *block = hak_tls_sll_pop_class(fixed);
    if (block != NULL && hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_MALLOC);
    }
    return block == NULL ? NULL : hak_hand_out(block, fixed);
}

hak_noinline void *hak_gate_alloc_slow(size_t size) {
    bool zeroed;
    if (hak_unlikely(size > HAK_SC_MAX_BYTES)) {
        return hak_gate_alloc_large(size, 1, &zeroed);
    }
    unsigned sc = hak_dyn_class_of(size);
    if (hak_unlikely(sc > HAK_SC_FIXED) && !hak_cfg_mid_ids) {
        unsigned fixed = hak_sc_of(size);
        bool prefers = hak_prefers_fixed(sc, fixed);
        void *block = prefers ? hak_pop_fixed(fixed) : NULL;
        if (block != NULL) {
            return block;
        }
        sc = prefers ? fixed : sc;
    }
    return hak_alloc_size(size, sc);
}

hak_noinline void hak_gate_take_back(hak_block_t *block, unsigned sc) {
    hak_heap_t *mine = hak_tls.heap;
    hak_route[sc]->take_back(mine, block, sc);
    hak_decay_step(mine, HAK_DECAY_SELDOM);
}

static bool hak_is_own(uint32_t tag) { return tag - hak_tls.tag < HAK_TAG_CLASSES; }

/* True if the thread's bin takes blocks of this tag. */
static bool hak_is_kept(uint32_t tag, unsigned sc) {
    return hak_cfg_check_interior ? hak_is_own(tag) : hak_tls.bin[sc].tag == tag;
}

hak_a64_t hak_gate_lone_blocks;

/* A live block of a size class, in any thread's slab. False: no, it was never handed out. */
static bool hak_free_block(hak_block_t *block, uint32_t tag, unsigned sc) {
    if (hak_cfg_check_double_free) {
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
    }
    hak_poison(block, hak_dyn_class_bytes(sc));
    hak_heap_t *mine = hak_thread_heap_of_free();
    if (mine != NULL && hak_is_kept(tag, sc)) {
        if (!hak_tls_sll_push_class(sc, block)) {
            hak_gate_take_back(block, sc);
        }
        return true;
    }
    bool taken = hak_route[sc]->take_back_remote(mine, block, sc);
    if (hak_cfg_check_double_free && !taken) {
        hak_block_set_mark(block, 0); /* else it would pass for one that was freed before */
    }
    if (mine != NULL) {
        hak_decay_step(mine, HAK_DECAY_SELDOM);
    } else {
        (void)hak_add_rlx(&hak_gate_lone_blocks, taken); /* relaxed: a statistic */
    }
    return taken;
}

static bool hak_free_large(void *block) {
    hak_heap_t *mine = hak_tls.heap;
    bool freed = hak_large_free_mt(mine, block);
    /* Each malloc of a large block has looked at the clock: frees alone shall not be without. */
    bool look = mine == NULL || ++mine->large_frees % HAK_LARGE_SELDOM == 0;
    if (look && hak_decay_tick(mine)) {
        mine->large_frees |= HAK_LARGE_SELDOM - 1;
    }
    return freed;
}

/* The tag, from the flat map if there is one. */
static uint32_t hak_tag(uintptr_t address) {
    uint32_t tag;
    return hak_registry_look_up(address, &tag) ? tag : hak_registry_find_tag(address);
}

/* True if a block starts at `address`, which has this tag. The divisor tells where all slabs of the
 * class are one unit; it is 0 for other classes. False: look closer. */
hak_inline bool hak_starts(uintptr_t address, unsigned sc) {
    uint32_t divisor = hak_sc_start_divisor(sc);
    if (hak_likely((uint16_t)address * divisor < divisor)) {
        return true;
    }
    const hak_backend_t *backend = hak_route[sc];
    return divisor == 0 && backend->starts != NULL && backend->starts(address, sc);
}

/* The common cases of the slow side, not fully classified: a large block, which its own backend
 * checks; a block of another thread; where there is no flat map any block in a slab of one unit. */
static bool hak_free_fast(hak_block_t *block) {
    uint32_t tag = hak_tag((uintptr_t)block);
    if (tag == HAK_TAG_EXTENT) {
        return hak_free_large(block);
    }
    unsigned sc = (tag & (HAK_TAG_CLASSES - 1)) >> HAK_BIN_SHIFT;
    if (tag >> HAK_TAG_OWNER_SHIFT == 0 || (hak_check_all && hak_tls.heap == NULL) ||
        (hak_is_kept(tag, sc) && (hak_check_all || hak_sc_divisor[sc] == 0))) {
        return false;
    }
    if (!hak_starts((uintptr_t)block, sc)) {
        return false;
    }
    if (hak_cfg_check_double_free &&
        hak_block_has_mark(block, hak_registry_mark((uintptr_t)block))) {
        return false;
    }
    return hak_free_block(block, tag, sc);
}

/* Everything that a hit is not, but for the commonest: a block that joins an open batch. */
static hak_noinline void hak_free_other(void *address, const char *call) {
    int saved = errno;
    if (hak_free_fast(address)) {
        if (hak_cfg_stats) {
            hak_gate_count_call(HAK_CALL_FREE);
        }
        errno = saved;
        return;
    }
    hak_classified_t c;
    hak_gate_classify(address, &c);
    if (c.kind == HAK_KIND_BLOCK) {
        (void)hak_free_block(address, c.tag, c.sc);
    } else if (c.kind == HAK_KIND_LARGE) {
        if (!hak_free_large(address)) { /* another thread was faster */
            c.kind = HAK_KIND_INVALID;
            c.error = HAK_ERROR_DOUBLE_FREE;
        }
    }
    if (c.kind == HAK_KIND_INVALID) {
        hak_error_report(c.error, call, address, (void *)c.info.block, c.info.bytes);
    } else if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_FREE);
    }
    errno = saved;
}

/* NULL first: in many programs it is a tenth to a half of all frees, and glibc frees it nineteen
 * times when a thread ends. */
hak_noinline void hak_gate_free_slow(void *address, const char *call) {
    if (address == NULL) {
        return;
    }
    hak_heap_t *mine = hak_tls.heap;
    if (mine == NULL || !hak_free_remote_extend(mine, address)) {
        hak_free_other(address, call);
        return;
    }
    hak_step(mine, 2 * HAK_DECAY_SELDOM, 0, 0); /* it is short, and there are many */
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_FREE);
    }
}
