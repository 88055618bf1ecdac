/* Linux's memory behind os.h. Private anonymous mappings only: they work in containers, under
 * seccomp filters that allow an ordinary malloc, under valgrind and under user-mode emulation.
 */
#include "backends/os/os.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "backends/os/os_internal.h"
#include "base/atomic.h"
#include "base/attr.h"
#include "base/bits.h"

/* Linux 4.5, 5.4 and 5.7, for C libraries whose headers are older. */
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE /* 4.17 */
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static struct { hak_a64_t mmap, munmap, madvise, mremap, mprotect, failed; } hak_calls;

static void hak_count(hak_a64_t *counter) { hak_add_rlx(counter, 1); /* relaxed: a statistic */ }

/* Counts a failed call and gives its errno. */
static bool hak_fail(int error) {
    hak_count(&hak_calls.failed);
    errno = error;
    return false;
}

size_t hak_os_page_bytes(void) {
    static hak_a64_t cached;
    uint64_t bytes = hak_load_rlx(&cached); /* relaxed: every thread computes the same value */
    if (bytes == 0) {
        bytes = getauxval(AT_PAGESZ);
        bytes = bytes == 0 ? 4096 : bytes;
        hak_store_rlx(&cached, bytes);
    }
    return bytes;
}

static void *hak_mmap(void *hint, size_t bytes, int protection, int more_flags) {
    hak_count(&hak_calls.mmap);
    void *base = mmap(hint, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | more_flags, -1, 0);
    if (base == MAP_FAILED) {
        hak_fail(ENOMEM); /* EAGAIN, EPERM and the like also mean: no memory to be had */
        return NULL;
    }
    return base;
}

void *hak_os_map(size_t bytes) {
    if (!HAK_ALLOWED(HAK_OS_CALL_MAP)) {
        hak_fail(ENOMEM);
        return NULL;
    }
    return hak_mmap(NULL, bytes, PROT_READ | PROT_WRITE, 0);
}

/* Cuts a mapping of `bytes + align` down to the aligned part. */
static void *hak_trim_to(char *base, size_t bytes, size_t align) {
    char *aligned = (char *)hak_align_up((uintptr_t)base, align);
    size_t before = (size_t)(aligned - base);
    size_t after = align - before;
    if (before != 0) {
        hak_os_unmap(base, before);
    }
    if (after != 0) {
        hak_os_unmap(aligned + bytes, after);
    }
    return aligned;
}

/* The kernel places mappings downwards next to each other, so after the first one a mapping whose
 * size is a multiple of `align` is usually aligned at once: one call instead of three. */
void *hak_os_map_aligned(size_t bytes, size_t align) {
    if (!HAK_ALLOWED(HAK_OS_CALL_MAP) || bytes > SIZE_MAX - align) {
        hak_fail(ENOMEM);
        return NULL;
    }
    bytes = hak_align_up(bytes, hak_os_page_bytes());
    if ((bytes & (align - 1)) == 0) {
        char *base = hak_mmap(NULL, bytes, PROT_READ | PROT_WRITE, 0);
        if (base == NULL || ((uintptr_t)base & (align - 1)) == 0) {
            return base;
        }
        hak_os_unmap(base, bytes);
    }
    /* Without access nothing is charged, so that what is cut off never was; and then as much as for
     * an ordinary mapping, so that the kernel refuses what it would refuse there. */
    char *wide = hak_mmap(NULL, bytes + align, PROT_NONE, 0);
    if (wide == NULL) {
        return NULL;
    }
    char *base = hak_trim_to(wide, bytes, align);
    hak_count(&hak_calls.mprotect);
    if (mprotect(base, bytes, PROT_READ | PROT_WRITE) != 0) {
        hak_os_unmap(base, bytes);
        hak_fail(ENOMEM);
        return NULL;
    }
    return base;
}

void *hak_os_reserve(size_t bytes) {
    if (!HAK_ALLOWED(HAK_OS_CALL_RESERVE)) {
        hak_fail(ENOMEM);
        return NULL;
    }
    void *base = hak_mmap(NULL, bytes, PROT_READ, MAP_NORESERVE);
    if (base != NULL) {
        hak_os_no_huge(base, bytes);
        hak_count(&hak_calls.madvise);
        (void)madvise(base, bytes, MADV_DONTDUMP); /* advice: a core dump may be larger, no more */
    }
    return base;
}

