/* The powers of two from 2 to 32 KiB come from the mid pool, everything else from slabs. The
 * classes between them are not in use then: see base/size_class.h. */
#include "backends/mid_pool/mid_pool.h"
#include "backends/port/backend.h"
#include "backends/slabs/slabs.h"

#define S &hak_backend_slabs
#define M &hak_backend_mid_pool
#define S8 S, S, S, S, S, S, S, S
#define M8 S, S, S, S, S, S, S, M

/* Class 0, then rows of eight: the last class of a row is a power of two. */
const hak_backend_t *const hak_route[HAK_SC_COUNT] = {NULL, S8, S8, S8, S8, M8,
                                                      M8,   M8, M8, M8, S8, S8};
const hak_backend_t *const hak_route_backends[] = {&hak_backend_slabs, &hak_backend_mid_pool, NULL};
