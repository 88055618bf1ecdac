#include "core/dyn_class/dyn_class.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

uint32_t Size(unsigned sc) {
    return sc < HAK_DYN_FIRST_SC ? hak_sc_bytes[sc]
                                 : hak_load_rlx(&hak_dyn_class_sizes[sc - HAK_DYN_FIRST_SC]);
}
unsigned ClassOf(size_t size) {
    return static_cast<unsigned>(hak_dyn_class_look_up(size) >> HAK_BIN_SHIFT);
}

// The smallest of the sizes that may serve, found the slow way.
uint32_t Smallest(size_t size, size_t dyn1, size_t dyn2) {
    size_t best = 65536;
    for (size_t bytes :
         {size_t{2048}, size_t{4096}, size_t{8192}, size_t{16384}, size_t{32768}, dyn1, dyn2}) {
        best = bytes >= size && bytes < best ? bytes : best;
    }
    if (size > 32768) {
        return hak_sc_bytes[hak_sc_of_eighth(size)];
    }
    return static_cast<uint32_t>(best);
}

void ExpectTable(size_t dyn1, size_t dyn2) {
    EXPECT_EQ(hak_dyn_class_size_mt(0), dyn1);
    EXPECT_EQ(hak_dyn_class_size_mt(1), dyn2);
    for (size_t size = 1025; size <= 65536; size++) {
        ASSERT_EQ(Size(ClassOf(size)), Smallest(size, dyn1, dyn2)) << size;
    }
}

class DynClass : public ::testing::Test {
  protected:
    void TearDown() override {
        EXPECT_TRUE(hak_dyn_class_assign_mt(0, 0));
        EXPECT_TRUE(hak_dyn_class_assign_mt(1, 0));
        ExpectTable(0, 0);
    }
};

TEST_F(DynClass, EverySizeGoesToTheSmallestClassThatHoldsIt) {
    ExpectTable(0, 0);
    ASSERT_TRUE(hak_dyn_class_assign_mt(0, 14336));
    ExpectTable(14336, 0);
    ASSERT_TRUE(hak_dyn_class_assign_mt(1, 5120));
    ExpectTable(14336, 5120);
    ASSERT_TRUE(hak_dyn_class_assign_mt(0, 6144)) << "two between the same powers of two";
    ExpectTable(6144, 5120);
    ASSERT_TRUE(hak_dyn_class_assign_mt(1, 0));
    ExpectTable(6144, 0);
}

TEST_F(DynClass, RoundsUpToTheGrain) {
    ASSERT_TRUE(hak_dyn_class_assign_mt(0, 5000));
    ExpectTable(5120, 0);
    ASSERT_TRUE(hak_dyn_class_assign_mt(0, 2049));
    ExpectTable(2176, 0);
    ASSERT_TRUE(hak_dyn_class_assign_mt(0, 32640));
    ExpectTable(32640, 0);
}

// W_MAX at the border of each class: a power of two serves from the size on that it is at most so
// many times as large as.
TEST_F(DynClass, LimitSendsSizesToTheEighths) {
    for (uint32_t limit : {140u, 150u, 160u, 170u}) {
        hak_dyn_class_limit_mt(limit);
        for (uint32_t pow2 : {2048u, 4096u, 8192u, 16384u, 32768u}) {
            for (uint32_t size = pow2 / 2 + 128; size <= pow2; size += 128) {
                bool accepted = pow2 * 100 <= size * limit;
                uint32_t expected = accepted ? pow2 : hak_sc_bytes[hak_sc_of_eighth(size)];
                ASSERT_EQ(Size(ClassOf(size)), expected) << size << " " << limit;
                ASSERT_EQ(Size(ClassOf(size - 127)), expected) << "shares its entry";
            }
        }
        for (size_t size = 32769; size <= 65536; size++) {
            ASSERT_EQ(ClassOf(size), hak_sc_of_eighth(size));
        }
    }
    hak_dyn_class_limit_mt(160);
    ASSERT_TRUE(hak_dyn_class_assign_mt(0, 5120));
    EXPECT_EQ(Size(ClassOf(5000)), 5120u) << "a chosen size fits as well";
    EXPECT_EQ(Size(ClassOf(4200)), 4608u) << "the eighth is smaller";
    EXPECT_EQ(Size(ClassOf(6000)), 8192u);
    hak_dyn_class_limit_mt(0);
    ExpectTable(5120, 0);
}

