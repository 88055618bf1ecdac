/* The destructor of a thread-specific key tells that a thread ends. POSIX runs the destructors of
 * all keys in any order and in up to four rounds, and other destructors may allocate and free
 * after ours. Such a thread gets no heap again, because nothing would tell us when to take it
 * back: it borrows an idle heap for each allocation and sends each free at once. That is slow,
 * correct, and loses nothing. The C library itself frees after all destructors, also in threads
 * that never allocated; so it takes some frees before a thread that only frees gets a heap.
 */
#include "front/thread/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sys/single_threaded.h>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "backends/port/backend.h"
#include "base/attr.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/learn_log/learn_log.h"
#include "boxes/left_bins/left_bins.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/lock/lock.h"
#include "core/meta/meta.h"
#include "core/options/options.h"
#include "core/owner_lock/owner_lock_inl.h"
#include "registry/registry.h"

/* glibc frees the vectors of thread-local storage: of the thread that ends, if its stack is the
 * program's, and of stacks that it kept for reuse and drops now, of which there are seldom two. */
enum { HAK_LONE_FREES = 64 };

static struct {
    pthread_key_t key;
    bool has_key; /* false if the process has used up its keys: then every thread borrows */
    bool alone;   /* of the fork under way: there is one thread, which has taken no lock for it */
    void (*in_child)(void);
} hak_thread;

/* A thread that lived shorter than memory may wait for its purge leaves its bins to the next. */
static bool hak_leave_bins(hak_heap_t *heap) {
    uint64_t now_ms = hak_os_now_ms();
    bool leaves = now_ms - heap->came_ms < hak_option(HAK_OPTION_PURGE_DELAY_MS);
    if (leaves) {
        hak_owner_lock_take_owner(&heap->lock);
        hak_left_bins_leave_locked(heap, now_ms);
        hak_owner_lock_drop_owner(&heap->lock);
    }
    return leaves;
}

static void hak_thread_leave(hak_heap_t *heap) {
    bool leaves = hak_leave_bins(heap);
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        (*b)->thread_flush(heap);
        (*b)->thread_exit(heap);
    }
    hak_store_rlx(&heap->thread, 0); /* relaxed: who walks the bins knows that they stand still */
    if (!leaves) {
        hak_cache_policy_end_owner(heap);
    }
    hak_tls_sll_detach();
    hak_heap_release_mt(heap);
}

static void hak_thread_ended(void *heap) {
    if (hak_tls.heap == heap) {
        int saved = errno;
        hak_tls.ended = 1;
        hak_thread_leave(heap);
        errno = saved;
    }
}

void hak_thread_init(void) {
    hak_owner_lock_init();
    hak_thread.has_key = pthread_key_create(&hak_thread.key, hak_thread_ended) == 0;
}

/* The bins of the thread before, or empty ones. */
static void hak_fill_bins(hak_heap_t *heap) {
    hak_owner_lock_take_owner(&heap->lock);
    if (!hak_left_bins_any(heap)) {
        hak_cache_policy_start_owner(heap);
    }
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        if (hak_route[sc] != NULL && hak_route[sc]->has_cache) {
            heap->bin_cap[sc] = 0;
        }
    }
    hak_tls_sll_attach(heap, heap->tag, heap->bin_cap, heap->spare_bytes);
    hak_cache_policy_share_owner(heap);
    hak_left_bins_take_locked(heap);
    hak_owner_lock_drop_owner(&heap->lock);
}

static hak_cold hak_heap_t *hak_thread_attach(void) {
    if (hak_tls.ended || !hak_thread.has_key) {
        return NULL;
    }
    hak_heap_t *heap = hak_heap_acquire_mt();
    if (heap == NULL) {
        return NULL;
    }
    hak_fill_bins(heap);
    hak_store_rlx(&heap->thread, (uintptr_t)&hak_tls); /* relaxed: as in hak_thread_leave */
    /* This may call calloc, which finds the heap in place. */
    if (pthread_setspecific(hak_thread.key, heap) != 0) {
        hak_thread_leave(heap);
        return NULL;
    }
    return heap;
}

