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
    HAK_SC_SMALL_MAX_BYTES = 1024, /* up to here a table gives the class */
    HAK_SC_SMALL_MAX = 32,         /* and this is the last class of the table */
    HAK_SC_MAX_BYTES = 65536,      /* largest block of a slab */
    HAK_SC_POW2_MAX_BYTES = 32768, /* largest block of a mid backend */
    HAK_SC_FIXED = 80,             /* classes 1..80 */
    HAK_SC_SPARE = 8,              /* 81..88: exact sizes given at run time */
    HAK_SC_COUNT = 1 + HAK_SC_FIXED + HAK_SC_SPARE,
    HAK_BIN_SHIFT = 4, /* a thread cache's bin is 16 bytes */
};

/* Class times 16, i.e. the byte offset of the class's bin, for (size + 15) / 16. */
extern hak_local const uint16_t hak_sc_small_offset[HAK_SC_SMALL_MAX_BYTES / 16 + 1];

/* Block size of each class in bytes; 0 for class 0 and the spare ones. */
extern hak_local const uint32_t hak_sc_bytes[HAK_SC_COUNT];

/* ceil(2^32 / block size): x * this, modulo 2^32, is below it exactly if x < 65536 is a multiple
 * of the block size (Lemire, Kaser, Kurz: Faster remainder by direct computation, 2019). 0 for
 * classes whose slab has several units, which makes the test fail and leaves the answer to the
 * slow path. */
extern hak_local const uint32_t hak_sc_divisor[HAK_SC_COUNT];

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
    return size > hak_cfg_pow2_above_bytes && size <= HAK_SC_POW2_MAX_BYTES
               ? hak_sc_of_pow2(size)
               : hak_sc_of_eighth(size);
}

/* Class of a size in 0..65536. */
static inline unsigned hak_sc_of(size_t size) {
    return size <= HAK_SC_SMALL_MAX_BYTES ? hak_sc_small_offset[(size + 15) >> 4] >> HAK_BIN_SHIFT
                                          : hak_sc_of_mid(size);
}

/* 64 KiB units in a slab of the class: a slab holds at least 8 blocks, 16 up to 4 KiB and above 32
 * KiB. */
static inline unsigned hak_sc_units(unsigned sc) {
    return hak_sc_bytes[sc] <= 4096 ? 1 : hak_sc_bytes[sc] <= 32768 ? 4 : 16;
}

/* Blocks in a slab of the class. */
static inline uint32_t hak_sc_slab_blocks(unsigned sc) {
    return hak_sc_units(sc) * HAK_UNIT_BYTES / hak_sc_bytes[sc];
}

/* Smallest class that holds `size` with every block aligned to `align` (a power of two up to
 * 65536), or 0 if none. A slab begins at a multiple of 64 KiB, so blocks are aligned when their
 * size is a multiple of `align`. */
unsigned hak_sc_of_aligned(size_t size, size_t align);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BASE_SIZE_CLASS_H_ */
