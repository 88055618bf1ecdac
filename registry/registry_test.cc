/* Built twice: HAK_TEST_FORM is the form of the registry, flat or two_level. Regions here are
 * address ranges alone; nothing is mapped there, because the registry never looks at the memory. */
#include "registry/registry.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <numeric>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
extern "C" {
#include "registry/registry_inl.h"
}

namespace {

constexpr uintptr_t kWindow = HAK_WINDOW_BYTES;
constexpr uintptr_t kUnit = HAK_UNIT_BYTES;
constexpr uintptr_t kGiB = (uintptr_t)1 << 30;
constexpr bool kFlat = HAK_TEST_FORM == HAK_REGISTRY_FORM_FLAT;
constexpr uintptr_t kEnd = (uintptr_t)1 << HAK_OS_ADDRESS_BITS;

hak_region_t Region(uintptr_t base) { return {HAK_REGION_SUPERSLAB, {base}}; }

/* Each body runs in a child of its own, before this process has a registry. */
TEST(RegistryInit, AutomaticFormIsFlatUnlessAddressSpaceIsScarce) {
    EXPECT_EQ(hak_testing::InChild([] {
                  hak_registry_init(HAK_REGISTRY_FORM_AUTO, false);
                  return hak_registry_is_flat() == hak_os_address_space_is_free() ? 0 : 1;
              }),
              0);
    EXPECT_EQ(hak_testing::InChild([] {
                  struct rlimit limit = {(rlim_t)1 << 34, RLIM_INFINITY};
                  if (setrlimit(RLIMIT_AS, &limit) != 0) {
                      return 2;
                  }
                  hak_registry_init(HAK_REGISTRY_FORM_AUTO, false);
                  return hak_registry_is_flat() && hak_testing::AddressSpaceCanBeLimited() ? 1 : 0;
              }),
              0);
}

TEST(RegistryInit, RefusedMapMeansTwoLevels) {
    EXPECT_EQ(hak_testing::InChild([] {
                  hak_os_fake_fail(HAK_OS_CALL_RESERVE, 0, UINT64_MAX);
                  errno = 3;
                  hak_registry_init(HAK_REGISTRY_FORM_FLAT, false);
                  static hak_region_t region = Region(5 * kGiB);
                  bool works = hak_registry_add(&region, 5 * kGiB, kWindow) &&
                               hak_registry_region(5 * kGiB) == &region;
                  return !hak_registry_is_flat() && hak_registry_units == 0 && works ? 0 : 1;
              }),
              0);
}

TEST(RegistryInit, SlowOnlyKeepsTheHitPathOut) {
    EXPECT_EQ(hak_testing::InChild([] {
                  hak_registry_init(HAK_TEST_FORM, true);
                  uint32_t tag;
                  return hak_registry_look_up(5 * kGiB, &tag) ? 1 : 0;
              }),
              0);
}

class Registry : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        hak_registry_init(HAK_TEST_FORM, false);
        ASSERT_EQ(hak_registry_is_flat(), kFlat);
    }
    void TearDown() override { hak_os_fake_reset(); }

    /* A registered region that the test removes when it ends. */
    hak_region_t *Add(uintptr_t base, size_t bytes = kWindow) {
        regions_.push_back(Region(base));
        EXPECT_TRUE(hak_registry_add(&regions_.back(), base, bytes));
        return &regions_.back();
    }
    std::deque<hak_region_t> regions_;
};

TEST_F(Registry, WhatIsNotOursReadsAsNothing) {
    static int data;
    int stack;
    uintptr_t addresses[] = {0,
                             1,
                             (uintptr_t)&data,
                             (uintptr_t)&stack,
                             kEnd - 1,
                             kEnd,
                             (uintptr_t)0x7fffdeadbeef,
                             0xdeadbeefdeadbeef,
                             (uintptr_t)1 << 63,
                             UINTPTR_MAX};
    for (uintptr_t address : addresses) {
        uint32_t tag = HAK_TAG_NONE;
        EXPECT_EQ(hak_registry_tag(address), HAK_TAG_NONE) << std::hex << address;
        EXPECT_EQ(hak_registry_region(address), nullptr) << std::hex << address;
        EXPECT_EQ(hak_registry_look_up(address, &tag), kFlat && address < kEnd);
        EXPECT_EQ(tag, HAK_TAG_NONE);
    }
}

