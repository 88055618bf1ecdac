#include "core/meta/meta.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "backends/os/os_fake.h"
#include "base/attr.h"
#include "base/testing/testing.h"

namespace {

struct Piece {
    unsigned char *base;
    size_t bytes;
};

/* Takes a piece, checks it and fills it so that an overlap with a later one shows. */
void Take(size_t bytes, std::vector<Piece> *pieces) {
    auto *base = static_cast<unsigned char *>(hak_meta_alloc_mt(bytes));
    ASSERT_NE(base, nullptr);
    ASSERT_EQ((uintptr_t)base % HAK_CACHE_LINE, 0u);
    ASSERT_TRUE(std::all_of(base, base + bytes, [](unsigned char c) { return c == 0; }));
    std::fill(base, base + bytes, (unsigned char)0xff);
    pieces->push_back({base, bytes});
}

void ExpectDisjoint(std::vector<Piece> pieces) {
    std::sort(pieces.begin(), pieces.end(),
              [](const Piece &a, const Piece &b) { return a.base < b.base; });
    for (size_t i = 1; i < pieces.size(); i++) {
        ASSERT_LE(pieces[i - 1].base + pieces[i - 1].bytes, pieces[i].base);
    }
}

TEST(Meta, PiecesAreZeroAlignedAndDisjoint) {
    std::vector<Piece> pieces;
    hak_testing::Random random(3);
    for (int i = 0; i < 1000; i++) {
        Take(1 + random.Below(i % 50 == 0 ? 500000 : 5000), &pieces);
    }
    ExpectDisjoint(pieces);
}

TEST(Meta, ThreadsGetDisjointPieces) {
    std::vector<Piece> pieces;
    std::mutex mutex;
    hak_testing::RunThreads(4, [&](int self) {
        std::vector<Piece> own;
        for (int i = 0; i < 500; i++) {
            Take(64 + 64 * (size_t)self, &own);
        }
        std::lock_guard<std::mutex> guard(mutex);
        pieces.insert(pieces.end(), own.begin(), own.end());
    });
    EXPECT_EQ(pieces.size(), 2000u);
    ExpectDisjoint(pieces);
}

TEST(Meta, BytesAreCountedInCacheLines) {
    uint64_t before = hak_meta_bytes();
    ASSERT_NE(hak_meta_alloc_mt(1), nullptr);
    ASSERT_NE(hak_meta_alloc_mt(65), nullptr);
    EXPECT_EQ(hak_meta_bytes() - before, 3u * HAK_CACHE_LINE);
}

TEST(Meta, FailureChangesNothingAndLaterCallsSucceed) {
    enum { TOO_LARGE_FOR_THE_CHUNK = 1 << 20 };
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 1);
    uint64_t before = hak_meta_bytes();
    errno = 0;
    EXPECT_EQ(hak_meta_alloc_mt(TOO_LARGE_FOR_THE_CHUNK), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(hak_meta_bytes(), before);
    std::vector<Piece> pieces;
    Take(TOO_LARGE_FOR_THE_CHUNK, &pieces);
    hak_os_fake_reset();
}

/* A large piece has a mapping of its own; the current chunk must go on serving small ones. */
TEST(Meta, LargePieceLeavesTheChunkInUse) {
    ASSERT_NE(hak_meta_alloc_mt(64), nullptr);
    uint64_t maps = hak_os_fake_calls(HAK_OS_CALL_MAP);
    ASSERT_NE(hak_meta_alloc_mt(1 << 20), nullptr);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_MAP), maps + 1);
    auto *a = static_cast<char *>(hak_meta_alloc_mt(64));
    auto *b = static_cast<char *>(hak_meta_alloc_mt(64));
    EXPECT_EQ(b - a, 64);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_MAP), maps + 1);
}

TEST(Meta, ForkWaitsForThoseInside) {
    hak_meta_fork_take();
    std::atomic<bool> got(false);
    std::thread other([&] {
        EXPECT_NE(hak_meta_alloc_mt(64), nullptr);
        got = true;
    });
    usleep(2000);
    EXPECT_FALSE(got);
    hak_meta_fork_drop();
    other.join();
}

} // namespace