TEST_F(DynClass, RefusesWhatIsTakenOrOutOfRange) {
    ASSERT_TRUE(hak_dyn_class_assign_mt(0, 14336));
    ASSERT_TRUE(hak_dyn_class_assign_mt(1, 5120));
    for (size_t bytes :
         {size_t{1}, size_t{1152}, size_t{2048}, size_t{4000}, size_t{4096}, size_t{8192},
          size_t{16384}, size_t{32641}, size_t{32768}, size_t{40000}, SIZE_MAX}) {
        EXPECT_FALSE(hak_dyn_class_assign_mt(0, bytes)) << bytes;
        EXPECT_FALSE(hak_dyn_class_assign_mt(1, bytes)) << bytes;
    }
    EXPECT_FALSE(hak_dyn_class_assign_mt(0, 5120)) << "the other size";
    EXPECT_FALSE(hak_dyn_class_assign_mt(0, 5000)) << "the other size, rounded";
    EXPECT_FALSE(hak_dyn_class_assign_mt(2, 6144)) << "there are two";
    EXPECT_TRUE(hak_dyn_class_assign_mt(0, 14336)) << "it has that already";
    ExpectTable(14336, 5120);
}

TEST_F(DynClass, AnIdKeepsItsSizeWhileAPageIsOpen) {
    ASSERT_TRUE(hak_dyn_class_assign_mt(0, 3072));
    std::vector<unsigned> held;
    for (size_t bytes = 3072; held.size() < HAK_DYN_IDS; bytes += 1024) {
        if (!hak_dyn_class_assign_mt(0, bytes)) {
            continue; // a power of two
        }
        unsigned sc = ClassOf(bytes);
        ASSERT_GE(sc, HAK_DYN_FIRST_SC + 0u);
        EXPECT_EQ(hak_dyn_class_open_mt(sc), bytes);
        held.push_back(sc);
    }
    uint32_t last = hak_dyn_class_size_mt(0);
    EXPECT_FALSE(hak_dyn_class_assign_mt(0, 30720)) << "every id has a page";
    EXPECT_FALSE(hak_dyn_class_assign_mt(1, 30720));
    EXPECT_EQ(hak_dyn_class_size_mt(0), last);
    EXPECT_TRUE(hak_dyn_class_assign_mt(1, 3072)) << "the id that has this size";
    EXPECT_EQ(ClassOf(3072), held[0]);
    EXPECT_TRUE(hak_dyn_class_is_current_mt(held[0]));
    EXPECT_FALSE(hak_dyn_class_is_current_mt(held[1]));
    uint32_t given_up = Size(held[1]);
    hak_dyn_class_close_mt(held[1]);
    EXPECT_EQ(Size(held[1]), given_up);
    EXPECT_TRUE(hak_dyn_class_assign_mt(0, 30720)) << "an id without a page gets another size";
    EXPECT_EQ(ClassOf(30720), held[1]);
    for (unsigned sc : held) {
        if (sc != held[1]) {
            hak_dyn_class_close_mt(sc);
        }
    }
}

// A class that was looked up, used as malloc does: the page is opened, then the size asked again.
TEST_F(DynClass, WhoHasAPageSeesASizeThatStays) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> users;
    for (unsigned t = 0; t < 3; t++) {
        users.emplace_back([&stop] {
            while (!stop) {
                unsigned sc = ClassOf(10000);
                uint32_t bytes = hak_dyn_class_open_mt(sc);
                for (unsigned i = 0; i < 20; i++) {
                    ASSERT_EQ(Size(sc), bytes);
                }
                hak_dyn_class_close_mt(sc);
            }
        });
    }
    // a page of a size that is no longer assigned does not keep the others from being
    for (unsigned i = 0; i < 20000; i++) {
        (void)hak_dyn_class_assign_mt(0, 10112 + i % 40 * 128);
    }
    stop = true;
    for (std::thread &user : users) {
        user.join();
    }
}

} // namespace