/* In a child: what was given back is gone for all other tests. */
TEST_F(Registry, GivesRoomAndFindsEverythingAsBefore) {
    EXPECT_EQ(hak_testing::InChild([this] {
                  uintptr_t high = 0x7f0000000000, low = 300 * kGiB;
                  hak_region_t *first = Add(high), *second = Add(low);
                  hak_registry_set_tags(high, 1, 77);
                  if (hak_registry_give_room() != kFlat || hak_registry_give_room()) {
                      return 1; /* there is nothing left for the second time */
                  }
                  void *gone = const_cast<hak_a32_t *>(hak_registry_flat) + 9000 * kGiB / kUnit;
                  unsigned char resident;
                  EXPECT_TRUE(!kFlat || mincore(gone, 1, &resident) != 0);
                  uint32_t tag = 0;
                  if (hak_registry_tag(high) != 77 || hak_registry_region(high) != first ||
                      hak_registry_region(low) != second ||
                      hak_registry_look_up(high, &tag) != kFlat || tag != (kFlat ? 77 : 0)) {
                      return 3;
                  }
                  (void)hak_registry_look_up(0, &tag); /* what free(NULL) does */
                  /* the neighbourhood is kept, and what is far away comes back if it can */
                  uintptr_t near = high - 60 * kGiB, far = 9000 * kGiB;
                  Add(near);
                  hak_registry_set_tags(near, 1, 78);
                  Add(far);
                  hak_registry_set_tags(far, 1, 79);
                  if (kFlat && (!hak_registry_look_up(near, &tag) || tag != 78 ||
                                !hak_registry_look_up(far, &tag) || tag != 79)) {
                      return 4;
                  }
                  hak_os_fake_fail(HAK_OS_CALL_RESERVE, 0, 1);
                  static hak_region_t taken = Region(20000 * kGiB);
                  if (hak_registry_add(&taken, 20000 * kGiB, kWindow) == kFlat ||
                      (kFlat && hak_registry_region(20000 * kGiB) != nullptr)) {
                      return 5; /* somebody else has that place of the map */
                  }
                  return HasFailure() ? 6 : 0;
              }),
              0);
}

/* T-01: every byte of a unit leads to the unit's own tag. */
TEST_F(Registry, EveryUnitResolvesToItsOwnTag) {
    uintptr_t base = 77 * kGiB + 3 * kWindow;
    hak_region_t *region = Add(base);
    for (unsigned unit = 0; unit < kWindow / kUnit; unit++) {
        hak_registry_set_tags(base + unit * kUnit, 1, 1000 + unit);
    }
    for (uintptr_t offset = 0; offset < kWindow; offset += 4093) {
        uint32_t tag = 0;
        ASSERT_EQ(hak_registry_tag(base + offset), 1000 + offset / kUnit);
        ASSERT_EQ(hak_registry_region(base + offset), region);
        if (hak_registry_look_up(base + offset, &tag)) {
            ASSERT_EQ(tag, 1000 + offset / kUnit);
        }
    }
    EXPECT_EQ(hak_registry_tag(base + kWindow - 1), 1000 + kWindow / kUnit - 1);
    EXPECT_EQ(hak_registry_tag(base - 1), HAK_TAG_NONE);
    EXPECT_EQ(hak_registry_tag(base + kWindow), HAK_TAG_NONE);
    EXPECT_EQ(hak_registry_region(base - 1), nullptr);
    EXPECT_EQ(hak_registry_region(base + kWindow), nullptr);
    for (unsigned bit = HAK_OS_ADDRESS_BITS; bit < 64; bit++) {
        uintptr_t beyond = base | (uintptr_t)1 << bit;
        EXPECT_EQ(hak_registry_tag(beyond), HAK_TAG_NONE) << bit;
        EXPECT_EQ(hak_registry_region(beyond), nullptr) << bit;
    }
    hak_registry_set_tags(base, kWindow / kUnit, HAK_TAG_NONE);
    EXPECT_EQ(hak_registry_tag(base), HAK_TAG_NONE);
    EXPECT_EQ(hak_registry_tag(base + kWindow - 1), HAK_TAG_NONE);
    hak_registry_remove(base, kWindow);
    EXPECT_EQ(hak_registry_region(base), nullptr);
}

