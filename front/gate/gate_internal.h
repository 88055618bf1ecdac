/* gate_internal: what the parts of the gate share. */
#ifndef HAK_FRONT_GATE_GATE_INTERNAL_H_
#define HAK_FRONT_GATE_GATE_INTERNAL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/port/backend.h"
#include "base/atomic.h"
#include "core/errors/errors.h"

typedef enum {
    HAK_KIND_INVALID, /* `error` says why */
    HAK_KIND_BLOCK,   /* a live block of size class `sc` */
    HAK_KIND_LARGE,   /* a live large or huge block */
} hak_kind_t;

/* Everything about a pointer. */
typedef struct {
    hak_kind_t kind;
    hak_error_t error;
    uint32_t tag;
    unsigned sc;
    hak_block_info_t info; /* the block that holds the address; bytes 0 if unknown */
} hak_classified_t;

/* Classifies any address without dereferencing it, unless it is the start of a block of ours or in
 * the part of a slab where no block was made yet. Fills `c` in place: a copy of it would have to
 * wait until all writes before it have reached the cache, because it reads what smaller writes have
 * just put there. */
void hak_gate_classify(const void *address, hak_classified_t *c);

/* For a request that failed: what bins of this thread and other threads hold free may be enough,
 * also if the kernel takes none of it. A large one needs the address space, too, that a trim leaves
 * to slabs. */
void hak_gate_make_room(bool large);
/* Blocks sent one by one to heaps that other threads have, by threads that had none to count in. */
extern hak_a64_t hak_gate_lone_blocks;

/* A block of class `sc`, marked as in use. */
void *hak_gate_alloc_class(unsigned sc);
/* A block above the largest class. */
void *hak_gate_alloc_large(size_t size, size_t align, bool *zeroed);

#endif /* HAK_FRONT_GATE_GATE_INTERNAL_H_ */
