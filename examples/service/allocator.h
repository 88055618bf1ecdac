/* allocator: tells which allocator serves a program, whether it was linked with hakmem or not.
 *
 * Owns       nothing.
 * Threads    any.
 */
#ifndef HAKMEM_EXAMPLES_SERVICE_ALLOCATOR_H_
#define HAKMEM_EXAMPLES_SERVICE_ALLOCATOR_H_

#ifdef __cplusplus
extern "C" {
#endif

/* "hakmem 0.1.0 (hakmem)" if a block from malloc() belongs to hakmem, else "libc". */
const char *allocator_name(void);

#ifdef __cplusplus
}
#endif
#endif /* HAKMEM_EXAMPLES_SERVICE_ALLOCATOR_H_ */
