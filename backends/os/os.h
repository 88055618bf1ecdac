/* os: the only door to the kernel. Memory, barriers, waiting and output go through here and
 * nowhere else.
 *
 * Owns       the counts of system calls.
 * Threads    every function may be called on any thread. None allocates, none takes a lock.
 * Errors     a failed call returns NULL or false and leaves errno as the kernel set it. The void
 *            ones keep errno.
 * Layer      1 (backends/os). Uses base. `os_fake` implements the same header with failures on
 *            demand, for tests.
 */
#ifndef HAK_BACKENDS_OS_OS_H_
#define HAK_BACKENDS_OS_OS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of a user address: what the flat registry map must cover. Linux hands out no higher address
 * unless asked. */
#if defined(__x86_64__)
enum { HAK_OS_ADDRESS_BITS = 47 };
#else
enum { HAK_OS_ADDRESS_BITS = 48 };
#endif

/* The process's environment. `passed` is a constructor's third argument, for one that runs before
 * the C library has set `environ`; only the GNU C library passes it. */
char **hak_os_environment(char **passed);

/* Size of an OS page in bytes, read from the auxiliary vector: 4, 16 or 64 KiB. */
size_t hak_os_page_bytes(void);

/* Maps `bytes` of zeroed memory, readable and writable. NULL with errno ENOMEM. */
void *hak_os_map(size_t bytes);
/* The same, aligned to `align`, a power of two above the OS page. */
void *hak_os_map_aligned(size_t bytes, size_t align);
/* Maps `bytes` of zeroes that can only be read: address space alone, charged to no one, out of
 * core dumps, never huge pages. Locking the process's memory maps the shared zero page there and
 * makes nothing resident. */
void *hak_os_reserve(size_t bytes);
/* Reserves a part again that was unmapped. False if the place is taken. */
bool hak_os_reserve_at(void *base, size_t bytes);
/* Makes a part of a reservation writable. */
bool hak_os_commit(void *base, size_t bytes);
void hak_os_unmap(void *base, size_t bytes);

/* Gives the pages back; they read as zero afterwards. False if the kernel refuses, as for locked
 * memory: the content is then unchanged. */
bool hak_os_purge(void *base, size_t bytes);
/* Tells in bit 0 of a byte for each OS page whether it is resident. One that is not reads as zero,
 * or was swapped out: only a purge makes sure. False if the kernel does not tell. */
bool hak_os_resident(void *base, size_t bytes, unsigned char *resident);
/* Grows or shrinks a mapping without moving it. False with errno EFAULT: the program has changed
 * parts of it (madvise, mlock ...), so that it cannot be moved as one either. */
bool hak_os_resize(void *base, size_t old_bytes, size_t new_bytes);
/* Holds address space without access, for hak_os_move or hak_os_commit_held. NULL with errno
 * ENOMEM. */
void *hak_os_hold_aligned(size_t bytes, size_t align);
/* Makes a part of a held range readable and writable; it reads as zero. */
bool hak_os_commit_held(void *base, size_t bytes);
/* Holds a part again that was committed and has been purged, if the process's data is limited: the
 * limit counts it no more. False: it can be used as before. */
bool hak_os_hold_again(void *base, size_t bytes);
/* Moves the pages of a mapping to `target`, a held range of `new_bytes`. False: the pages are where
 * they were, and the range is not the caller's any more. */
bool hak_os_move(void *base, size_t old_bytes, void *target, size_t new_bytes);
/* Moves the pages of a part of a mapping that may be written to a mapping of their own, which is
 * returned. The part stays mapped and reads as zero. NULL: nothing changed; the kernel is older
 * than 5.7, say, or the memory is locked, which the rest of the mapping would no longer be. */
void *hak_os_detach(void *base, size_t bytes);
/* Tells the kernel not to use huge pages here. Advice: failure is ignored. */
void hak_os_no_huge(void *base, size_t bytes);
/* Asks for huge pages where none is resident yet. False if the kernel refuses. It makes none where
 * there are tables for small pages, which it takes back with a purge of 2 MiB (Linux 6.14). */
bool hak_os_want_huge(void *base, size_t bytes);
/* Writes a zero to fresh memory of the size of a huge page, and aligned to it, in which huge pages
 * were asked for. True if it is resident as one. */
bool hak_os_get_huge(void *base, size_t bytes);
/* Makes fresh memory of the size of a huge page, and aligned to it, resident as one, also where the
 * kernel was told not to. It is told so again: it would else make what is purged there resident
 * once more. False: there is no huge page to be had, and no more than the first OS page is
 * resident. */
bool hak_os_touch_huge(void *base, size_t bytes);
/* Has the kernel split the huge page of which `page` is an OS page: what is purged of a huge page
 * otherwise leaves the process but not the huge page, which stays in use as a whole until the
 * kernel is short of memory. Advice: failure is ignored. */
void hak_os_split_huge(void *page);

/* Limits that decide whether the flat registry may be used: false if address space is limited or
 * if the process seems set up to lock its memory: it may lock some, and more than is usual. */
bool hak_os_address_space_is_free(void);

/* Registers the process, and children that it forks, for hak_os_barrier(). False if the kernel has
 * no expedited membarrier. */
bool hak_os_barrier_register(void);
/* Makes every other thread of the process execute a full memory barrier. False: it did not, as the
 * call is forbidden since it was registered (seccomp). */
bool hak_os_barrier(void);

/* Waits while *word == seen, at most about `timeout_ms` (< 0: no limit); may return early without
 * cause. */
void hak_os_wait(const uint32_t *word, uint32_t seen, int timeout_ms);
void hak_os_wake(const uint32_t *word, int count);
void hak_os_yield(void);

/* Monotonic time in milliseconds, at the kernel's tick resolution (1 to 10 ms). */
uint64_t hak_os_now_ms(void);
/* Processor time of the calling thread in microseconds; a system call. */
uint64_t hak_os_thread_us(void);
/* A number that differs between runs: from AT_RANDOM, or the address space layout. */
uint64_t hak_os_random(void);
uint32_t hak_os_pid(void);
/* True if the program runs with more rights than its caller (AT_SECURE). */
bool hak_os_is_secure(void);

/* Writes all of `text`, retrying after signals. False with errno of write. */
bool hak_os_write(int fd, const char *text, size_t bytes);

typedef struct {
    uint64_t mmap, munmap, madvise, mremap, mprotect, failed;
} hak_os_calls_t;
void hak_os_calls(hak_os_calls_t *out);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_OS_OS_H_ */
