/* calloc, realloc, aligned allocation: all but the two hits. */
#include <errno.h>
#include <string.h>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "base/bits.h"
#include "core/dyn_class/dyn_class.h"
#include "front/decay/decay.h"
#include "front/gate/gate_inl.h"
#include "front/gate/gate_internal.h"
#include "front/gate/live_inl.h"

void *hak_gate_calloc(size_t bytes) {
    if (bytes > HAK_SC_MAX_BYTES) {
        bool zeroed;
        void *block = hak_gate_alloc_large(bytes, 1, &zeroed);
        if (block != NULL && !zeroed) {
            hak_large_zero(block, bytes);
        }
        return block;
    }
    void *block = hak_gate_malloc(bytes);
    return block == NULL ? NULL : memset(block, 0, bytes);
}

void *hak_gate_aligned(size_t align, size_t size) {
    /* Blocks above 1 KiB have multiples of 128, and slabs and pages begin at ones; but for the
     * headers of mf2 pages. */
    size_t grain = hak_cfg_mf2_header == 0 ? HAK_DYN_GRAIN_BYTES : hak_cfg_mf2_header;
    bool by_table = hak_cfg_mid_dyn && align <= grain && size > HAK_SC_SMALL_MAX_BYTES;
    if (align <= 16 || by_table) {
        return hak_gate_malloc(size);
    }
    if (size <= HAK_SC_MAX_BYTES && align <= HAK_UNIT_BYTES) {
        unsigned sc = hak_sc_of_aligned(size, align);
        void *block = hak_gate_take_cached((size_t)sc << HAK_BIN_SHIFT);
        return block != NULL ? block : hak_gate_alloc_class(sc);
    }
    bool zeroed;
    return hak_gate_alloc_large(size, align, &zeroed);
}

size_t hak_gate_good_size(size_t size) {
    if (size <= HAK_SC_MAX_BYTES) {
        uint32_t bytes = hak_dyn_class_bytes(hak_dyn_class_of(size));
        return bytes >= size ? bytes : hak_sc_bytes[hak_sc_of(size)]; /* it changed just now */
    }
    size_t bytes = size >> HAK_OS_ADDRESS_BITS != 0 ? 0 : hak_large_good_bytes(size);
    return bytes >> HAK_OS_ADDRESS_BITS != 0 ? 0 : bytes; /* no process has all addresses */
}

/* Stays in place if the block fits and is at least half used, or is small: another one would save
 * little. */
static bool hak_fits(size_t have, size_t size) {
    return size <= have && (size >= have / 2 || have <= 128);
}

/* Ends `block`, whose first `bytes` go to `copy`. */
hak_inline void *hak_replace(void *block, void *copy, size_t bytes) {
    memcpy(copy, block, bytes);
    hak_gate_free(block);
    return copy;
}

/* To another block; nowhere if there is none, but this one holds as much: then errno is `saved`. */
static void *hak_move(void *block, size_t have, size_t size, int saved) {
    void *copy = hak_gate_malloc(size);
    if (hak_likely(copy != NULL)) {
        return hak_replace(block, copy, have < size ? have : size);
    }
    if (size > have) {
        return NULL;
    }
    errno = saved;
    return block;
}

/* What grows by less than a quarter gets room for a quarter: it may well grow again, and then a
 * buffer is copied five times on its way to three times its length, and not at each size class
 * (gperftools' do_realloc does the same). Up to the largest class: a large block has room behind
 * it, and where the kernel refuses one each try would give all back that the process keeps. */
static void *hak_grow(void *block, size_t have, size_t size) {
    size_t room = have + have / 4;
    room = room < HAK_SC_MAX_BYTES ? room : HAK_SC_MAX_BYTES;
    void *copy = room > size ? hak_gate_malloc(room) : NULL;
    if (hak_unlikely(copy == NULL)) {
        copy = hak_gate_malloc(size);
    }
    return hak_likely(copy != NULL) ? hak_replace(block, copy, have) : NULL;
}

/* A block of a size class that has `have` bytes. A program may move buffers for hours without any
 * other step off the hit path: redis-server does, while it answers INFO only. Small moves are short
 * and many, and do not count. */
static hak_noinline void *hak_resize_by_move(void *block, size_t have, size_t size) {
    if (hak_unlikely(size > HAK_SC_SMALL_MAX_BYTES) && hak_tls.heap != NULL) {
        hak_decay_step(hak_tls.heap, HAK_DECAY_SELDOM);
    }
    return size > have ? hak_grow(block, have, size) : hak_move(block, have, size, errno);
}

hak_inline void *hak_resize_block(void *block, size_t have, size_t size) {
    return hak_likely(hak_fits(have, size)) ? block : hak_resize_by_move(block, have, size);
}

/* All but live blocks of fixed classes. */
static hak_noinline void *hak_realloc_other(void *block, size_t size, const char *call) {
    hak_classified_t c;
    hak_gate_classify(block, &c);
    if (c.kind == HAK_KIND_INVALID) {
        hak_error_report(c.error, call, block, (void *)c.info.block, c.info.bytes);
        errno = EINVAL;
        return NULL;
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_REALLOC);
    }
    if (c.kind == HAK_KIND_BLOCK) {
        return hak_resize_block(block, c.info.bytes, size);
    }
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    int saved = errno;
    void *resized = hak_large_resize_mt(block, size);
    return resized != NULL ? resized : hak_move(block, c.info.bytes, size, saved);
}

void *hak_gate_realloc(void *block, size_t size, const char *call) {
    if (block == NULL) {
        return hak_gate_malloc(size);
    }
    size_t have;
    if (hak_unlikely(!hak_gate_is_live(block, &have))) {
        return hak_realloc_other(block, size, call);
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_REALLOC);
    }
    return hak_resize_block(block, have, size);
}