bool hak_os_reserve_at(void *base, size_t bytes) {
    if (!HAK_ALLOWED(HAK_OS_CALL_RESERVE)) {
        return hak_fail(ENOMEM);
    }
    void *got = hak_mmap(base, bytes, PROT_READ, MAP_NORESERVE | MAP_FIXED_NOREPLACE);
    if (got == NULL) {
        return false;
    }
    if (got != base) { /* a kernel before 4.17 takes the place for a wish */
        hak_os_unmap(got, bytes);
        return hak_fail(ENOMEM);
    }
    (void)madvise(base, bytes, MADV_DONTDUMP); /* as above */
    return true;
}

bool hak_os_commit(void *base, size_t bytes) {
    if (!hak_os_commit_held(base, bytes)) {
        return false;
    }
    (void)madvise(base, bytes, MADV_DODUMP);
    return true;
}

/* munmap fails only when splitting a mapping would pass vm.max_map_count. The pages are then given
 * back and the address space stays, which costs nothing but address space. */
void hak_os_unmap(void *base, size_t bytes) {
    int saved = errno;
    hak_count(&hak_calls.munmap);
    if (munmap(base, bytes) != 0) {
        hak_count(&hak_calls.failed);
        (void)madvise(base, bytes, MADV_DONTNEED);
    }
    errno = saved;
}

bool hak_os_purge(void *base, size_t bytes) {
    int saved = errno;
    hak_count(&hak_calls.madvise);
    bool done = HAK_ALLOWED(HAK_OS_CALL_PURGE) && madvise(base, bytes, MADV_DONTNEED) == 0;
    if (!done) {
        hak_count(&hak_calls.failed);
    }
    errno = saved;
    return done;
}

bool hak_os_resident(void *base, size_t bytes, unsigned char *resident) {
    int saved = errno;
    bool done = HAK_ALLOWED(HAK_OS_CALL_RESIDENT) && mincore(base, bytes, resident) == 0;
    if (!done) {
        hak_count(&hak_calls.failed);
    }
    errno = saved;
    return done;
}

/* That it cannot be done in place is no failure. */
bool hak_os_resize(void *base, size_t old_bytes, size_t new_bytes) {
    hak_count(&hak_calls.mremap);
    if (!HAK_ALLOWED(HAK_OS_CALL_RESIZE)) {
        errno = ENOMEM;
        return false;
    }
    return mremap(base, old_bytes, new_bytes, 0) != MAP_FAILED;
}

void *hak_os_hold_aligned(size_t bytes, size_t align) {
    if (!HAK_ALLOWED(HAK_OS_CALL_MAP) || bytes > SIZE_MAX - align) {
        hak_fail(ENOMEM);
        return NULL;
    }
    char *wide = hak_mmap(NULL, bytes + align, PROT_NONE, MAP_NORESERVE);
    return wide == NULL ? NULL : hak_trim_to(wide, bytes, align);
}

bool hak_os_commit_held(void *base, size_t bytes) {
    hak_count(&hak_calls.mprotect);
    if (!HAK_ALLOWED(HAK_OS_CALL_COMMIT) || mprotect(base, bytes, PROT_READ | PROT_WRITE) != 0) {
        return hak_fail(ENOMEM);
    }
    return true;
}

/* Not a new mapping: it might stay apart from its neighbours, and blocks move as one mapping. Where
 * there are several, the kernel may refuse a later one, as splitting it would pass
 * vm.max_map_count, when the first have lost their access already. What then cannot be undone is
 * held. */
bool hak_os_hold_again(void *base, size_t bytes) {
    int saved = errno;
    struct rlimit data;
    bool done = getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_cur != RLIM_INFINITY &&
                HAK_ALLOWED(HAK_OS_CALL_COMMIT) &&
                (mprotect(base, bytes, PROT_NONE) == 0 ||
                 mprotect(base, bytes, PROT_READ | PROT_WRITE) != 0);
    hak_add_rlx(&hak_calls.mprotect, done); /* relaxed: a statistic */
    errno = saved;
    return done;
}

