// script: uses blocks of all kinds.
//
// Threads    one; Run starts a second one for a while.
#ifndef HAK_TESTS_FAULTS_SCRIPT_H_
#define HAK_TESTS_FAULTS_SCRIPT_H_

#include <errno.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <stdint.h>

#include "hakmem.h"
#include "tests/faults/blocks.h"
#include "tests/support/random.h"

namespace hak_faults {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kGiB = size_t{1} << 30;
constexpr uint64_t kCalls = 21; // each kind of system call fails at calls 0 to 20

class Script : public Blocks {
  public:
    using Blocks::Blocks;

    void Run(uint64_t seed) {
        random_ = {seed};
        MixedBlocks(120);
        Runs();
        HugeBlocks();
        ClearedBlocks();
        if (seed <= 6) { // 40 MB, in which there are three huge pages
            SmallBlocks();
        }
        FarBlocks();
        OtherThread();
        MixedBlocks(60);
        EXPECT_EQ(0u, hak_check());
        VerifyAll();
    }

  private:
    // Sizes of all classes and of large blocks.
    size_t AnySize() {
        size_t most = size_t{16} << hak_random_below(&random_, 18);
        return 1 + hak_random_below(&random_, most);
    }

    void MixedBlocks(int steps) {
        for (int i = 0; i < steps; i++) {
            size_t index = blocks_.empty() ? 0 : hak_random_below(&random_, blocks_.size());
            switch (blocks_.empty() ? 0 : hak_random_below(&random_, 8)) {
            case 0:
            case 1:
                Allocate(AnySize());
                break;
            case 2:
                AllocateZeroed(AnySize());
                break;
            case 3:
                AllocateAligned(size_t{16} << hak_random_below(&random_, 19), AnySize());
                break;
            case 4:
            case 5:
                Resize(index, AnySize());
                break;
            default:
                Free(index);
            }
        }
    }

    // More than the pool keeps, then every other one goes back to the kernel.
    void Runs() {
        size_t first = blocks_.size();
        for (size_t i = 0; i < 56; i++) {
            Allocate(100000);
        }
        for (size_t i = 0; i < 24; i++) {
            Allocate(kMiB);
        }
        for (size_t i = first; i < blocks_.size(); i++) {
            if (blocks_[i].bytes == 100000) {
                Free(i); // the last one comes here and stays
            }
        }
        (void)hak_trim(0);
        EXPECT_EQ(0u, hak_check());
    }

    // Mappings of their own: growth in place, growth by moving, shrinking.
    void HugeBlocks() {
        size_t first = blocks_.size();
        Allocate(34 * kMiB);
        Allocate(35 * kMiB);
        for (size_t i = 0; i < 26 && first < blocks_.size(); i++) {
            size_t index = first + i % (blocks_.size() - first);
            Resize(index, (35 + i) * kMiB);
        }
        if (first < blocks_.size()) {
            Resize(first, 35 * kMiB);
            Resize(first, 200);
        }
    }

    // Zeroed blocks that stay nearly empty. Nothing here reads a page that was not written.
    void ClearedBlocks() {
        constexpr size_t kBytes = 512 * 1024;
        for (int i = 0; i < 400; i++) {
            errno = 0;
            char *at = static_cast<char *>(hak_calloc(1, kBytes));
            if (at == nullptr) {
                EXPECT_EQ(ENOMEM, errno);
                EXPECT_TRUE(may_fail_);
                refused_++;
                continue;
            }
            ASSERT_EQ(0, at[0] | at[kBytes - 1]);
            at[0] = at[kBytes - 1] = 1;
            hak_free(at);
        }
    }

    // So many that they get huge pages.
    void SmallBlocks() {
        const size_t first = blocks_.size();
        const unsigned long refused = refused_;
        for (size_t i = 0; i < 40000 && refused_ == refused; i++) {
            Allocate(1000);
        }
        while (blocks_.size() > first) {
            Free(blocks_.size() - 1);
        }
    }

    // Each in a GiB of its own, for which the registry needs memory.
    void FarBlocks() {
        for (uint64_t i = 0; i < kCalls + 1; i++) {
            AllocateAligned(kGiB, 2 * kMiB);
        }
    }

    // A new thread needs a heap, and frees what this one allocated.
    void OtherThread() {
        pthread_t thread;
        ASSERT_EQ(0, pthread_create(&thread, nullptr, RunOther, this));
        ASSERT_EQ(0, pthread_join(thread, nullptr));
    }
    static void *RunOther(void *script) {
        static_cast<Script *>(script)->MixedBlocks(80);
        return nullptr;
    }
};

} // namespace hak_faults

#endif // HAK_TESTS_FAULTS_SCRIPT_H_
