#include "front/calls/calls.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "base/size_class.h"
#include "config/hak_config.h"
#include "front/gate/gate.h"
#include "front/gate/gate_inl.h"

/* Every block is aligned to this at least. */
enum { HAK_BLOCK_ALIGN = 16 };

/* For requests that never reach the gate, which counts its own failures. */
static void *hak_fail(int error) {
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_FAILED);
    }
    errno = error;
    return NULL;
}

/* Small blocks come from the hit path and are cleared here: clearing costs less than asking whether
 * the memory is fresh. */
void *hak_calls_calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return hak_fail(ENOMEM);
    }
    if (bytes > HAK_SC_SMALL_MAX_BYTES) {
        return hak_gate_calloc(bytes);
    }
    void *block = hak_gate_malloc(bytes);
    return block == NULL ? NULL : memset(block, 0, bytes);
}

void *hak_calls_realloc(void *block, size_t size, const char *call) {
    if (block == NULL) {
        return hak_gate_malloc(size);
    }
    if (size == 0) {
        hak_gate_free_as(block, call);
        return NULL;
    }
    return hak_gate_realloc(block, size, call);
}

void *hak_calls_reallocarray(void *block, size_t count, size_t size, const char *call) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return hak_fail(ENOMEM);
    }
    return hak_calls_realloc(block, bytes, call);
}

static void *hak_aligned_slow(size_t align, size_t size) {
    return align <= HAK_BLOCK_ALIGN ? hak_gate_malloc(size) : hak_gate_aligned(align, size);
}

static void *hak_aligned(size_t align, size_t size) {
    void *block = hak_gate_aligned_cached(align, size);
    return hak_likely(block != NULL) ? block : hak_aligned_slow(align, size);
}

static hak_noinline int hak_posix_memalign_slow(void **out, size_t align, size_t size) {
    int saved = errno;
    void *block = hak_aligned_slow(align, size);
    errno = saved;
    if (block == NULL) {
        return ENOMEM;
    }
    *out = block;
    return 0;
}

int hak_calls_posix_memalign(void **out, size_t align, size_t size) {
    if (hak_unlikely(!hak_is_pow2(align) || align < sizeof(void *))) {
        return EINVAL;
    }
    void *block = hak_gate_aligned_cached(align, size);
    if (hak_unlikely(block == NULL)) {
        return hak_posix_memalign_slow(out, align, size);
    }
    *out = block;
    return 0;
}

void *hak_calls_aligned_alloc(size_t align, size_t size) {
    return hak_is_pow2(align) ? hak_aligned(align, size) : hak_fail(EINVAL);
}

void *hak_calls_memalign(size_t align, size_t size) {
    if (align > SIZE_MAX / 2 + 1) {
        return hak_fail(EINVAL);
    }
    if (!hak_is_pow2(align)) { /* 0 is what glibc takes for any */
        align = align == 0 ? 1 : (size_t)2 << hak_log2_floor(align);
    }
    return hak_aligned(align, size);
}

void *hak_calls_valloc(size_t size) { return hak_aligned(hak_os_page_bytes(), size); }

void *hak_calls_pvalloc(size_t size) {
    size_t page = hak_os_page_bytes();
    if (size > PTRDIFF_MAX - page) {
        return hak_fail(ENOMEM);
    }
    return hak_aligned(page, hak_align_up(size, page));
}

void hak_calls_free_sized(void *block, size_t align, size_t size, const char *call) {
    if (block != NULL && hak_gate_check_sized(block, size, align, call)) {
        hak_gate_free_as(block, call);
    }
}

size_t hak_calls_memalignment(const void *block) {
    uintptr_t address = (uintptr_t)block;
    return address & (0 - address);
}
