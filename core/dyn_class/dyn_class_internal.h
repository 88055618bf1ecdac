/* dyn_class_internal: what the mid sizes (dyn_class.c) and the exact ones (exact.c) share: the ids.
 *
 * Threads    *_locked: under `lock`.
 * Layer      2 (core), inside the box.
 */
#ifndef HAK_CORE_DYN_CLASS_DYN_CLASS_INTERNAL_H_
#define HAK_CORE_DYN_CLASS_DYN_CLASS_INTERNAL_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "core/dyn_class/dyn_class.h"
#include "core/lock/lock.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_NO_ID = HAK_DYN_IDS };

typedef struct {
    hak_lock_t lock;
    hak_a32_t ids;                    /* those below it had a size */
    unsigned in_use[HAK_DYN_CLASSES]; /* mid: id of each size, plus 1; 0: none */
    uint32_t exact;                   /* exact: bit per id in use */
    uint32_t limit;                   /* mid: most of block / size in hundredths; 0: any */
    bool uses_all;                    /* mid: nothing is chosen at run time */
} hak_dyn_t;
extern hak_dyn_t hak_dyn;

/* Gives an id this size. The one that has it is the best; else one that is not in use and has
 * nothing open; else HAK_NO_ID. */
unsigned hak_dyn_pick_locked(uint32_t bytes);
bool hak_dyn_is_current_locked(unsigned id);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_DYN_CLASS_DYN_CLASS_INTERNAL_H_ */
