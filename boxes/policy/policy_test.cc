#include "boxes/policy/policy.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

// All words of a snapshot say the same number.
hak_policy_values_t Of(uint32_t number) {
    hak_policy_values_t values = {};
    for (uint32_t &cap : values.cap) {
        cap = number;
    }
    values.w_max_mid = number;
    values.dyn_bytes[0] = values.dyn_bytes[1] = number;
    return values;
}

hak_policy_values_t Read() {
    hak_policy_values_t values;
    hak_policy_read_mt(&values);
    return values;
}

TEST(Policy, NothingPublishedLimitsNothing) {
    ASSERT_EQ(hak_load_rlx(&hak_policy_current), 0u) << "runs first";
    EXPECT_EQ(Read().version, 0u);
    EXPECT_EQ(hak_policy_cap(0), 0u);
    EXPECT_EQ(hak_policy_cap(6), 0u);
}

TEST(Policy, TheLastOnePublishedIsInForce) {
    for (uint32_t number = 1; number <= 3 * HAK_POLICY_PLACES; number++) {
        hak_policy_values_t values = Of(number);
        uint32_t version = Read().version;
        hak_policy_publish_mt(&values);
        values = Read();
        EXPECT_EQ(values.version, version + 1);
        EXPECT_EQ(values.dyn_bytes[1], number);
        for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
            EXPECT_EQ(hak_policy_cap(ci), number);
        }
    }
}

// Readers that are slower than four publications find words of two snapshots, and read again.
TEST(Policy, NeverATornMix) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    std::atomic<uint64_t> reads{0}, torn{0}, back{0};
    hak_policy_values_t first = Of(7);
    hak_policy_publish_mt(&first);
    for (unsigned t = 0; t < 3; t++) {
        readers.emplace_back([&] {
            uint32_t last = 0;
            while (!stop) {
                hak_policy_values_t values = Read();
                for (uint32_t cap : values.cap) {
                    torn += cap != values.w_max_mid;
                }
                torn += values.dyn_bytes[0] != values.w_max_mid;
                torn += values.dyn_bytes[1] != values.w_max_mid;
                back += values.version < last;
                last = values.version;
                reads++;
            }
        });
    }
    for (uint32_t number = 1; number < 200000 || reads < 1000; number++) {
        hak_policy_values_t values = Of(number);
        hak_policy_publish_mt(&values);
    }
    stop = true;
    for (std::thread &reader : readers) {
        reader.join();
    }
    EXPECT_EQ(torn, 0u);
    EXPECT_EQ(back, 0u) << "an older snapshot after a newer one";
}

TEST(Policy, AcceptsUpToTheLimit) {
    const struct {
        uint32_t w_max, block, size;
        bool accepted;
    } cases[] = {
        {160, 2048, 1280, true},    {160, 2048, 1279, false},   {160, 4096, 2560, true},
        {160, 4096, 2559, false},   {160, 8192, 5120, true},    {160, 8192, 5119, false},
        {160, 16384, 10240, true},  {160, 16384, 10239, false}, {160, 32768, 20480, true},
        {160, 32768, 20479, false}, {130, 65536, 50413, true},  {130, 65536, 50412, false},
        {100, 4096, 4096, true},    {100, 4096, 4095, false},   {0, 4096, 1, true},
        {200, 4096, 2048, true},    {200, 4096, 2047, false},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(hak_policy_accepts(c.w_max, c.block, c.size), c.accepted)
            << c.w_max << " " << c.block << " " << c.size;
    }
}

} // namespace
