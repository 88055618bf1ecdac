/* atomic_hooks: what an atomic operation becomes in the scheduled configuration
 * (//config:kernel=scheduled): a call of the scheduler of tests/sched, which decides what other
 * threads do first and which value a load sees.
 *
 * Every place in the source that holds an atomic operation has a record, a site. The linker
 * collects them in one section, so that the scheduler knows all of them, those that no test reaches
 * too, and can weaken one at a time.
 *
 * Owns       the layout of hak_site_t.
 * Layer      0 (base). Included by base/atomic.h alone; the functions are defined in tests/sched.
 */
#ifndef HAK_BASE_ATOMIC_HOOKS_H_
#define HAK_BASE_ATOMIC_HOOKS_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    HAK_SITE_LOAD,
    HAK_SITE_STORE,
    HAK_SITE_SWAP,
    HAK_SITE_ADD,
    HAK_SITE_CAS
} hak_site_kind_t;

/* Size and alignment agree, so that the records in the section form an array. */
typedef struct {
    const char *file, *function;
    const char *word; /* the operand as written, "&lock->state" */
    uint32_t line;
    uint32_t kind;  /* hak_site_kind_t */
    int32_t order;  /* as written: __ATOMIC_... */
    uint32_t group; /* set by the scheduler: the same for all copies of an inline function */
} __attribute__((aligned(64))) hak_site_t;

uint64_t hak_hook_load(const void *word, unsigned bytes, hak_site_t *site);
void hak_hook_store(void *word, unsigned bytes, uint64_t value, hak_site_t *site);
uint64_t hak_hook_swap(void *word, unsigned bytes, uint64_t value, hak_site_t *site);
uint64_t hak_hook_add(void *word, unsigned bytes, uint64_t value, hak_site_t *site);
/* A failed one has acquire order if it is sequentially consistent, else it is relaxed. */
bool hak_hook_cas(void *word, unsigned bytes, uint64_t *expected, uint64_t value, bool weak,
                  hak_site_t *site);

#ifdef __cplusplus
}
#endif

#define HAK_SITE_AS(name, kind, text, order)                                                       \
    __extension__({                                                                                \
        static hak_site_t name __attribute__((section("hak_sites"), used)) = {                     \
            __FILE__, __func__, text, __LINE__, HAK_SITE_##kind, __ATOMIC_##order, 0};             \
        &name;                                                                                     \
    })
#define HAK_SITE_NUMBERED(n, kind, text, order) HAK_SITE_AS(hak_site_##n, kind, text, order)
/* Through two macros, so that the counter is a number when it becomes part of a name. */
#define HAK_SITE_COUNTED(n, kind, text, order) HAK_SITE_NUMBERED(n, kind, text, order)
#define HAK_SITE(kind, text, order) HAK_SITE_COUNTED(__COUNTER__, kind, text, order)

/* Statement expressions, so that nobody has to use the result. */
#define HAK_ATOMIC_LOAD(w, order)                                                                  \
    __extension__(                                                                                 \
        { (__typeof__(+(w)->v))hak_hook_load(&(w)->v, sizeof(w)->v, HAK_SITE(LOAD, #w, order)); })
#define HAK_ATOMIC_STORE(w, x, order)                                                              \
    hak_hook_store(&(w)->v, sizeof(w)->v, (x), HAK_SITE(STORE, #w, order))
#define HAK_ATOMIC_SWAP(w, x, order)                                                               \
    __extension__({                                                                                \
        (__typeof__(+(w)->v))hak_hook_swap(&(w)->v, sizeof(w)->v, (x), HAK_SITE(SWAP, #w, order)); \
    })
#define HAK_ATOMIC_ADD(w, x, order)                                                                \
    __extension__({                                                                                \
        (__typeof__(+(w)->v))hak_hook_add(&(w)->v, sizeof(w)->v, (x), HAK_SITE(ADD, #w, order));   \
    })
#define HAK_ATOMIC_SUB(w, x, order) HAK_ATOMIC_ADD(w, -(uint64_t)(x), order)
#define HAK_CAS_AS(seen, expected, w, x, weak, order)                                              \
    __extension__({                                                                                \
        uint64_t seen = *(expected);                                                               \
        bool swapped_##seen =                                                                      \
            hak_hook_cas(&(w)->v, sizeof(w)->v, &seen, (x), weak, HAK_SITE(CAS, #w, order));       \
        *(expected) = (__typeof__(+(w)->v))seen;                                                   \
        swapped_##seen;                                                                            \
    })
#define HAK_CAS_NUMBERED(n, expected, w, x, weak, order)                                           \
    HAK_CAS_AS(hak_seen_##n, expected, w, x, weak, order)
#define HAK_CAS_COUNTED(n, expected, w, x, weak, order)                                            \
    HAK_CAS_NUMBERED(n, expected, w, x, weak, order)
#define HAK_ATOMIC_CAS(w, expected, x, weak, order, failure)                                       \
    HAK_CAS_COUNTED(__COUNTER__, expected, w, x, weak, order)

#endif /* HAK_BASE_ATOMIC_HOOKS_H_ */
