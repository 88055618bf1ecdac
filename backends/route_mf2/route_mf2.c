/* The route of the MF2 variants: 2, 4, 8, 16 and 32 KiB, the only classes in use between 1 KiB and
 * 32 KiB, on mf2 pages; all others in slabs. */
#include "backends/mf2/mf2.h"
#include "backends/port/backend.h"
#include "backends/slabs/slabs.h"

#define S &hak_backend_slabs
#define M &hak_backend_mf2
#define S8 S, S, S, S, S, S, S, S
#define S7M S, S, S, S, S, S, S, M
#define N8 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL

const hak_backend_t *const hak_route[HAK_SC_COUNT] = {NULL, S8,  S8,  S8,  S8, S7M,
                                                      S7M,  S7M, S7M, S7M, S8, N8};
const hak_backend_t *const hak_route_backends[] = {&hak_backend_slabs, &hak_backend_mf2, NULL};
