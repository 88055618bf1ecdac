/* The route of the thread pools: 2, 4, 8, 16 and 32 KiB are theirs, the rest the slabs'. */
#include "backends/pool_tls/pool_tls.h"
#include "backends/port/backend.h"
#include "backends/slabs/slabs.h"

#define S &hak_backend_slabs
#define P &hak_backend_pool_tls
#define S8 S, S, S, S, S, S, S, S
#define S7P S, S, S, S, S, S, S, P

/* Classes 1 to 8, 9 to 16, and so on: the last of each eight is a power of two. */
const hak_backend_t *const hak_route[HAK_SC_COUNT] = {NULL, S8,  S8,  S8,  S8, S7P,
                                                      S7P,  S7P, S7P, S7P, S8, S8};
const hak_backend_t *const hak_route_backends[] = {&hak_backend_slabs, &hak_backend_pool_tls, NULL};
