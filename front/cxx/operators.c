/* operator new and delete, in C under their mangled names (Itanium C++ ABI, size_t is unsigned
 * long), so that the hit path is the same inline code as malloc's and nothing needs a C++ runtime
 * until an allocation fails.
 *
 * Compiled with -fexceptions: an exception of a new-handler, or the std::bad_alloc of ours, unwinds
 * through here.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/bits.h"
#include "config/hak_config.h"
#include "front/cxx/catch.h"
#include "front/cxx/runtime.h"
#include "front/gate/gate.h"
#include "front/gate/gate_inl.h"

#define HAK_OPERATOR(symbol) __asm__(symbol) hak_export

/* A failed request, on its way through the new-handlers. `align` 0: none was given. */
typedef struct {
    size_t size, align;
    const void *caller;
    hak_runtime_t runtime;
} hak_request_t;

static void *hak_try(size_t size, size_t align) {
    return align == 0 ? hak_gate_malloc(size) : hak_gate_aligned(align, size);
}

/* Calls the new-handler, which may free memory, install another handler, throw or end the program,
 * until there is a block. NULL: no handler is installed. */
static void *hak_retry(hak_request_t *request) {
    for (;;) {
        hak_runtime_code_t handler = hak_runtime_handler(&request->runtime);
        if (handler == NULL) {
            return NULL;
        }
        handler();
        void *block = hak_try(request->size, request->align);
        if (block != NULL) {
            return block;
        }
    }
}

static void *hak_retry_work(void *request) { return hak_retry(request); }

/* The two failing ends are called last by the operators or their slow sides, usually by a jump, so
 * their return address is in the code that called operator new. Where it is not, the search for a
 * runtime begins with this library, in vain, and goes on through all others. */
#define HAK_CALLER() __builtin_return_address(0)

static hak_cold void *hak_new_failed(size_t size, size_t align) {
    hak_request_t request = {.size = size, .align = align, .caller = HAK_CALLER()};
    hak_runtime_find(&request.runtime, request.caller);
    /* An alignment that is no power of two can never be met: no handler helps. */
    void *block = align != 0 && !hak_is_pow2(align) ? NULL : hak_retry(&request);
    if (block == NULL) {
        hak_runtime_throw_bad_alloc(&request.runtime, size);
    }
    return block;
}

void *hak_new_nothrow(size_t size, const void *nothrow) HAK_OPERATOR("_ZnwmRKSt9nothrow_t");
void *hak_new_aligned_nothrow(size_t size, size_t align, const void *nothrow)
    HAK_OPERATOR("_ZnwmSt11align_val_tRKSt9nothrow_t");

/* With a runtime that came late we have no catch clause, but the runtime's own nothrow operator new
 * has: it calls operator new, which is ours, and catches. */
static void *hak_retry_in_runtime(hak_request_t *request) {
    static const char nothrow = 0; /* stands for std::nothrow, an object without content */
    if (request->align == 0) {
        hak_runtime_code_t code = hak_runtime_find_other(
            "_ZnwmRKSt9nothrow_t", (hak_runtime_code_t)hak_new_nothrow, request->caller);
        if (code != NULL) {
            return ((void *(*)(size_t, const void *))code)(request->size, &nothrow);
        }
    } else {
        hak_runtime_code_t code =
            hak_runtime_find_other("_ZnwmSt11align_val_tRKSt9nothrow_t",
                                   (hak_runtime_code_t)hak_new_aligned_nothrow, request->caller);
        if (code != NULL) {
            return ((void *(*)(size_t, size_t, const void *))code)(request->size, request->align,
                                                                   &nothrow);
        }
    }
    return hak_retry(request);
}

static hak_cold void *hak_new_nothrow_failed(size_t size, size_t align) {
    hak_request_t request = {.size = size, .align = align, .caller = HAK_CALLER()};
    if (align != 0 && !hak_is_pow2(align)) {
        return NULL;
    }
    hak_runtime_find(&request.runtime, request.caller);
    if (hak_runtime_handler(&request.runtime) == NULL) {
        return NULL;
    }
    if (hak_catch_is_available()) {
        return hak_catch_call(hak_retry_work, &request);
    }
    return hak_retry_in_runtime(&request);
}

/* Misses: functions of their own, so that a hit needs no stack frame. */
static hak_noinline void *hak_new_slow(size_t size) {
    void *block = hak_gate_alloc_slow(size);
    return hak_likely(block != NULL) ? block : hak_new_failed(size, 0);
}

static hak_noinline void *hak_new_nothrow_slow(size_t size) {
    void *block = hak_gate_alloc_slow(size);
    return hak_likely(block != NULL) ? block : hak_new_nothrow_failed(size, 0);
}

static inline void *hak_new_inline(size_t size) {
    void *block = hak_gate_malloc_cached(size);
    return hak_likely(block != NULL) ? block : hak_new_slow(size);
}

static inline void *hak_new_nothrow_inline(size_t size) {
    void *block = hak_gate_malloc_cached(size);
    return hak_likely(block != NULL) ? block : hak_new_nothrow_slow(size);
}

static hak_noinline void *hak_new_aligned_slow(size_t size, size_t align) {
    void *block = hak_is_pow2(align) ? hak_gate_aligned(align, size) : NULL;
    return hak_likely(block != NULL) ? block : hak_new_failed(size, align);
}

static hak_noinline void *hak_new_aligned_nothrow_slow(size_t size, size_t align) {
    void *block = hak_is_pow2(align) ? hak_gate_aligned(align, size) : NULL;
    return hak_likely(block != NULL) ? block : hak_new_nothrow_failed(size, align);
}

static inline void *hak_new_aligned_cached(size_t size, size_t align) {
    return hak_likely(hak_is_pow2(align)) ? hak_gate_aligned_cached(align, size) : NULL;
}

