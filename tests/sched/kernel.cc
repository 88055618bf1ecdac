/* backends/os for logical threads: one arena of address space, sleeping and waking by the
 * scheduler, a clock that a scenario moves. A call that fails on request, as in os_fake.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "tests/sched/runtime.h"

namespace hak_sched {

namespace {

enum : size_t { CHUNK = 1 << 21, CHUNKS = MAX_RANGES, PAGE = 4096 };

struct Script {
    uint64_t successes, failures, calls;
};

/* All that a schedule may change here. */
struct State {
    bool used[CHUNKS]; /* chunks of the arena that are mapped */
    size_t small_next; /* mappings below a chunk: never reused, at the arena's end */
    uint64_t now_ms;
    Script script[HAK_OS_CALL_COUNT];
};

State state, before;
char *arena; /* CHUNKS chunks, then one for small mappings */

bool Allows(hak_os_call_t call) {
    Script &script = state.script[call];
    script.calls++;
    if (script.successes != 0) {
        script.successes--;
    } else if (script.failures != 0) {
        script.failures--;
        errno = ENOMEM;
        return false;
    }
    return true;
}

} // namespace

void InitKernel() {
    size_t bytes = (CHUNKS + 8) * CHUNK;
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        abort();
    }
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    arena = reinterpret_cast<char *>(((uintptr_t)memory + CHUNK - 1) / CHUNK * CHUNK);
    state = {};
    state.now_ms = 1000000;
}

void BeginKernel() { before = state; }
void RestoreKernel() { state = before; }

bool IsMappable(const void *address) {
    return (size_t)((const char *)address - arena) < CHUNKS * CHUNK;
}

bool IsUnmapped(const void *address) {
    size_t offset = (size_t)((const char *)address - arena);
    return offset < CHUNKS * CHUNK && !state.used[offset / CHUNK];
}

void AdvanceMs(uint64_t ms) { state.now_ms += ms; }
void Yield() { YieldNow(); }

} // namespace hak_sched

using namespace hak_sched;

