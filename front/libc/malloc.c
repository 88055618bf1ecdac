/* The names of the C library for allocation. A program that links or preloads this gets them all,
 * so no block of another allocator reaches us through the standard interface, nor one of ours
 * another allocator.
 */
#include <malloc.h>
#include <stdlib.h>

#include "base/attr.h"
#include "front/calls/calls.h"
#include "front/gate/gate.h"
#include "front/gate/gate_inl.h"

/* Not in the headers of every C library: C23, and a SunOS name that the GNU C library once
 * exported. */
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);
size_t memalignment(const void *block);
void cfree(void *block);

hak_export void *malloc(size_t size) { return hak_gate_malloc(size); }
hak_export void free(void *block) { hak_gate_free(block); }
hak_export void cfree(void *block) { hak_gate_free_as(block, "cfree"); }
hak_export void *calloc(size_t count, size_t size) { return hak_calls_calloc(count, size); }

hak_export void *realloc(void *block, size_t size) {
    return hak_calls_realloc(block, size, "realloc");
}

hak_export void *reallocarray(void *block, size_t count, size_t size) {
    return hak_calls_reallocarray(block, count, size, "reallocarray");
}

hak_export void free_sized(void *block, size_t size) {
    hak_calls_free_sized(block, 0, size, "free_sized");
}

hak_export void free_aligned_sized(void *block, size_t alignment, size_t size) {
    hak_calls_free_sized(block, alignment, size, "free_aligned_sized");
}

hak_export int posix_memalign(void **out, size_t alignment, size_t size) {
    return hak_calls_posix_memalign(out, alignment, size);
}

hak_export void *aligned_alloc(size_t alignment, size_t size) {
    return hak_calls_aligned_alloc(alignment, size);
}

hak_export void *memalign(size_t alignment, size_t size) {
    return hak_calls_memalign(alignment, size);
}
hak_export void *valloc(size_t size) { return hak_calls_valloc(size); }
hak_export void *pvalloc(size_t size) { return hak_calls_pvalloc(size); }

hak_export size_t malloc_usable_size(void *block) {
    return hak_gate_usable(block, "malloc_usable_size");
}
hak_export size_t memalignment(const void *block) { return hak_calls_memalignment(block); }
hak_export int malloc_trim(size_t keep_bytes) { return hak_gate_trim(keep_bytes); }
