/* dyn_class: size classes whose sizes are chosen at run time.
 *
 *   mid     up to two between 2 and 32 KiB, DYN1 and DYN2, for a variant whose other classes there
 *           are powers of two (hak_cfg_mid_ids)
 *   exact   in all other variants: multiples of 16 bytes between the classes up to 1 KiB, for sizes
 *           of which a program has many
 *
 * A table from sizes to classes replaces constants of base/size_class. A size in use gets an id,
 * one of the spare classes, and an id stands for one size as long as any of its pages (mid) or
 * slabs (exact) is open: blocks of a size that is given up go on to be what they are, wherever they
 * are. An id without one may get another size.
 *
 * Owns       the tables, the ids.
 * Threads    *_mt: any. The others: any, without a lock.
 * Invariant  a class in the table holds every size that leads to it. A thread that went by an older
 *            table may ask for a class that is no longer what it was, and looks at its size again
 *            once it has a block, which keeps the id's page open.
 * Layer      2 (core). Uses base, config, core/lock.
 */
#ifndef HAK_CORE_DYN_CLASS_DYN_CLASS_H_
#define HAK_CORE_DYN_CLASS_DYN_CLASS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"
#include "config/hak_config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_DYN_CLASSES = 2, /* sizes in use at a time */
    HAK_DYN_GRAIN_SHIFT = HAK_SC_MID_GRAIN_SHIFT,
    HAK_DYN_GRAIN_BYTES = 1 << HAK_DYN_GRAIN_SHIFT, /* sizes are multiples of it, as all classes
                                                       above 1 KiB are */
    HAK_DYN_ABOVE_BYTES = 2048,
    HAK_DYN_BELOW_BYTES = 32768,
    HAK_DYN_FIRST_SC = HAK_SC_FIXED + 1,
    HAK_DYN_IDS = HAK_SC_SPARE,
    HAK_EXACT_GRAIN_SHIFT = 4,
    HAK_EXACT_GRAIN_BYTES = 1 << HAK_EXACT_GRAIN_SHIFT,
    HAK_EXACT_ABOVE_BYTES = 256, /* up to here each multiple of 16 has a class */
    HAK_EXACT_FIRST_GRAIN = HAK_EXACT_ABOVE_BYTES / HAK_EXACT_GRAIN_BYTES + 1,
    HAK_EXACT_GRAINS = HAK_SC_SMALL_MAX_BYTES / HAK_EXACT_GRAIN_BYTES + 1,
};

/* Pages or slabs of each id, written under the lock. */
extern hak_local hak_a32_t hak_dyn_class_opened[HAK_DYN_IDS];
/* Offset of the class's bin, for (size - 1) / 128. */
extern hak_local hak_a32_t hak_dyn_class_table[HAK_SC_MAX_BYTES / HAK_DYN_GRAIN_BYTES];
/* Offset of the class's bin, for (size + 15) / 16. */
extern hak_local hak_a16_t hak_dyn_class_small[HAK_EXACT_GRAINS];
/* Size of each id; 0: never used. */
extern hak_local hak_a32_t hak_dyn_class_sizes[HAK_DYN_IDS];

/* Bin offset of a size in 1025..65536, by the table. */
static inline size_t hak_dyn_class_look_up(size_t size) {
    /* relaxed: see the invariant */
    return hak_load_rlx(&hak_dyn_class_table[(size - 1) >> HAK_DYN_GRAIN_SHIFT]);
}

/* The same in this variant, which may not have the table. */
static inline size_t hak_dyn_class_mid_offset(size_t size) {
    return hak_cfg_mid_dyn ? hak_dyn_class_look_up(size)
                           : hak_sc_mid_offset[(size - 1) >> HAK_SC_MID_GRAIN_SHIFT];
}

/* Bin offset of a size in 0..1024, in this variant. */
static inline size_t hak_dyn_class_small_offset(size_t size) {
    size_t grain = (size + HAK_EXACT_GRAIN_BYTES - 1) >> HAK_EXACT_GRAIN_SHIFT;
    /* relaxed: see the invariant */
    return hak_cfg_mid_ids ? hak_sc_small_offset[grain] : hak_load_rlx(&hak_dyn_class_small[grain]);
}

/* Class of a size in 0..65536, in this variant. */
static inline unsigned hak_dyn_class_of(size_t size) {
    size_t offset = size <= HAK_SC_SMALL_MAX_BYTES ? hak_dyn_class_small_offset(size)
                                                   : hak_dyn_class_mid_offset(size);
    return (unsigned)(offset >> HAK_BIN_SHIFT);
}

/* Block size of a class, as hak_sc_bytes; that of an id cannot change while the caller has one of
 * its blocks. */
static inline uint32_t hak_dyn_class_bytes(unsigned sc) {
    if (sc < HAK_DYN_FIRST_SC) {
        return hak_sc_bytes[sc];
    }
    return hak_load_rlx(&hak_dyn_class_sizes[sc - HAK_DYN_FIRST_SC]); /* relaxed: as said above */
}

/* Pages or slabs of a class that is an id, a moment ago. */
static inline uint32_t hak_dyn_class_open_count(unsigned sc) {
    return hak_load_rlx(&hak_dyn_class_opened[sc - HAK_DYN_FIRST_SC]); /* relaxed: a hint */
}

/* Size `which` (0, 1) becomes `bytes`, rounded up to a multiple of 128; 0: it is not in use. False
 * if that is out of range, a fixed class or the other size, or if all ids have pages: nothing has
 * changed then. */
bool hak_dyn_class_assign_mt(unsigned which, size_t bytes);
/* Present value; 0: not in use. */
uint32_t hak_dyn_class_size_mt(unsigned which);
/* Ids that ever had a size: those below it. */
unsigned hak_dyn_class_ids(void);
/* True if sizes lead to this class now. */
bool hak_dyn_class_is_current_mt(unsigned sc);

/* `bytes` becomes an exact size, if it is not one: those sizes lead there for which no other class
 * is smaller. False if it cannot be one, or if all ids are in use or have slabs. */
bool hak_dyn_class_add_exact_mt(size_t bytes);
/* And no longer. False if it was none. */
bool hak_dyn_class_drop_exact_mt(size_t bytes);

typedef struct {
    uint32_t bytes; /* 0: the id never had a size */
    uint32_t open;  /* slabs or pages */
    bool current;   /* sizes lead there */
} hak_dyn_id_t;
void hak_dyn_class_list_mt(hak_dyn_id_t ids[HAK_DYN_IDS]);

/* A page or slab of the class is opened, which holds the class's size: returns it. And closed. */
uint32_t hak_dyn_class_open_mt(unsigned sc);
void hak_dyn_class_close_mt(unsigned sc);

/* W_MAX: a size up to 32 KiB whose power of two is more than `hundredths` / 100 times as large gets
 * one of the eight classes to a doubling. Judged by the largest of each 128 sizes that share an
 * entry. 0 and 200: none. */
void hak_dyn_class_limit_mt(uint32_t hundredths);

/* Eight classes to a doubling as without a mid backend, instead of powers of two: at start. */
void hak_dyn_class_use_all_mt(void);

/* Around a fork. */
void hak_dyn_class_fork_take(void);
void hak_dyn_class_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_DYN_CLASS_DYN_CLASS_H_ */
