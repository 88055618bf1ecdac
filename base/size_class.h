/* size_class: request size <-> size class, and what a slab of each class looks like.
 *
 * Classes 1..8 are 16 B apart up to 128 B; above, each doubling has 8 classes up to 64 KiB, so
 * rounding loses at most one part in nine (11.1 %). 8 more ids are spare for exact sizes given at
 * run time. The same spacing is mimalloc's (its bins, `types.h`); jemalloc and snmalloc have 4 per
 * doubling and lose up to 20 %.
 *
 * All tables are constant data: the dynamic loader calls malloc before any constructor runs.
 *
 * A variant with a mid backend has only powers of two between hak_cfg_pow2_above_bytes and 32 KiB:
 * the ids stay the same, those between are then not in use. core/dyn_class adds to them what the
 * spare ids are for.
 *
 * Owns       nothing.
 * Layer      0 (base). Uses base/attr, base/bits, config.
 */
#ifndef HAK_BASE_SIZE_CLASS_H_
#define HAK_BASE_SIZE_CLASS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bits.h"
#include "config/hak_config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_UNIT_SHIFT = 16, /* the registry's grain: 64 KiB */
    HAK_UNIT_BYTES = 1 << HAK_UNIT_SHIFT,
    HAK_SC_SMALL_MAX_BYTES = 1024, /* up to here a table by multiples of 16 gives the class */
    HAK_SC_SMALL_MAX = 32,         /* and this is the last class of the table */
    HAK_SC_MAX_BYTES = 65536,      /* largest block of a slab */
    HAK_SC_MID_GRAIN_SHIFT = 7,    /* above, one by multiples of 128, as all classes are */
    HAK_SC_POW2_MAX_BYTES = 32768, /* largest block of a mid backend */
    HAK_SC_FIXED = 80,             /* classes 1..80 */
    HAK_SC_SPARE = 8,              /* 81..88: exact sizes given at run time */
    HAK_SC_COUNT = 1 + HAK_SC_FIXED + HAK_SC_SPARE,
    HAK_BIN_SHIFT = 4, /* a thread cache's bin is 16 bytes */
};

/* The class of sizes up to 16 * i bytes, i <= 64. */
#define HAK_SC_OF_GRAIN(i)                                                                         \
    ((i) == 0 ? 1 : (i) <= 16 ? (i) : (i) <= 32 ? 16 + ((i)-16 + 1) / 2 : 24 + ((i)-32 + 3) / 4)

/* Class times 16, i.e. the byte offset of the class's bin, for (size + 15) / 16. */
extern hak_local const uint16_t hak_sc_small_offset[HAK_SC_SMALL_MAX_BYTES / 16 + 1];

/* The same for (size - 1) / 128; the sizes up to 1 KiB have no entries of their own here. A table,
 * because computing the class took 7 instructions more, and pair_4k 6.1 instead of 3.6 ns
 * (docs/PERFORMANCE.md). */
extern hak_local const uint16_t hak_sc_mid_offset[HAK_SC_MAX_BYTES >> HAK_SC_MID_GRAIN_SHIFT];

/* Block size of each class in bytes; 0 for class 0 and the spare ones. core/dyn_class knows the
 * size of those. */
extern hak_local const uint32_t hak_sc_bytes[HAK_SC_COUNT];

/* ceil(2^32 / block size): x * this, modulo 2^32, is below it exactly if x < 65536 is a multiple
 * of the block size (Lemire, Kaser, Kurz: Faster remainder by direct computation, 2019). 0 for
 * classes whose slabs may have several units, which makes the test fail and leaves the answer to
 * the slow path. */
extern hak_local const uint32_t hak_sc_divisor[HAK_SC_COUNT];

/* The same for a class whose size was chosen at run time; 0: it is not known, or too large for a
 * slab of one unit to hold a few. */
static inline uint32_t hak_sc_divisor_of(uint32_t bytes) {
    return bytes == 0 || bytes > 4096 ? 0 : (uint32_t)(((1ull << 32) + bytes - 1) / bytes);
}

/* hak_sc_divisor of a class whose blocks lie at multiples of their size; 0 for those that lie
 * behind headers, too. */
static inline uint32_t hak_sc_start_divisor(unsigned sc) {
    return hak_cfg_mf2_header != 0 && sc > HAK_SC_SMALL_MAX ? 0 : hak_sc_divisor[sc];
}

/* Class of a size in 1025..65536 where each doubling has 8. */
static inline unsigned hak_sc_of_eighth(size_t size) {
    size_t m = size - 1;
    unsigned b = hak_log2_floor(m);
    return 33u + ((b - 10u) << 3) + (unsigned)((m >> (b - 3u)) & 7u);
}
/* And where it has one. */
static inline unsigned hak_sc_of_pow2(size_t size) {
    return 40u + ((hak_log2_floor(size - 1) - 10u) << 3);
}

/* Class of a size in 1025..65536. */
static inline unsigned hak_sc_of_mid(size_t size) {
    return hak_sc_mid_offset[(size - 1) >> HAK_SC_MID_GRAIN_SHIFT] >> HAK_BIN_SHIFT;
}

/* Class of a size in 0..65536. */
static inline unsigned hak_sc_of(size_t size) {
    return size <= HAK_SC_SMALL_MAX_BYTES ? hak_sc_small_offset[(size + 15) >> 4] >> HAK_BIN_SHIFT
                                          : hak_sc_of_mid(size);
}

/* True if `size`, rounded up to a multiple of 16, can be an exact size of a spare class: up to 1
 * KiB, and no fixed class is as small. Up to 256 bytes all multiples of 16 are fixed classes. */
static inline bool hak_sc_may_be_exact(size_t size) {
    return size != 0 && size <= HAK_SC_SMALL_MAX_BYTES &&
           ((size + 15) & ~(size_t)15) < hak_sc_bytes[hak_sc_of(size)];
}

/* 64 KiB units in a slab of the class. A slab holds at least 8 blocks up to 8 KiB, 4 up to 32 KiB,
 * and 16 above. Smaller slabs come free sooner: one block that lives on keeps less beside it. Slabs
 * of several units may be shorter than that, and hold two blocks at least: boxes/slot_pool. */
static inline unsigned hak_sc_units(unsigned sc) {
    return hak_sc_bytes[sc] <= 8192 ? 1 : hak_sc_bytes[sc] <= 32768 ? 2 : 16;
}

/* Blocks in a slab of the class that has all its units. */
static inline uint32_t hak_sc_slab_blocks(unsigned sc) {
    return hak_sc_units(sc) * HAK_UNIT_BYTES / hak_sc_bytes[sc];
}

/* hak_sc_of_aligned where pages of a mid backend have headers. */
unsigned hak_sc_of_aligned_with_header(size_t size, size_t align);

/* Smallest class that holds `size` with every block aligned to `align` (a power of two up to
 * 65536), or 0 if none. A slab begins at a multiple of 64 KiB, so blocks are aligned when their
 * size is a multiple of `align`. So is the size rounded up to one, and its class: where classes are
 * further apart than `align` all of them are multiples of it, and where they are closer the rounded
 * size is a class itself. */
static inline unsigned hak_sc_of_aligned(size_t size, size_t align) {
    if (size > HAK_SC_MAX_BYTES || align > HAK_UNIT_BYTES) {
        return 0;
    }
    size_t rounded = (size + (size == 0) + align - 1) & (0 - align);
    return hak_cfg_mf2_header != 0 ? hak_sc_of_aligned_with_header(rounded, align)
                                   : hak_sc_of(rounded);
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BASE_SIZE_CLASS_H_ */
