#include "base/bits.h"

#include <gtest/gtest.h>

#include "base/testing/testing.h"

namespace {

TEST(Bits, PowersOfTwo) {
    EXPECT_FALSE(hak_is_pow2(0));
    for (unsigned i = 0; i < 64; i++) {
        size_t n = (size_t)1 << i;
        EXPECT_TRUE(hak_is_pow2(n)) << i;
        EXPECT_EQ(hak_log2_floor(n), i);
        EXPECT_EQ(hak_lowest_bit(n), i);
        if (i >= 2) {
            EXPECT_FALSE(hak_is_pow2(n - 1)) << i;
            EXPECT_FALSE(hak_is_pow2(n + 1)) << i;
            EXPECT_EQ(hak_log2_floor(n - 1), i - 1);
            EXPECT_EQ(hak_log2_floor(n + 1), i);
        }
    }
}

TEST(Bits, AlignUpAndDownMeetAroundEveryMultiple) {
    for (size_t align = 1; align <= 65536; align *= 2) {
        for (size_t k = 1; k < 5; k++) {
            size_t at = k * align;
            ASSERT_EQ(hak_align_up(at, align), at);
            ASSERT_EQ(hak_align_down(at, align), at);
            ASSERT_EQ(hak_align_up(at - 1, align), align == 1 ? at - 1 : at);
            ASSERT_EQ(hak_align_down(at - 1, align), align == 1 ? at - 1 : at - align);
        }
    }
    EXPECT_EQ(hak_align_up(0, 4096), 0u);
}

TEST(Bits, MaskHasTheRightOnes) {
    for (unsigned first = 0; first < 32; first++) {
        for (unsigned count = 0; first + count <= 32; count++) {
            uint32_t expected = 0;
            for (unsigned i = first; i < first + count; i++) {
                expected |= 1u << i;
            }
            ASSERT_EQ(hak_mask32(first, count), expected) << first << " " << count;
            ASSERT_EQ(hak_bit_count32(expected), count);
        }
    }
}

/* True if `count` ones of `mask` begin at `first`, all inside the word. */
bool HasRun(uint32_t mask, unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++) {
        if (i >= 32 || (mask >> i & 1u) == 0) {
            return false;
        }
    }
    return true;
}

void CheckRuns(uint32_t mask) {
    for (unsigned count = 1; count <= 32; count++) {
        uint32_t expected = 0;
        for (unsigned first = 0; first < 32; first++) {
            expected |= HasRun(mask, first, count) ? 1u << first : 0u;
        }
        ASSERT_EQ(hak_runs32(mask, count), expected) << std::hex << mask << " " << count;
    }
}

TEST(Bits, RunsAgreeWithASearch) {
    CheckRuns(0);
    CheckRuns(UINT32_MAX);
    CheckRuns(0x7fffffffu);
    CheckRuns(0xfffffffeu);
    CheckRuns(0x0000ffffu);
    hak_testing::Random random(1);
    for (int i = 0; i < 2000; i++) {
        uint64_t word = random.Next();
        /* Dense masks too: those have long runs. */
        CheckRuns((uint32_t)(i % 2 != 0 ? word : word | word >> 32 | word << 7));
    }
}

TEST(Bits, MixIsSplitmix64) {
    /* First outputs of the authors' generator for the seeds 0 and 1234567. */
    EXPECT_EQ(hak_mix64(0), 0xe220a8397b1dcdafu);
    EXPECT_EQ(hak_mix64(1234567), 6457827717110365317u);
}

} // namespace
