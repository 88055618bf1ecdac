/* runtime: finds the C++ runtime of the process, without being linked against one, and throws
 * through it.
 *
 * A C program may load C++ code at any time, and with RTLD_LOCAL, where no symbol of it is visible
 * to us. So we look in this order: symbols that the linker resolved, the global scope, the object
 * that called, every loaded object.
 *
 * A program that links everything statically has only what the linker put in: weak references pull
 * no member out of an archive. There, -Wl,-u,_ZSt17__throw_bad_allocv makes sure of the code that
 * throws.
 *
 * Owns       nothing; every look-up is fresh, since a runtime can be unloaded.
 * Threads    any. Takes the dynamic loader's lock. Called only after an allocation failed.
 * Layer      6 (front). Uses base, core/text, backends/os. Used by front/cxx:operators.
 */
#ifndef HAK_FRONT_CXX_RUNTIME_H_
#define HAK_FRONT_CXX_RUNTIME_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*hak_runtime_code_t)(void);

/* What a failing operator new needs; NULL: not found. */
typedef struct {
    hak_runtime_code_t get_new_handler;  /* std::get_new_handler */
    hak_runtime_code_t throw_bad_alloc;  /* std::__throw_bad_alloc, or the five below it */
    hak_runtime_code_t exception_alloc;  /* __cxa_allocate_exception */
    hak_runtime_code_t exception_throw;  /* __cxa_throw */
    hak_runtime_code_t bad_alloc_delete; /* std::bad_alloc::~bad_alloc */
    void *bad_alloc_type;                /* its std::type_info */
    void *bad_alloc_vtable;
} hak_runtime_t;

/* Fills `*runtime` with what the process has; `caller` is an address in the code that called
 * operator new. */
void hak_runtime_find(hak_runtime_t *runtime, const void *caller);

/* The installed new-handler, or NULL. */
hak_runtime_code_t hak_runtime_handler(const hak_runtime_t *runtime);

/* Throws std::bad_alloc. Where there is no runtime, writes one line about `size` and aborts. */
__attribute__((noreturn)) void hak_runtime_throw_bad_alloc(const hak_runtime_t *runtime,
                                                           size_t size);

/* The first function named `symbol` in the object of `caller`, what it needs, or any loaded object,
 * that is not `ours`; or NULL. */
hak_runtime_code_t hak_runtime_find_other(const char *symbol, hak_runtime_code_t ours,
                                          const void *caller);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_CXX_RUNTIME_H_ */