/* T-04: bases that differ in one bit only, any bit, 4 GiB among them. */
TEST_F(Registry, RegionsAnyPowerOfTwoApartAreKeptApart) {
    std::vector<uintptr_t> bases = {101 * kGiB};
    for (unsigned bit = HAK_WINDOW_SHIFT; bit < HAK_OS_ADDRESS_BITS; bit++) {
        bases.push_back(bases[0] ^ (uintptr_t)1 << bit);
    }
    for (size_t i = 0; i < bases.size(); i++) {
        Add(bases[i]);
        hak_registry_set_tags(bases[i], 32, 0x1000 + (uint32_t)i);
    }
    for (size_t i = 0; i < bases.size(); i++) {
        EXPECT_EQ(hak_registry_region(bases[i] + kWindow - 1), &regions_[i]);
        EXPECT_EQ(hak_registry_tag(bases[i] + kWindow / 2), 0x1000 + i);
    }
    for (size_t i = 0; i < bases.size(); i++) {
        hak_registry_set_tags(bases[i], 32, HAK_TAG_NONE);
        hak_registry_remove(bases[i], kWindow);
        EXPECT_EQ(hak_registry_region(bases[i]), nullptr);
        EXPECT_EQ(i + 1 == bases.size() || hak_registry_region(bases[i + 1]) != nullptr, true);
    }
}

/* T-04: 200,000 regions over 520 GiB of addresses, in no order. */
TEST_F(Registry, ManyRegionsAreFoundExactly) {
    enum { COUNT = 200000 };
    std::vector<hak_region_t> regions(COUNT);
    std::vector<unsigned> order(COUNT);
    std::iota(order.begin(), order.end(), 0u);
    hak_testing::Random random(4);
    for (size_t i = COUNT - 1; i > 0; i--) {
        std::swap(order[i], order[random.Below(i + 1)]);
    }
    auto base = [](unsigned i) { return 200 * kGiB + i * kWindow + i / 3 * kWindow; };
    for (unsigned i : order) {
        regions[i] = Region(base(i));
        ASSERT_TRUE(hak_registry_add(&regions[i], base(i), kWindow));
        hak_registry_set_tags(base(i) + i % 32 * kUnit, 1, i + 1);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        ASSERT_EQ(hak_registry_region(base(i) + i % kWindow), &regions[i]) << i;
        ASSERT_EQ(hak_registry_tag(base(i) + i % 32 * kUnit), i + 1) << i;
        ASSERT_EQ(hak_registry_tag(base(i) + (i + 1) % 32 * kUnit), HAK_TAG_NONE) << i;
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        hak_registry_set_tags(base(i), 32, HAK_TAG_NONE);
        hak_registry_remove(base(i), kWindow);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        ASSERT_EQ(hak_registry_region(base(i)), i % 2 == 0 ? nullptr : &regions[i]) << i;
        ASSERT_EQ(hak_registry_tag(base(i) + i % 32 * kUnit), i % 2 == 0 ? 0 : i + 1) << i;
    }
    for (unsigned i = 1; i < COUNT; i += 2) {
        hak_registry_set_tags(base(i), 32, HAK_TAG_NONE);
        hak_registry_remove(base(i), kWindow);
    }
}

TEST_F(Registry, HugeRegionCrossesLeavesAndItsLastWindowMayBePartial) {
    uintptr_t base = 900 * kGiB + kGiB - kWindow;
    size_t bytes = 2 * kGiB + kWindow + 4096;
    uint64_t leaves = hak_registry_leaves();
    hak_region_t *region = Add(base, bytes);
    EXPECT_EQ(hak_registry_leaves() - leaves, 4u);
    for (uintptr_t a : {base, base + kWindow, base + kGiB, base + bytes - 1, base + bytes}) {
        EXPECT_EQ(hak_registry_region(a), region) << std::hex << a;
    }
    EXPECT_EQ(hak_registry_region(base - 1), nullptr);
    EXPECT_EQ(hak_registry_region(base + 2 * kGiB + 2 * kWindow), nullptr);
    hak_registry_remove(base, bytes);
    EXPECT_EQ(hak_registry_region(base), nullptr);
    EXPECT_EQ(hak_registry_region(base + bytes - 1), nullptr);
}

