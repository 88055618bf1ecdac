/* os_fake: makes chosen system calls fail, for tests. The memory is real; only the answer is
 * scripted.
 *
 * Threads    the script may be changed while other threads call; each call sees the old or the new
 *            one.
 * Layer      1 (backends/os), tests only.
 */
#ifndef HAK_BACKENDS_OS_OS_FAKE_H_
#define HAK_BACKENDS_OS_OS_FAKE_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    HAK_OS_CALL_MAP,
    HAK_OS_CALL_RESERVE,
    HAK_OS_CALL_COMMIT,
    HAK_OS_CALL_PURGE,
    HAK_OS_CALL_RESIZE,
    HAK_OS_CALL_MOVE,
    HAK_OS_CALL_RESIDENT,
    HAK_OS_CALL_HUGE,
    HAK_OS_CALL_BARRIER, /* membarrier is missing, as on old kernels, or forbidden later */
    HAK_OS_CALL_COUNT
} hak_os_call_t;

/* From now on calls of this kind succeed `successes` times, then fail `failures` times, then
 * succeed again. `failures` UINT64_MAX: for good. */
void hak_os_fake_fail(hak_os_call_t call, uint64_t successes, uint64_t failures);
/* Every call succeeds again. */
void hak_os_fake_reset(void);
/* Calls of this kind since the start, failed ones included. */
uint64_t hak_os_fake_calls(hak_os_call_t call);
/* Adds to what hak_os_now_ms() returns. */
void hak_os_fake_advance_ms(uint64_t ms);

/* hak_os_thread_us() returns so much more each time. */
void hak_os_fake_slow_down_us(uint64_t us);

/* Asked by the box before each call: true lets it go to the kernel. */
bool hak_os_fake_allows(hak_os_call_t call);
uint64_t hak_os_fake_clock_offset_ms(void);
uint64_t hak_os_fake_thread_us(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_OS_OS_FAKE_H_ */
