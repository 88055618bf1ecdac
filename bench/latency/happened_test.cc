// What is done to a thread on purpose is found, and nothing else.
#include "bench/latency/happened.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <time.h>

#include <cstdint>
#include <functional>

namespace {

constexpr size_t kBytes = size_t{64} << 20;

hak_bench_state_t Read() {
    hak_bench_happened_open();
    hak_bench_state_t state;
    EXPECT_TRUE(hak_bench_state_read(&state));
    return state;
}

hak_bench_happened_t During(const std::function<void()> &work) {
    hak_bench_state_t from = Read();
    work();
    hak_bench_state_t to = Read();
    return hak_bench_happened(&from, &to, to.wall_ns - from.wall_ns);
}

char *Map() {
    void *at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(at, MAP_FAILED);
    return static_cast<char *>(at);
}
void Touch(char *at) {
    for (size_t i = 0; i < kBytes; i += 4096) {
        at[i] = 1;
    }
}

TEST(Happened, MappingTouchPurgeAndUnmapping) {
    char *at = nullptr;
    EXPECT_TRUE(During([&] { at = Map(); }).mapped);
    hak_bench_happened_t touch = During([&] { Touch(at); });
    EXPECT_TRUE(touch.faulted);
    EXPECT_FALSE(touch.purged);
    EXPECT_FALSE(touch.mapped);
    hak_bench_happened_t purge = During([&] { EXPECT_EQ(madvise(at, kBytes, MADV_DONTNEED), 0); });
    EXPECT_TRUE(purge.purged);
    EXPECT_FALSE(purge.mapped);
    Touch(at);
    hak_bench_happened_t unmap = During([&] { EXPECT_EQ(munmap(at, kBytes), 0); });
    EXPECT_TRUE(unmap.mapped);
    EXPECT_TRUE(unmap.purged);
}

TEST(Happened, SleepIsASwitch) {
    hak_bench_happened_t sleep = During([] {
        struct timespec ms = {0, 2000000};
        nanosleep(&ms, nullptr);
    });
    EXPECT_TRUE(sleep.switched);
    EXPECT_TRUE(sleep.waited);
    EXPECT_FALSE(sleep.mapped);
    EXPECT_FALSE(sleep.purged);
}

TEST(Happened, ASwitchByForceIsNoWait) {
    hak_bench_state_t from = {1000, 500, 7, 8, 100, 90, 5}, to = from;
    to.switches++;
    EXPECT_TRUE(hak_bench_happened(&from, &to, 3000).switched);
    EXPECT_FALSE(hak_bench_happened(&from, &to, 3000).waited);
    to.waits++;
    EXPECT_TRUE(hak_bench_happened(&from, &to, 3000).waited);
}

// The clocks are given: nobody can ask a host for it.
TEST(Happened, TimeThatTheClockOfTheThreadLacksIsStolen) {
    hak_bench_state_t from = {1000, 500, 7, 8, 100, 90, 5};
    auto stolen = [&](uint64_t wall, uint64_t cpu, uint64_t ns) {
        hak_bench_state_t to = from;
        to.wall_ns += wall;
        to.cpu_ns += cpu;
        hak_bench_happened_t all = hak_bench_happened(&from, &to, ns);
        EXPECT_FALSE(all.switched || all.faulted || all.mapped || all.purged);
        return all.stolen;
    };
    EXPECT_FALSE(stolen(400000, 400000, 300000));
    EXPECT_FALSE(stolen(400000, 401000, 300000)) << "read one after the other, they may differ so";
    EXPECT_FALSE(stolen(400000, 260000, 300000));
    EXPECT_TRUE(stolen(400000, 240000, 300000)) << "half of the sample";
    EXPECT_TRUE(stolen(400000, 10000, 300000));
    EXPECT_FALSE(stolen(40000, 25000, 3000)) << "many short losses before a short sample";
    EXPECT_FALSE(stolen(UINT64_C(40000000), UINT64_C(39965000), 3000)) << "clocks that differ";
    EXPECT_TRUE(stolen(UINT64_C(40000000), UINT64_C(38000000), 2000000));
}

// A fault is none of the others, and few pages less are no purge.
TEST(Happened, NothingElse) {
    hak_bench_state_t from = {1000, 500, 7, 8, 1000, 900, 5}, to = from;
    to.resident_os_pages = 800;
    EXPECT_FALSE(hak_bench_happened(&from, &to, 1).purged);
    to.resident_os_pages = 700;
    EXPECT_TRUE(hak_bench_happened(&from, &to, 1).purged);
    to = from;
    to.faults++;
    hak_bench_happened_t fault = hak_bench_happened(&from, &to, 1);
    EXPECT_TRUE(fault.faulted);
    EXPECT_FALSE(fault.switched || fault.mapped || fault.purged || fault.stolen);
}

} // namespace
