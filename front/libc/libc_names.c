/* The names under which the GNU C library exports its own allocator besides the standard ones.
 * Programs that wrap malloc call them to reach the C library's. If they still did, blocks of a
 * second allocator would come to our free, and ours to its.
 *
 * A file of their own, so that the compiler does not make one function of two with the same body:
 * malloc would then begin with a jump. The C library's archive defines them in the object that
 * defines malloc, which is not linked where malloc is ours; so they clash with nothing there.
 */
#include <stddef.h>

#include "base/attr.h"
#include "front/calls/calls.h"
#include "front/gate/gate.h"
#include "front/gate/gate_inl.h"

/* In no header of the C library. */
void *__libc_malloc(size_t size);
void __libc_free(void *block);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);

hak_export void *__libc_malloc(size_t size) { return hak_gate_malloc(size); }
hak_export void __libc_free(void *block) { hak_gate_free_as(block, "__libc_free"); }
hak_export void *__libc_calloc(size_t count, size_t size) { return hak_calls_calloc(count, size); }

hak_export void *__libc_realloc(void *block, size_t size) {
    return hak_calls_realloc(block, size, "__libc_realloc");
}

hak_export void *__libc_memalign(size_t alignment, size_t size) {
    return hak_calls_memalign(alignment, size);
}

hak_export void *__libc_valloc(size_t size) { return hak_calls_valloc(size); }
hak_export void *__libc_pvalloc(size_t size) { return hak_calls_pvalloc(size); }
