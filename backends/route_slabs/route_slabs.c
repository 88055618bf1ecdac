/* The default variant's route: one backend for every class, the spare ones included. */
#include "backends/port/backend.h"
#include "backends/slabs/slabs.h"

#define S &hak_backend_slabs
#define S8 S, S, S, S, S, S, S, S

const hak_backend_t *const hak_route[HAK_SC_COUNT] = {NULL, S8, S8, S8, S8, S8,
                                                      S8,   S8, S8, S8, S8, S8};
const hak_backend_t *const hak_route_backends[] = {&hak_backend_slabs, NULL};