hak_heap_t *hak_thread_heap(void) {
    hak_heap_t *heap = hak_tls.heap;
    return hak_likely(heap != NULL) ? heap : hak_thread_attach();
}

hak_heap_t *hak_thread_heap_of_free(void) {
    hak_heap_t *heap = hak_tls.heap;
    if (hak_likely(heap != NULL)) {
        return heap;
    }
    if (hak_tls.lone_frees < HAK_LONE_FREES) {
        hak_tls.lone_frees++;
        return NULL;
    }
    return hak_thread_attach();
}

hak_heap_t *hak_thread_borrow(void) { return hak_heap_acquire_mt(); }
void hak_thread_return(hak_heap_t *heap) { hak_heap_release_mt(heap); }

void hak_thread_flush_all(void) {
    hak_heap_t *heap = hak_tls.heap;
    for (const hak_backend_t *const *b = hak_route_backends; heap != NULL && *b != NULL; b++) {
        (*b)->thread_flush(heap);
        if ((*b)->flush_shared != NULL) {
            (*b)->flush_shared();
        }
    }
}

/* In the order of hak_lock_rank_t. */
void hak_thread_stop_all(void) {
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        if ((*b)->pause != NULL) {
            (*b)->pause();
        }
    }
    hak_heap_fork_take(hak_tls.heap);
    hak_large_fork_take();
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        (*b)->fork_take();
    }
    hak_learn_log_fork_take();
    hak_registry_fork_take();
    hak_meta_fork_take();
}

static void hak_release(bool in_child) {
    hak_meta_fork_drop();
    hak_registry_fork_drop();
    hak_learn_log_fork_drop();
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        (*b)->fork_drop(in_child);
    }
    hak_large_fork_drop();
}

static void hak_resume(void) {
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        if ((*b)->go_on != NULL) {
            (*b)->go_on();
        }
    }
}

void hak_thread_go_on(void) {
    hak_release(false);
    hak_heap_fork_drop_parent(hak_tls.heap);
    hak_resume();
}

/* Of the C library, in no header: the lock of its list of streams, which is recursive. A fork takes
 * it after all handlers, and fflush(NULL) holds it while it waits for a stream whose owner may
 * allocate. So it comes before our locks. */
void _IO_list_lock(void) __attribute__((weak));
void _IO_list_unlock(void) __attribute__((weak));
void _IO_list_resetlock(void) __attribute__((weak));

static bool hak_streams_known(void) {
    return _IO_list_lock != NULL && _IO_list_unlock != NULL && _IO_list_resetlock != NULL;
}

/* A process with one thread may fork in a signal handler that interrupted the allocator: it must
 * not wait for a lock that is its own, and needs none. The C library does the same. */
static void hak_fork_prepare(void) {
    bool alone = __libc_single_threaded != 0;
    if (!alone) {
        if (hak_streams_known()) {
            _IO_list_lock();
        }
        hak_thread_stop_all();
    }
    hak_thread.alone = alone; /* under the locks, if there is another thread */
}

static void hak_fork_parent(void) {
    if (hak_thread.alone) {
        return;
    }
    hak_thread_go_on();
    if (hak_streams_known()) {
        _IO_list_unlock();
    }
}

static void hak_fork_child(void) {
    if (!hak_thread.alone) {
        if (hak_streams_known()) {
            _IO_list_resetlock(); /* others may have waited for it, and their count is in it */
        }
        hak_release(true);
        hak_heap_fork_drop_child(hak_tls.heap);
        hak_resume();
    }
    if (hak_thread.in_child != NULL) {
        hak_thread.in_child();
    }
}

void hak_thread_init_fork(void (*in_child)(void)) {
    hak_thread.in_child = in_child;
    /* ENOMEM is the only error; without handlers a fork in a program with threads may find a lock
     * held, as in most allocators. */
    (void)pthread_atfork(hak_fork_prepare, hak_fork_parent, hak_fork_child);
}