/* What a move that fails at its last step relies on. */
TEST_F(Registry, WindowsOnceKnownCanBeEnteredAgainWithoutMemory) {
    uintptr_t base = 950 * kGiB;
    hak_region_t *region = Add(base, 3 * kWindow);
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
    hak_registry_remove(base + kWindow, 2 * kWindow);
    EXPECT_EQ(hak_registry_region(base), region);
    EXPECT_EQ(hak_registry_region(base + kWindow), nullptr);
    EXPECT_TRUE(hak_registry_add(region, base + kWindow, 2 * kWindow));
    EXPECT_EQ(hak_registry_region(base + 3 * kWindow - 1), region);
    hak_registry_remove(base, 3 * kWindow);
}

TEST_F(Registry, RegionBeyondTheMapIsRefused) {
    hak_region_t region = Region(kEnd - kWindow);
    errno = 0;
    EXPECT_FALSE(hak_registry_add(&region, hak_region_base(&region), 2 * kWindow));
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(hak_registry_region(kEnd - 1), nullptr);
}

TEST_F(Registry, FailureRegistersNothingAndCanBeRepeated) {
    hak_os_call_t kind = kFlat ? HAK_OS_CALL_COMMIT : HAK_OS_CALL_MAP;
    uintptr_t base = 1000 * kGiB - kWindow;
    hak_region_t region = Region(base);
    for (uint64_t successes = 0; successes < 2; successes++) {
        /* The second of two leaves fails, at last. */
        hak_os_fake_fail(kind, successes, UINT64_MAX);
        errno = 0;
        EXPECT_FALSE(hak_registry_add(&region, base, 2 * kWindow + successes * kGiB));
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_EQ(hak_registry_region(base), nullptr);
        EXPECT_EQ(hak_registry_region(base + kWindow), nullptr);
        EXPECT_EQ(hak_registry_tag(base), HAK_TAG_NONE);
    }
    hak_os_fake_reset();
    ASSERT_TRUE(hak_registry_add(&region, hak_region_base(&region), 2 * kWindow));
    EXPECT_EQ(hak_registry_region(base + 2 * kWindow - 1), &region);
    hak_registry_remove(base, 2 * kWindow);
}

/* Readers run through regions that come and go: each look-up gives the one right answer or none. */
TEST_F(Registry, ReadersSeeTheRightRegionOrNone) {
    enum { REGIONS = 64, ROUNDS = 200 };
    std::vector<hak_region_t> regions(REGIONS);
    auto base = [](size_t i) { return 1200 * kGiB + i * kGiB / 3 / kWindow * kWindow; };
    for (size_t i = 0; i < REGIONS; i++) {
        regions[i] = Region(base(i));
    }
    std::atomic<int> writers(2);
    hak_testing::RunThreads(4, [&](int self) {
        if (self >= 2) {
            hak_testing::Random random((uint64_t)self);
            while (writers != 0) {
                size_t i = random.Below(REGIONS);
                hak_region_t *region = hak_registry_region(base(i) + 1);
                uint32_t tag = hak_registry_tag(base(i) + 1);
                ASSERT_TRUE(region == nullptr || region == &regions[i]);
                ASSERT_TRUE(region == nullptr || hak_region_base(region) == base(i));
                ASSERT_TRUE(tag == HAK_TAG_NONE || tag == i + 1);
            }
            return;
        }
        for (int round = 0; round < ROUNDS; round++) {
            for (size_t i = (size_t)self; i < REGIONS; i += 2) {
                ASSERT_TRUE(hak_registry_add(&regions[i], base(i), kWindow));
                hak_registry_set_tags(base(i), 32, (uint32_t)i + 1);
            }
            for (size_t i = (size_t)self; i < REGIONS; i += 2) {
                hak_registry_set_tags(base(i), 32, HAK_TAG_NONE);
                hak_registry_remove(base(i), kWindow);
            }
        }
        writers--;
    });
}

