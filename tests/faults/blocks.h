// blocks: requests to a kernel that may refuse what they need, and the blocks that they gave.
//
// Owns       the blocks; each has a stamp at its start, at its end and at each 64 KiB.
// Threads    one at a time.
#ifndef HAK_TESTS_FAULTS_BLOCKS_H_
#define HAK_TESTS_FAULTS_BLOCKS_H_

#include <errno.h>
#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>

#include <vector>

#include "hakmem.h"
#include "tests/support/random.h"

namespace hak_faults {

class Blocks {
  public:
    explicit Blocks(bool may_fail) : may_fail_(may_fail) {}
    ~Blocks() { FreeAll(); }

    unsigned long refused() const { return refused_; }

    void FreeAll() {
        for (const Block &block : blocks_) {
            Verify(block);
            hak_free(block.at);
        }
        blocks_.clear();
    }

  protected:
    struct Block {
        char *at;
        size_t bytes;
        uint64_t stamp;
    };

    static std::vector<size_t> Places(size_t bytes, size_t last) {
        std::vector<size_t> places;
        for (size_t at = 0; at + 8 <= bytes; at += 65536) {
            places.push_back(at);
        }
        if (bytes >= 16 && bytes == last && (bytes - 8) % 65536 >= 8) { // no two overlap
            places.push_back(bytes - 8);
        }
        return places;
    }
    static void Stamp(const Block &block) {
        for (size_t at : Places(block.bytes, block.bytes)) {
            uint64_t word = block.stamp + at;
            memcpy(block.at + at, &word, 8);
        }
    }
    // The first `bytes` bytes of a block that had `was` bytes when it was stamped.
    static bool Holds(const Block &block, size_t bytes, size_t was) {
        for (size_t at : Places(bytes, was)) {
            uint64_t word = block.stamp + at;
            if (memcmp(block.at + at, &word, 8) != 0) {
                return false;
            }
        }
        return true;
    }
    static void Verify(const Block &block) {
        EXPECT_TRUE(Holds(block, block.bytes, block.bytes)) << "of " << block.bytes << " bytes";
    }
    void VerifyAll() {
        for (const Block &block : blocks_) {
            Verify(block);
        }
    }

    // Takes note of the answer to a request, with errno as the call left it.
    bool Accept(void *at, size_t bytes, int error) {
        if (at == nullptr) {
            EXPECT_EQ(ENOMEM, error);
            EXPECT_TRUE(may_fail_) << bytes << " bytes refused without a failing system call";
            refused_++;
            return false;
        }
        EXPECT_GE(hak_usable_size(at), bytes);
        blocks_.push_back({static_cast<char *>(at), bytes, hak_random_next(&random_)});
        Stamp(blocks_.back());
        return true;
    }

    void Allocate(size_t bytes) {
        errno = 0;
        void *at = hak_malloc(bytes);
        (void)Accept(at, bytes, errno);
    }
    void AllocateZeroed(size_t bytes) {
        errno = 0;
        char *at = static_cast<char *>(hak_calloc(1, bytes));
        int error = errno;
        for (size_t i = 0; at != nullptr && i < bytes; i += i + 512 < bytes ? 512 : 1) {
            ASSERT_EQ(0, at[i]) << "calloc of " << bytes;
        }
        (void)Accept(at, bytes, error);
    }
    void AllocateAligned(size_t align, size_t bytes) {
        int untouched;
        void *at = &untouched;
        int error = hak_posix_memalign(&at, align, bytes);
        if (error != 0) {
            EXPECT_EQ(&untouched, at) << "posix_memalign wrote although it failed";
            at = nullptr;
        }
        EXPECT_TRUE(at == nullptr || reinterpret_cast<uintptr_t>(at) % align == 0);
        (void)Accept(at, bytes, error);
    }
    void Resize(size_t index, size_t bytes) {
        Block &block = blocks_[index];
        errno = 0;
        char *at = static_cast<char *>(hak_realloc(block.at, bytes));
        if (at == nullptr) {
            EXPECT_EQ(ENOMEM, errno);
            EXPECT_TRUE(may_fail_);
            Verify(block);
            refused_++;
            return;
        }
        size_t was = block.bytes;
        block.at = at;
        EXPECT_TRUE(Holds(block, bytes < was ? bytes : was, was)) << was << " to " << bytes;
        block.bytes = bytes;
        Stamp(block);
    }
    void Free(size_t index) {
        Verify(blocks_[index]);
        errno = 99;
        hak_free(blocks_[index].at);
        EXPECT_EQ(99, errno);
        blocks_[index] = blocks_.back();
        blocks_.pop_back();
    }

    const bool may_fail_;
    unsigned long refused_ = 0;
    hak_random_t random_ = {};
    std::vector<Block> blocks_;
};

} // namespace hak_faults

#endif // HAK_TESTS_FAULTS_BLOCKS_H_
