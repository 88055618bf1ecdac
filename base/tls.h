/* tls: thread-local storage reached by its offset from the thread pointer.
 *
 * A hit of malloc touches three words of one thread-local struct at an offset known at run time.
 * x86-64 can address them as %fs:(offset), which saves the instruction that adds up the struct's
 * address; compilers do not find that by themselves. So a pointer into the struct is an address in
 * the %fs segment there (gcc and clang: named address space), and a plain pointer everywhere else,
 * in C++ and under sanitizers, which do not follow segments.
 *
 * Owns       nothing.
 * Layer      0 (base). Uses base/attr.
 */
#ifndef HAK_BASE_TLS_H_
#define HAK_BASE_TLS_H_

#include <stdint.h>

#include "base/attr.h"
#include "base/poison.h"

#if defined(__SANITIZE_THREAD__)
#define HAK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAK_TSAN 1
#endif
#endif

#if defined(__x86_64__) && defined(__SEG_FS) && !defined(__STRICT_ANSI__) &&                       \
    !defined(__cplusplus) && !defined(HAK_ASAN) && !defined(HAK_TSAN)
#define HAK_TLS_SPACE __seg_fs
/* Offset of an initial-exec variable from the thread pointer: one load from the GOT, or a constant
 * in a program. */
#define HAK_TLS_OFFSET_OF(variable)                                                                \
    __extension__({                                                                                \
        uintptr_t offset_;                                                                         \
        __asm__("movq " #variable "@gottpoff(%%rip), %0" : "=r"(offset_));                         \
        offset_;                                                                                   \
    })
/* The same plus `bytes`, in one instruction. In %rcx, because a compiler that may choose takes %rax
 * for it, and then has to move the block that malloc returns there. */
#define HAK_TLS_OFFSET_INTO(variable, bytes)                                                       \
    __extension__({                                                                                \
        uintptr_t offset_ = (bytes);                                                               \
        __asm__("addq " #variable "@gottpoff(%%rip), %0" : "+c"(offset_) : : "cc");                \
        offset_;                                                                                   \
    })
#else
#define HAK_TLS_SPACE
#define HAK_TLS_OFFSET_OF(variable) ((uintptr_t) & (variable))
#define HAK_TLS_OFFSET_INTO(variable, bytes) ((uintptr_t) & (variable) + (bytes))
#endif

#endif /* HAK_BASE_TLS_H_ */
