/* attr: compiler hints that the rest of the tree uses by name.
 *
 * Owns       nothing: no state, no system call.
 * Layer      0 (base). Uses nothing.
 */
#ifndef HAK_BASE_ATTR_H_
#define HAK_BASE_ATTR_H_

#define hak_likely(x) __builtin_expect(!!(x), 1)
#define hak_unlikely(x) __builtin_expect(!!(x), 0)

/* A slow path: kept out of line so that the hit path stays short, and away from hot code in the
 * text segment. */
#define hak_cold __attribute__((noinline, cold))
/* Out of line but not rare: refill and flush. */
#define hak_noinline __attribute__((noinline))
#define hak_inline static inline __attribute__((always_inline))
#define hak_export __attribute__((visibility("default")))
/* On the declaration of data that the hit path reads: the compiler then addresses it directly.
 * -fvisibility=hidden alone says so for definitions only, and a mere declaration costs a trip
 * through the GOT. */
#define hak_local __attribute__((visibility("hidden")))
#define hak_align_as(n) __attribute__((aligned(n)))
/* printf-like check is not offered: nothing in the allocator formats through stdio. */

/* Cache line of every machine we build for; aarch64 servers with 128 prefetch pairs, which costs
 * nothing here. */
enum { HAK_CACHE_LINE = 64 };

#define hak_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#ifdef __cplusplus
#define hak_static_assert static_assert
#else
#define hak_static_assert _Static_assert
#endif

#endif /* HAK_BASE_ATTR_H_ */