/* Lets go of a held range that a failed mremap may have unmapped already, so that others may have
 * got it meanwhile: takes it once more where nothing is, and only what was so taken is unmapped.
 * Else it stays: address space, if it is still ours. */
static void hak_drop_doubtful(void *base, size_t bytes) {
    void *taken = hak_mmap(base, bytes, PROT_NONE, MAP_NORESERVE | MAP_FIXED_NOREPLACE);
    if (taken != NULL) { /* before Linux 4.17 perhaps elsewhere */
        hak_os_unmap(taken, bytes);
    }
}

bool hak_os_move(void *base, size_t old_bytes, void *target, size_t new_bytes) {
    hak_count(&hak_calls.mremap);
    if (!HAK_ALLOWED(HAK_OS_CALL_MOVE)) {
        hak_os_unmap(target, new_bytes);
        return hak_fail(ENOMEM);
    }
    if (mremap(base, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target) == MAP_FAILED) {
        hak_drop_doubtful(target, new_bytes);
        return hak_fail(ENOMEM);
    }
    return true;
}

void *hak_os_detach(void *base, size_t bytes) {
    int saved = errno;
    hak_count(&hak_calls.mremap);
    void *pages = MAP_FAILED;
    /* MADV_COLD is refused where memory is locked, and else means little for one page. */
    if (HAK_ALLOWED(HAK_OS_CALL_MOVE) && madvise(base, hak_os_page_bytes(), MADV_COLD) == 0) {
        pages = mremap(base, bytes, bytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    }
    if (pages == MAP_FAILED) {
        hak_count(&hak_calls.failed);
        pages = NULL;
    } else {
        /* changes nothing for the kernel, but user-mode emulation takes the part for unmapped */
        (void)mprotect(base, bytes, PROT_READ | PROT_WRITE);
    }
    errno = saved;
    return pages;
}

void hak_os_no_huge(void *base, size_t bytes) {
    int saved = errno;
    hak_count(&hak_calls.madvise);
    (void)madvise(base, bytes, MADV_NOHUGEPAGE);
    errno = saved;
}

bool hak_os_want_huge(void *base, size_t bytes) {
    int saved = errno;
    hak_count(&hak_calls.madvise);
    bool done = HAK_ALLOWED(HAK_OS_CALL_HUGE) && madvise(base, bytes, MADV_HUGEPAGE) == 0;
    errno = saved;
    return done;
}

/* Fresh memory reads as zero, so a zero is written. */
bool hak_os_get_huge(void *base, size_t bytes) {
    size_t page = hak_os_page_bytes();
    unsigned char last = 0;
    *(volatile unsigned char *)base = 0;
    return hak_os_resident((char *)base + bytes - page, page, &last) && (last & 1u) != 0;
}

/* The first purge is for tables of small pages. Without a huge page what is resident may be a
 * smaller one, or nobody can tell. */
bool hak_os_touch_huge(void *base, size_t bytes) {
    int saved = errno;
    bool came = false;
    hak_count(&hak_calls.madvise);
    if (madvise(base, bytes, MADV_DONTNEED) == 0 && hak_os_want_huge(base, bytes)) {
        came = hak_os_get_huge(base, bytes);
        if (!came) {
            (void)madvise((char *)base + hak_os_page_bytes(), bytes - hak_os_page_bytes(),
                          MADV_DONTNEED);
        }
    }
    hak_os_no_huge(base, bytes);
    errno = saved;
    return came;
}

/* The kernel splits what it is to treat as cold, if that is a part of a huge page (Linux 5.4). */
void hak_os_split_huge(void *page) {
    int saved = errno;
    hak_count(&hak_calls.madvise);
    (void)madvise(page, hak_os_page_bytes(), MADV_COLD);
    errno = saved;
}

void hak_os_calls(hak_os_calls_t *out) {
    out->mmap = hak_load_rlx(&hak_calls.mmap);
    out->munmap = hak_load_rlx(&hak_calls.munmap);
    out->madvise = hak_load_rlx(&hak_calls.madvise);
    out->mremap = hak_load_rlx(&hak_calls.mremap);
    out->mprotect = hak_load_rlx(&hak_calls.mprotect);
    out->failed = hak_load_rlx(&hak_calls.failed);
}
