/* Huge pages over many blocks and lives, with and without threads. */
#include <atomic>
#include <utility>

#include "boxes/extent/extent_huge_fixture.h"

namespace hak_testing {

/* Content, bits and what is resident, over many sizes and lives. */
TEST_F(ExtentHuge, ManyBlocks) {
    Random random(11);
    std::vector<size_t> sizes;
    size_t page = hak_os_page_bytes();
    auto last = [page](size_t bytes) { return hak_align_up(bytes, page) - 1; };
    for (int i = 0; i < 400; i++) {
        switch (random.Below(8)) {
        case 0:
            Sparse();
            break;
        case 1:
            Clean();
            break;
        default:
            Dense();
        }
        if (blocks_.size() > 6 || (!blocks_.empty() && random.Below(3) == 0)) {
            size_t at = random.Below(blocks_.size());
            char *block = blocks_[at];
            ASSERT_EQ(block[0], (char)sizes[at]);
            ASSERT_EQ(block[last(sizes[at])], (char)sizes[at]);
            sizes.erase(sizes.begin() + (long)at);
            Give(block);
        } else {
            size_t bytes = kMiB + random.Below(9 * kMiB);
            bool zeroed = false;
            char *block = Alloc(bytes, &zeroed);
            ASSERT_NE(block, nullptr);
            for (size_t j = 0; zeroed && j <= last(bytes); j += page) {
                ASSERT_EQ(block[j], 0);
            }
            memset(block, (char)bytes, random.Below(2) == 0 ? bytes : page);
            block[last(bytes)] = (char)bytes;
            blocks_.push_back(block);
            sizes.push_back(bytes);
        }
        ASSERT_EQ(ExtentFaults(), 0u);
    }
}

TEST_F(ExtentHuge, ThreadsAndAPurger) {
    std::atomic<bool> done(false);
    std::thread purger([&] {
        for (uint64_t i = 0; !done; i++) {
            (void)hak_extent_purge_mt(hak_os_now_ms() + 2 * i, i / 16 % 2, kCalls, 0);
            Dense();
        }
    });
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; t++) {
        threads.emplace_back([&, t] {
            Random random(t);
            std::vector<std::pair<char *, size_t>> mine;
            for (int i = 0; i < 150; i++) {
                size_t bytes = kMiB + random.Below(6 * kMiB);
                char *block = Alloc(bytes);
                ASSERT_NE(block, nullptr);
                memset(block, t + 1, bytes);
                mine.emplace_back(block, bytes);
                if (mine.size() > 3) {
                    auto &one = mine[random.Below(mine.size())];
                    for (size_t j = 0; j < one.second; j += 4096) {
                        ASSERT_EQ(one.first[j], t + 1);
                    }
                    ASSERT_TRUE(Free(one.first));
                    one = mine.back();
                    mine.pop_back();
                }
            }
            for (auto &one : mine) {
                ASSERT_TRUE(Free(one.first));
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    done = true;
    purger.join();
    EXPECT_EQ(ExtentFaults(), 0u);
}

} // namespace hak_testing
