/* scale: how much work a test does. Sanitizers slow a test down 5 to 20 times, so they get an
 * eighth of it; the environment variable HAK_TEST_SCALE (percent, default 100) lengthens or
 * shortens a run by hand.
 *
 * Owns       nothing.
 * Threads    any.
 */
#ifndef HAK_TESTS_SUPPORT_SCALE_H_
#define HAK_TESTS_SUPPORT_SCALE_H_

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAK_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAK_TEST_SANITIZED 1
#endif
#endif
#ifndef HAK_TEST_SANITIZED
#define HAK_TEST_SANITIZED 0
#endif

#if defined(__SANITIZE_THREAD__)
#define HAK_TEST_THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAK_TEST_THREAD_SANITIZED 1
#endif
#endif
#ifndef HAK_TEST_THREAD_SANITIZED
#define HAK_TEST_THREAD_SANITIZED 0
#endif

/* `amount`, scaled; at least 1. */
static inline unsigned long hak_test_scaled(unsigned long amount) {
    const char *text = getenv("HAK_TEST_SCALE");
    unsigned long percent = text != NULL ? strtoul(text, NULL, 10) : 100;
    unsigned long scaled = amount * percent / (HAK_TEST_SANITIZED ? 800 : 100);
    return scaled > 0 ? scaled : 1;
}

#endif /* HAK_TESTS_SUPPORT_SCALE_H_ */
