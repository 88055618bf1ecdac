/* poison: tells AddressSanitizer which memory nobody may touch. Nothing in other builds.
 *
 * Owns       nothing.
 * Layer      0 (base). Uses nothing.
 */
#ifndef HAK_BASE_POISON_H_
#define HAK_BASE_POISON_H_

#if defined(__SANITIZE_ADDRESS__)
#define HAK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAK_ASAN 1
#endif
#endif

#if defined(HAK_ASAN)
#include <sanitizer/asan_interface.h>
#define hak_poison(address, bytes) __asan_poison_memory_region((address), (bytes))
#define hak_unpoison(address, bytes) __asan_unpoison_memory_region((address), (bytes))
#define HAK_NO_ASAN __attribute__((no_sanitize("address")))
#else
/* not evaluated: on the hit path what gives the size may be a load that compilers do not drop */
#define hak_poison(address, bytes) ((void)sizeof(address), (void)sizeof(bytes))
#define hak_unpoison(address, bytes) ((void)sizeof(address), (void)sizeof(bytes))
#define HAK_NO_ASAN
#endif

#endif /* HAK_BASE_POISON_H_ */
