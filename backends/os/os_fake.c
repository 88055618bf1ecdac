#include "backends/os/os_fake.h"

#include "base/atomic.h"

typedef struct {
    hak_a64_t calls, successes, failures;
} hak_script_t;

static hak_script_t hak_script[HAK_OS_CALL_COUNT];
static hak_a64_t hak_clock_offset_ms;
static hak_a64_t hak_slow_us, hak_thread_us; /* of each call; in all */

void hak_os_fake_fail(hak_os_call_t call, uint64_t successes, uint64_t failures) {
    hak_store_rlx(&hak_script[call].failures, 0); /* relaxed: tests order their own steps */
    hak_store_rlx(&hak_script[call].successes, successes);
    hak_store_rlx(&hak_script[call].failures, failures);
}

void hak_os_fake_reset(void) {
    for (int i = 0; i < HAK_OS_CALL_COUNT; i++) {
        hak_os_fake_fail((hak_os_call_t)i, 0, 0);
    }
    hak_os_fake_slow_down_us(0);
}

uint64_t hak_os_fake_calls(hak_os_call_t call) { return hak_load_rlx(&hak_script[call].calls); }

void hak_os_fake_advance_ms(uint64_t ms) { hak_add_rlx(&hak_clock_offset_ms, ms); }
uint64_t hak_os_fake_clock_offset_ms(void) { return hak_load_rlx(&hak_clock_offset_ms); }

void hak_os_fake_slow_down_us(uint64_t us) { hak_store_rlx(&hak_slow_us, us); }
uint64_t hak_os_fake_thread_us(void) {
    return hak_add_rlx(&hak_thread_us, hak_load_rlx(&hak_slow_us));
}

/* Takes one from a counter that must not pass zero. */
static bool hak_take_one(hak_a64_t *counter) {
    uint64_t n = hak_load_rlx(counter);
    while (n != 0 && n != UINT64_MAX) {
        if (hak_cas_rlx(counter, &n, n - 1)) {
            return true;
        }
    }
    return n == UINT64_MAX;
}

bool hak_os_fake_allows(hak_os_call_t call) {
    hak_add_rlx(&hak_script[call].calls, 1);
    return hak_take_one(&hak_script[call].successes) || !hak_take_one(&hak_script[call].failures);
}