TEST_F(Registry, ThreadsThatNeedTheSameLeafMakeOne) {
    uint64_t leaves = hak_registry_leaves();
    std::vector<hak_region_t> regions(4);
    hak_testing::RunThreads(4, [&](int self) {
        uintptr_t base = 1500 * kGiB + (uintptr_t)self * kWindow;
        regions[(size_t)self] = Region(base);
        EXPECT_TRUE(hak_registry_add(&regions[(size_t)self], base, kWindow));
    });
    EXPECT_EQ(hak_registry_leaves() - leaves, 1u);
    for (hak_region_t &region : regions) {
        EXPECT_EQ(hak_registry_region(hak_region_base(&region)), &region);
        hak_registry_remove(hak_region_base(&region), kWindow);
    }
}

TEST_F(Registry, MarkIsNoWordThatAListWouldHold) {
    EXPECT_NE(hak_registry_mark(0x1000), 0x1000u) << "a block that points to itself";
    EXPECT_NE(hak_registry_mark(0x1000), 0u);
    EXPECT_NE(hak_registry_mark(0x1000), hak_registry_mark(0x1010));
}

/* free looks at the first byte of a block's mark first: that of the 0 which malloc leaves there, or
 * of a pointer, would cost it a second look, each time. */
TEST_F(Registry, MarkBeginsAsNoPointerDoes) {
    for (uintptr_t address = kWindow; address < kWindow + 0x20000; address += 16) {
        ASSERT_NE(hak_registry_mark(address) % 16, 0u) << std::hex << address;
    }
}

TEST_F(Registry, OwnerTagsAndOthersCannotBeMistaken) {
    /* free compares a tag with that of the bin which its lower half leads to. */
    EXPECT_LE(HAK_SC_COUNT << HAK_BIN_SHIFT, HAK_TAG_CLASSES);
    EXPECT_GT(HAK_TAG_SHARED >> HAK_TAG_OWNER_SHIFT, (uint32_t)HAK_OWNER_MAX);
    EXPECT_GT(HAK_TAG_NOBODY, HAK_TAG_SHARED | (HAK_TAG_CLASSES - 1));
    /* And where interior pointers are checked it subtracts its own tag: every tag that is not its
     * own must be far away. */
    constexpr uint32_t kBins = HAK_SC_COUNT << HAK_BIN_SHIFT;
    uint32_t others[] = {HAK_TAG_NONE, HAK_TAG_EXTENT, HAK_TAG_HUGE};
    for (uint32_t id : {1u, 2u, 1000u, (uint32_t)HAK_OWNER_MAX}) {
        uint32_t own = id << HAK_TAG_OWNER_SHIFT;
        for (uint32_t other : others) {
            EXPECT_GE(other - own, kBins);
            EXPECT_GE(other - HAK_TAG_NOBODY, kBins);
        }
        EXPECT_GE((own | (kBins - 1)) - HAK_TAG_NOBODY, kBins);
        EXPECT_GE(((own + (1u << HAK_TAG_OWNER_SHIFT)) | 16) - own, kBins);
        EXPECT_GE(((own - (1u << HAK_TAG_OWNER_SHIFT)) | (kBins - 1)) - own, kBins);
        EXPECT_LT((own | HAK_SC_FIXED << HAK_BIN_SHIFT) - own, kBins);
    }
}

TEST_F(Registry, ForkWaitsForThoseWhoChangeIt) {
    hak_registry_fork_take();
    std::atomic<bool> added(false);
    static hak_region_t region = Region(1600 * kGiB);
    std::thread other([&] {
        EXPECT_TRUE(hak_registry_add(&region, 1600 * kGiB, kWindow));
        added = true;
    });
    usleep(2000);
    EXPECT_FALSE(added);
    hak_registry_fork_drop();
    other.join();
    hak_registry_remove(1600 * kGiB, kWindow);
}

} // namespace
