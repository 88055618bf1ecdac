/* thread: a thread gets a heap at its first slow path and leaves it when it ends; forks leave all
 * in order.
 *
 * Owns       the thread-specific key, the fork handlers.
 * Threads    any.
 * Layer      6 (front). Uses backends/port, boxes/heap, boxes/tls_sll, core.
 */
#ifndef HAK_FRONT_THREAD_THREAD_H_
#define HAK_FRONT_THREAD_THREAD_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the key. Once, before any other call. */
void hak_thread_init(void);
/* Registers the fork handlers. After hak_thread_init; may allocate. `in_child` runs in the child
 * of each fork, last. */
void hak_thread_init_fork(void (*in_child)(void));

/* The calling thread's heap; attaches one if it has none. NULL if there is no memory for one, or
 * if the thread's destructors ran already: such a thread borrows a heap for each call. */
hak_heap_t *hak_thread_heap(void);
/* The same for a thread that frees: NULL also for its first frees, which may be its last act, after
 * all destructors; a heap that it got then would be lost. */
hak_heap_t *hak_thread_heap_of_free(void);

/* For a thread without: a heap that the caller must return at once. NULL with errno ENOMEM. */
hak_heap_t *hak_thread_borrow(void);
void hak_thread_return(hak_heap_t *heap);

/* Takes every lock of the allocator: no other thread is on a slow path until hak_thread_go_on. */
void hak_thread_stop_all(void);
void hak_thread_go_on(void);

/* Empties the calling thread's bins and batches. */
void hak_thread_flush_all(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_THREAD_THREAD_H_ */
