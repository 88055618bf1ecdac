/* The route of the Mid MT variants: 8, 16 and 32 KiB go there, all other classes to slabs. */
#include "backends/mid_mt/mid_mt.h"
#include "backends/port/backend.h"
#include "backends/slabs/slabs.h"

#define S &hak_backend_slabs
#define M &hak_backend_mid_mt
#define S7 S, S, S, S, S, S, S
#define S8 S, S7

/* Each row ends with a power of two: 128 B, 256 B ... 8 KiB in row 7. */
const hak_backend_t *const hak_route[HAK_SC_COUNT] = {NULL, S8, S8, S8, S8, S8, S8, S7,
                                                      M,    S7, M,  S7, M,  S8, S8};
const hak_backend_t *const hak_route_backends[] = {&hak_backend_slabs, &hak_backend_mid_mt, NULL};