static inline void *hak_new_aligned_inline(size_t size, size_t align) {
    void *block = hak_new_aligned_cached(size, align);
    return hak_likely(block != NULL) ? block : hak_new_aligned_slow(size, align);
}

static inline void *hak_new_aligned_nothrow_inline(size_t size, size_t align) {
    void *block = hak_new_aligned_cached(size, align);
    return hak_likely(block != NULL) ? block : hak_new_aligned_nothrow_slow(size, align);
}

/* What lines about misuse call all forms. */
#define HAK_DELETE "operator delete"

/* The compiler knows the size of what it deletes, hakmem knows it better; debug builds compare. */
static inline void hak_delete_checked(void *block, size_t size, size_t align) {
    if (hak_cfg_debug && block != NULL && !hak_gate_check_sized(block, size, align, HAK_DELETE)) {
        return;
    }
    hak_gate_free_as(block, HAK_DELETE);
}

void *hak_new(size_t size) HAK_OPERATOR("_Znwm");
void *hak_new_array(size_t size) HAK_OPERATOR("_Znam");
void *hak_new_array_nothrow(size_t size, const void *nothrow) HAK_OPERATOR("_ZnamRKSt9nothrow_t");
void *hak_new_aligned(size_t size, size_t align) HAK_OPERATOR("_ZnwmSt11align_val_t");
void *hak_new_array_aligned(size_t size, size_t align) HAK_OPERATOR("_ZnamSt11align_val_t");
void *hak_new_array_aligned_nothrow(size_t size, size_t align, const void *nothrow)
    HAK_OPERATOR("_ZnamSt11align_val_tRKSt9nothrow_t");

void *hak_new(size_t size) { return hak_new_inline(size); }
void *hak_new_array(size_t size) { return hak_new_inline(size); }

void *hak_new_nothrow(size_t size, const void *nothrow) {
    (void)nothrow;
    return hak_new_nothrow_inline(size);
}

void *hak_new_array_nothrow(size_t size, const void *nothrow) {
    (void)nothrow;
    return hak_new_nothrow_inline(size);
}

void *hak_new_aligned(size_t size, size_t align) { return hak_new_aligned_inline(size, align); }
void *hak_new_array_aligned(size_t size, size_t align) {
    return hak_new_aligned_inline(size, align);
}

void *hak_new_aligned_nothrow(size_t size, size_t align, const void *nothrow) {
    (void)nothrow;
    return hak_new_aligned_nothrow_inline(size, align);
}

void *hak_new_array_aligned_nothrow(size_t size, size_t align, const void *nothrow) {
    (void)nothrow;
    return hak_new_aligned_nothrow_inline(size, align);
}

void hak_delete(void *block) HAK_OPERATOR("_ZdlPv");
void hak_delete_array(void *block) HAK_OPERATOR("_ZdaPv");
void hak_delete_sized(void *block, size_t size) HAK_OPERATOR("_ZdlPvm");
void hak_delete_array_sized(void *block, size_t size) HAK_OPERATOR("_ZdaPvm");
void hak_delete_nothrow(void *block, const void *nothrow) HAK_OPERATOR("_ZdlPvRKSt9nothrow_t");
void hak_delete_array_nothrow(void *block, const void *nothrow)
    HAK_OPERATOR("_ZdaPvRKSt9nothrow_t");
void hak_delete_aligned(void *block, size_t align) HAK_OPERATOR("_ZdlPvSt11align_val_t");
void hak_delete_array_aligned(void *block, size_t align) HAK_OPERATOR("_ZdaPvSt11align_val_t");
void hak_delete_sized_aligned(void *block, size_t size, size_t align)
    HAK_OPERATOR("_ZdlPvmSt11align_val_t");
void hak_delete_array_sized_aligned(void *block, size_t size, size_t align)
    HAK_OPERATOR("_ZdaPvmSt11align_val_t");
void hak_delete_aligned_nothrow(void *block, size_t align, const void *nothrow)
    HAK_OPERATOR("_ZdlPvSt11align_val_tRKSt9nothrow_t");
void hak_delete_array_aligned_nothrow(void *block, size_t align, const void *nothrow)
    HAK_OPERATOR("_ZdaPvSt11align_val_tRKSt9nothrow_t");

void hak_delete(void *block) { hak_gate_free_as(block, HAK_DELETE); }
void hak_delete_array(void *block) { hak_gate_free_as(block, HAK_DELETE); }
void hak_delete_sized(void *block, size_t size) { hak_delete_checked(block, size, 0); }
void hak_delete_array_sized(void *block, size_t size) { hak_delete_checked(block, size, 0); }

void hak_delete_nothrow(void *block, const void *nothrow) {
    (void)nothrow;
    hak_gate_free_as(block, HAK_DELETE);
}

void hak_delete_array_nothrow(void *block, const void *nothrow) {
    (void)nothrow;
    hak_gate_free_as(block, HAK_DELETE);
}

void hak_delete_aligned(void *block, size_t align) { hak_delete_checked(block, 0, align); }
void hak_delete_array_aligned(void *block, size_t align) { hak_delete_checked(block, 0, align); }
void hak_delete_sized_aligned(void *block, size_t size, size_t align) {
    hak_delete_checked(block, size, align);
}
void hak_delete_array_sized_aligned(void *block, size_t size, size_t align) {
    hak_delete_checked(block, size, align);
}

void hak_delete_aligned_nothrow(void *block, size_t align, const void *nothrow) {
    (void)nothrow;
    hak_delete_checked(block, 0, align);
}

void hak_delete_array_aligned_nothrow(void *block, size_t align, const void *nothrow) {
    (void)nothrow;
    hak_delete_checked(block, 0, align);
}
