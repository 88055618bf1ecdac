/* mf2: the mid backend of per-page sharding: blocks of 2, 4, 8, 16 and 32 KiB, and of two sizes in
 * between that are chosen at run time (core/dyn_class), on pages of 64 KiB.
 *
 * A composition: boxes/mf2_page and mf2_pool are the memory, mf2_heap what a thread owns,
 * mf2_remote and mf2_pending how frees of others come back, mf2_adopt and mf2_policy who takes them
 * in, mf2_orphans what ended threads leave, mf2_sweeper the insurance.
 *
 * Layer      5 (backends), behind backends/port.
 */
#ifndef HAK_BACKENDS_MF2_MF2_H_
#define HAK_BACKENDS_MF2_MF2_H_

#include "backends/port/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const hak_backend_t hak_backend_mf2;

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_MF2_MF2_H_ */