extern "C" {

size_t hak_os_page_bytes(void) { return PAGE; }

void *hak_os_map(size_t bytes) {
    if (!Allows(HAK_OS_CALL_MAP)) {
        return nullptr;
    }
    if (bytes >= CHUNK) {
        return hak_os_map_aligned(bytes, CHUNK);
    }
    char *base = arena + CHUNKS * CHUNK + state.small_next;
    state.small_next += (bytes + PAGE - 1) / PAGE * PAGE;
    if (state.small_next > 6 * CHUNK) {
        Fail("the scheduler's arena is full");
    }
    return base;
}

void *hak_os_map_aligned(size_t bytes, size_t align) {
    size_t n = (bytes + CHUNK - 1) / CHUNK, run = 0;
    if (align > CHUNK || !Allows(HAK_OS_CALL_MAP)) {
        return nullptr;
    }
    for (size_t i = 0; i < CHUNKS; i++) {
        run = state.used[i] ? 0 : run + 1;
        if (run == n) {
            for (size_t k = i + 1 - n; k <= i; k++) {
                state.used[k] = true;
                EnterRange(k);
            }
            return arena + (i + 1 - n) * CHUNK;
        }
    }
    errno = ENOMEM;
    return nullptr;
}

void *hak_os_reserve(size_t bytes) {
    void *base =
        mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return base == MAP_FAILED ? nullptr : base;
}

bool hak_os_commit(void *base, size_t bytes) {
    return mprotect(base, bytes, PROT_READ | PROT_WRITE) == 0;
}

void hak_os_unmap(void *base, size_t bytes) {
    size_t first = (size_t)((char *)base - arena) / CHUNK;
    for (size_t i = first; i < first + (bytes + CHUNK - 1) / CHUNK; i++) {
        if (i >= CHUNKS || !state.used[i]) {
            Fail("munmap of what is not mapped: %p", base);
        }
    }
    ClearRange(base, bytes, true, __builtin_return_address(0)); /* nobody may be using it */
    for (size_t i = first; i < first + (bytes + CHUNK - 1) / CHUNK; i++) {
        state.used[i] = false;
        LeaveRange(i);
    }
}

bool hak_os_purge(void *base, size_t bytes) {
    if (!Allows(HAK_OS_CALL_PURGE)) {
        return false;
    }
    if (IsUnmapped(base)) {
        Fail("madvise of what is not mapped: %p", base);
    }
    ClearRange(base, bytes, false, __builtin_return_address(0));
    return true;
}

bool hak_os_resident(void *, size_t, unsigned char *) { return false; }
bool hak_os_resize(void *, size_t, size_t) { return false; }
bool hak_os_reserve_at(void *, size_t) { return false; }
void *hak_os_hold_aligned(size_t bytes, size_t align) { return hak_os_map_aligned(bytes, align); }
bool hak_os_commit_held(void *, size_t) { return Allows(HAK_OS_CALL_COMMIT); }
bool hak_os_move(void *, size_t, void *, size_t) { return false; }
void *hak_os_detach(void *, size_t) { return nullptr; }
void hak_os_no_huge(void *, size_t) {}
bool hak_os_get_huge(void *, size_t) { return true; }
bool hak_os_want_huge(void *, size_t) { return Allows(HAK_OS_CALL_HUGE); }
bool hak_os_touch_huge(void *base, size_t) {
    Point(nullptr);
    if (IsUnmapped(base)) {
        Fail("a touch of what is not mapped: %p", base);
    }
    bool done = Allows(HAK_OS_CALL_HUGE);
    ClearRange(base, PAGE, false, __builtin_return_address(0)); /* a write that others may see */
    return done;
}
void hak_os_split_huge(void *) {}
bool hak_os_address_space_is_free(void) { return true; }

bool hak_os_barrier_register(void) { return Allows(HAK_OS_CALL_BARRIER); }

bool hak_os_barrier(void) {
    Point(nullptr);
    if (!Allows(HAK_OS_CALL_BARRIER)) {
        return false;
    }
    if (!IsDropped("barrier", LastSite())) {
        Trace("membarrier");
        Barrier();
    }
    return true;
}

void hak_os_wait(const uint32_t *word, uint32_t seen, int) {
    Point(word);
    /* The kernel compares under its own lock, with the newest value. */
    if (*word == seen && ChooseWeak(2, CHOOSE_FAILURE) == 0) {
        WaitOn(word);
    }
}

void hak_os_wake(const uint32_t *word, int count) {
    Point(word);
    if (!IsDropped("wake", LastSite())) {
        int woken = WakeWaiters(word, count);
        Trace("wakes %d", woken);
    }
}

void hak_os_yield(void) { YieldNow(); }

uint64_t hak_os_thread_us(void) { return 0; }
uint64_t hak_os_now_ms(void) { return state.now_ms; }
uint64_t hak_os_random(void) { return 0x123456789abcull; }
uint32_t hak_os_pid(void) { return (uint32_t)getpid(); }
bool hak_os_is_secure(void) { return false; }
bool hak_os_write(int fd, const char *text, size_t bytes) {
    return write(fd, text, bytes) == (ssize_t)bytes;
}
void hak_os_calls(hak_os_calls_t *out) { *out = {}; }

void hak_os_fake_fail(hak_os_call_t call, uint64_t successes, uint64_t failures) {
    state.script[call].successes = successes;
    state.script[call].failures = failures;
}
void hak_os_fake_reset(void) {
    for (Script &script : state.script) {
        script.successes = script.failures = 0;
    }
}
uint64_t hak_os_fake_calls(hak_os_call_t call) { return state.script[call].calls; }
void hak_os_fake_advance_ms(uint64_t ms) { AdvanceMs(ms); }
uint64_t hak_os_fake_clock_offset_ms(void) { return 0; }
bool hak_os_fake_allows(hak_os_call_t call) { return Allows(call); }

} // extern "C"
