/* slabs: the default backend: slabs of 64 KiB, 128 KiB or 1 MiB for every class up to 64 KiB.
 *
 * A composition: boxes/refill supplies, boxes/flush and free_remote take back, boxes/adoption
 * moves slabs between threads, boxes/slot_pool holds the superslabs.
 *
 * Layer      5 (backends), behind backends/port.
 */
#ifndef HAK_BACKENDS_SLABS_SLABS_H_
#define HAK_BACKENDS_SLABS_SLABS_H_

#include "backends/port/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const hak_backend_t hak_backend_slabs;

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_SLABS_SLABS_H_ */
