#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "core/dyn_class/dyn_class.h"

namespace {

unsigned ClassOf(size_t size) {
    return hak_load_rlx(&hak_dyn_class_small[(size + 15) / 16]) >> HAK_BIN_SHIFT;
}
uint32_t Size(unsigned sc) { return hak_dyn_class_bytes(sc); }

// The smallest of the sizes that may serve, found the slow way.
void ExpectTable(const std::vector<uint32_t> &exact) {
    for (size_t size = 0; size <= 1024; size++) {
        uint32_t best = hak_sc_bytes[hak_sc_of(size)];
        for (uint32_t bytes : exact) {
            best = bytes >= size && bytes < best ? bytes : best;
        }
        ASSERT_EQ(Size(ClassOf(size)), best) << size;
    }
}

std::array<hak_dyn_id_t, HAK_DYN_IDS> Ids() {
    std::array<hak_dyn_id_t, HAK_DYN_IDS> ids;
    hak_dyn_class_list_mt(ids.data());
    return ids;
}

class Exact : public ::testing::Test {
  protected:
    void TearDown() override {
        for (const hak_dyn_id_t &id : Ids()) {
            EXPECT_EQ(id.open, 0u);
            EXPECT_EQ(id.current, hak_dyn_class_drop_exact_mt(id.bytes));
        }
        ExpectTable({});
    }
};

TEST_F(Exact, BeginsAsTheConstantTable) {
    for (size_t i = 0; i < HAK_EXACT_GRAINS; i++) {
        EXPECT_EQ(hak_load_rlx(&hak_dyn_class_small[i]), hak_sc_small_offset[i]) << i;
    }
}

TEST_F(Exact, EverySizeGoesToTheSmallestClassThatHoldsIt) {
    ASSERT_TRUE(hak_dyn_class_add_exact_mt(528));
    ExpectTable({528});
    ASSERT_TRUE(hak_dyn_class_add_exact_mt(1008));
    ExpectTable({528, 1008});
    ASSERT_TRUE(hak_dyn_class_add_exact_mt(560)) << "the same fixed class";
    ExpectTable({528, 560, 1008});
    ASSERT_TRUE(hak_dyn_class_drop_exact_mt(528));
    ExpectTable({560, 1008});
    ASSERT_TRUE(hak_dyn_class_add_exact_mt(544));
    ASSERT_TRUE(hak_dyn_class_add_exact_mt(528)) << "dropped, but its id has the size still";
    ExpectTable({528, 544, 560, 1008});
}

TEST_F(Exact, RoundsUpToTheGrain) {
    ASSERT_TRUE(hak_dyn_class_add_exact_mt(1000));
    ExpectTable({1008});
    ASSERT_TRUE(hak_dyn_class_add_exact_mt(1008)) << "it has that already";
    ASSERT_TRUE(hak_dyn_class_add_exact_mt(257));
    ExpectTable({272, 1008});
    ASSERT_TRUE(hak_dyn_class_drop_exact_mt(1001));
    ExpectTable({272});
}

TEST_F(Exact, RefusesWhatHasAClassOrIsOutOfRange) {
    for (size_t bytes : {size_t{0}, size_t{1}, size_t{16}, size_t{250}, size_t{256}, size_t{288},
                         size_t{280}, size_t{512}, size_t{570}, size_t{1009}, size_t{1024},
                         size_t{1025}, size_t{4096}, SIZE_MAX}) {
        EXPECT_FALSE(hak_dyn_class_add_exact_mt(bytes)) << bytes;
        EXPECT_FALSE(hak_dyn_class_drop_exact_mt(bytes)) << bytes;
    }
    EXPECT_FALSE(hak_dyn_class_drop_exact_mt(528)) << "it is none";
    ExpectTable({});
}

TEST_F(Exact, EightAtATime) {
    const std::vector<uint32_t> sizes = {272, 304, 528, 592, 656, 720, 784, 1008};
    for (uint32_t bytes : sizes) {
        ASSERT_TRUE(hak_dyn_class_add_exact_mt(bytes));
    }
    EXPECT_FALSE(hak_dyn_class_add_exact_mt(848));
    ExpectTable(sizes);
    ASSERT_TRUE(hak_dyn_class_drop_exact_mt(272));
    EXPECT_TRUE(hak_dyn_class_add_exact_mt(848));
}

// T-29: an id keeps its size while it has a slab.
TEST_F(Exact, AnIdKeepsItsSizeWhileASlabIsOpen) {
    std::vector<unsigned> held;
    const uint32_t sizes[] = {528, 544, 560, 592, 608, 624, 656, 672};
    for (uint32_t bytes : sizes) {
        ASSERT_TRUE(hak_dyn_class_add_exact_mt(bytes));
        unsigned sc = ClassOf(bytes);
        EXPECT_EQ(hak_dyn_class_open_mt(sc), bytes);
        held.push_back(sc);
        ASSERT_TRUE(hak_dyn_class_drop_exact_mt(bytes));
        EXPECT_EQ(Size(sc), bytes);
    }
    EXPECT_FALSE(hak_dyn_class_add_exact_mt(720)) << "every id has a slab";
    ExpectTable({});
    EXPECT_TRUE(hak_dyn_class_add_exact_mt(560)) << "the id that has this size";
    EXPECT_EQ(ClassOf(560), held[2]);
    hak_dyn_class_close_mt(held[5]);
    EXPECT_EQ(Size(held[5]), 624u);
    EXPECT_TRUE(hak_dyn_class_add_exact_mt(720)) << "an id without a slab gets another size";
    EXPECT_EQ(ClassOf(720), held[5]);
    EXPECT_EQ(Ids()[held[2] - HAK_DYN_FIRST_SC].open, 1u);
    for (unsigned sc : held) {
        if (sc != held[5]) {
            hak_dyn_class_close_mt(sc);
        }
    }
}

// A class that was looked up, used as malloc does: the slab is opened, then the size asked again.
TEST_F(Exact, WhoHasASlabSeesASizeThatStays) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> users;
    for (unsigned t = 0; t < 3; t++) {
        users.emplace_back([&stop] {
            while (!stop) {
                unsigned sc = ClassOf(650);
                uint32_t bytes = hak_dyn_class_open_mt(sc);
                for (unsigned i = 0; i < 20; i++) {
                    ASSERT_EQ(Size(sc), bytes);
                }
                hak_dyn_class_close_mt(sc);
            }
        });
    }
    const uint32_t sizes[] = {528, 656, 592, 672, 784, 688, 848, 912, 944, 976};
    for (unsigned i = 0; i < 20000; i++) {
        (void)hak_dyn_class_drop_exact_mt(sizes[i % 10]);
        (void)hak_dyn_class_add_exact_mt(sizes[(i * 7 + 3) % 10]);
    }
    stop = true;
    for (std::thread &user : users) {
        user.join();
    }
}

} // namespace
