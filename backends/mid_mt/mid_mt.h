/* mid_mt: the backend of the notes' "Mid Range MT": blocks of 8, 16 and 32 KiB out of chunks of 4
 * MiB that belong to one thread each.
 *
 * A composition: boxes/mid_segment supplies, mid_return and mid_remote take back, mid_adoption
 * moves chunks between heaps, mid_supply holds the memory. The thread cache is its first level.
 *
 * Layer      5 (backends), behind backends/port.
 */
#ifndef HAK_BACKENDS_MID_MT_MID_MT_H_
#define HAK_BACKENDS_MID_MT_MID_MT_H_

#include "backends/port/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const hak_backend_t hak_backend_mid_mt;

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_MID_MT_MID_MT_H_ */
