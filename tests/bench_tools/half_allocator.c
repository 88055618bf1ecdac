/* half_allocator: replaces malloc and forgets free. Figures of such a process would be nobody's. */
#include <stddef.h>

void *__libc_malloc(size_t size);
void *malloc(size_t size);

void *malloc(size_t size) { return __libc_malloc(size); }
