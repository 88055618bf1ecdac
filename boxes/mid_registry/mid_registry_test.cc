#include "boxes/mid_registry/mid_registry.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>
#include <vector>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"

namespace {

constexpr uint32_t kBytes = 4u << 20;

hak_mid_chunk *Chunk(uintptr_t n) { return reinterpret_cast<hak_mid_chunk *>(n); }

bool Add(uintptr_t base, uint32_t bytes = kBytes) {
    hak_mid_entry_t entry = {base, bytes, 56, Chunk(base + 1)};
    return hak_mid_registry_add_mt(&entry);
}

size_t Count() {
    hak_mid_registry_fork_take();
    size_t count = hak_mid_registry_count_locked();
    EXPECT_EQ(hak_mid_registry_check_locked(), 0u);
    hak_mid_registry_fork_drop();
    return count;
}

TEST(MidRegistry, EmptyFindsNothing) {
    hak_mid_entry_t found;
    EXPECT_FALSE(hak_mid_registry_lookup_mt(0, &found));
    EXPECT_FALSE(hak_mid_registry_lookup_mt(kBytes, &found));
    EXPECT_EQ(Count(), 0u);
}

TEST(MidRegistry, EdgesOfAChunk) {
    ASSERT_TRUE(Add(10 * size_t{kBytes}));
    ASSERT_TRUE(Add(12 * size_t{kBytes}, kBytes / 2));
    hak_mid_entry_t found;
    uint64_t before = hak_mid_registry_lookups();
    EXPECT_FALSE(hak_mid_registry_lookup_mt(10 * size_t{kBytes} - 1, &found));
    ASSERT_TRUE(hak_mid_registry_lookup_mt(10 * size_t{kBytes}, &found));
    EXPECT_EQ(found.base, 10 * size_t{kBytes});
    EXPECT_EQ(found.bytes, kBytes);
    EXPECT_EQ(found.sc, 56u);
    EXPECT_EQ(found.chunk, Chunk(10 * size_t{kBytes} + 1));
    ASSERT_TRUE(hak_mid_registry_lookup_mt(11 * size_t{kBytes} - 1, &found));
    EXPECT_EQ(found.base, 10 * size_t{kBytes});
    EXPECT_FALSE(hak_mid_registry_lookup_mt(11 * size_t{kBytes}, &found)) << "between two";
    ASSERT_TRUE(hak_mid_registry_lookup_mt(12 * size_t{kBytes} + kBytes / 2 - 1, &found));
    EXPECT_FALSE(hak_mid_registry_lookup_mt(12 * size_t{kBytes} + kBytes / 2, &found));
    EXPECT_EQ(hak_mid_registry_lookups(), before + 6);
    hak_mid_registry_remove_mt(11 * size_t{kBytes}); /* nothing begins there */
    EXPECT_EQ(Count(), 2u);
    hak_mid_registry_remove_mt(10 * size_t{kBytes});
    EXPECT_FALSE(hak_mid_registry_lookup_mt(10 * size_t{kBytes}, &found));
    hak_mid_registry_remove_mt(12 * size_t{kBytes});
    EXPECT_EQ(Count(), 0u);
}

/* Random adds and removes, far past the first capacity, against a reference. */
TEST(MidRegistry, AgreesWithAReference) {
    hak_testing::Random random(5);
    std::map<uintptr_t, uint32_t> reference;
    for (unsigned step = 0; step < 20000; step++) {
        uintptr_t base = (1 + random.Below(600)) * size_t{kBytes};
        auto at = reference.find(base);
        if (at == reference.end()) {
            uint32_t bytes = kBytes >> random.Below(4);
            ASSERT_TRUE(Add(base, bytes));
            reference[base] = bytes;
        } else {
            hak_mid_registry_remove_mt(base);
            reference.erase(at);
        }
        uintptr_t address = random.Below(602 * uint64_t{kBytes});
        auto above = reference.upper_bound(address);
        bool expected = above != reference.begin() &&
                        address - std::prev(above)->first < std::prev(above)->second;
        hak_mid_entry_t found;
        ASSERT_EQ(hak_mid_registry_lookup_mt(address, &found), expected) << address;
        if (expected) {
            ASSERT_EQ(found.base, std::prev(above)->first);
        }
    }
    EXPECT_EQ(Count(), reference.size());
    for (const auto &entry : reference) {
        hak_mid_registry_remove_mt(entry.first);
    }
    EXPECT_EQ(Count(), 0u);
}

TEST(MidRegistry, GrowthThatFailsChangesNothing) {
    uintptr_t n = 1;
    uint64_t maps = hak_os_fake_calls(HAK_OS_CALL_MAP);
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 1);
    while (Add(n * kBytes)) {
        n++;
        ASSERT_LT(n, 100000u) << "it never grew";
    }
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_MAP), maps + 1);
    EXPECT_EQ(Count(), n - 1);
    EXPECT_TRUE(Add(n * kBytes)) << "it must recover";
    for (uintptr_t i = 1; i <= n; i++) {
        hak_mid_entry_t found;
        ASSERT_TRUE(hak_mid_registry_lookup_mt(i * kBytes, &found)) << "lost in the move";
        hak_mid_registry_remove_mt(i * kBytes);
    }
}

TEST(MidRegistry, ReadersWhileItGrows) {
    std::vector<std::thread> threads;
    for (uintptr_t t = 0; t < 3; t++) {
        threads.emplace_back([t] {
            for (uintptr_t i = 0; i < 300; i++) {
                uintptr_t base = (1 + 3 * i + t) * kBytes;
                hak_mid_entry_t found;
                ASSERT_TRUE(Add(base));
                ASSERT_TRUE(hak_mid_registry_lookup_mt(base + kBytes - 1, &found));
                ASSERT_EQ(found.base, base);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_EQ(Count(), 900u);
    for (uintptr_t i = 1; i <= 900; i++) {
        hak_mid_registry_remove_mt(i * kBytes);
    }
    EXPECT_EQ(Count(), 0u);
}

} // namespace
