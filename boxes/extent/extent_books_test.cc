/* What is counted, and that nothing is used up by what fails. */
#include "boxes/extent/extent_fixture.h"
#include "core/meta/meta.h"

namespace hak_testing {

TEST_F(Extent, WhatGoesBackIsCountedWhicheverWayItGoes) {
    char *block = Alloc(3 * kMiB), *wall = Alloc(kMiB);
    hak_extent_stats_t before = Stats();
    EXPECT_TRUE(Free(block));
    Clean();
    EXPECT_EQ(Stats().purges, before.purges + 1);
    EXPECT_EQ(Stats().purged_bytes, before.purged_bytes + 3 * kMiB);
    EXPECT_TRUE(Free(wall));
    Drop(); /* by munmap */
    EXPECT_EQ(Stats().tracts, 0u);
    EXPECT_EQ(Stats().purges, before.purges + 2);
    EXPECT_EQ(Stats().purged_bytes, before.purged_bytes + 4 * kMiB);
}

/* As many as it takes, up to eight: ten holes of 60 units and walls of one were the peak, 8 MiB
 * more may be resident, 522 units are in use. */
TEST_F(Extent, OneRequestGivesSeveralHolesBack) {
    std::vector<char *> holes, rest;
    for (int i = 0; i < 10; i++) {
        holes.push_back(Alloc(60 * HAK_UNIT_BYTES));
        rest.push_back(Alloc(1));
    }
    for (char *hole : holes) {
        EXPECT_TRUE(Free(hole));
    }
    rest.push_back(Alloc(512 * HAK_UNIT_BYTES));
    EXPECT_EQ(Stats().cached_bytes, (610 + 128 - 522) * (uint64_t)HAK_UNIT_BYTES);
    for (char *block : rest) {
        EXPECT_TRUE(Free(block));
    }
}

TEST_F(Extent, RequestsThatFailUseUpNoDescriptor) {
    EXPECT_TRUE(Free(Alloc(kMiB)));
    Drop(); /* a descriptor without memory is there from here on */
    uint64_t meta = hak_meta_bytes();
    for (int i = 0; i < 3; i++) {
        hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 2); /* of 256 MiB, and of less */
        EXPECT_EQ(Alloc(kMiB), nullptr);
        hak_os_fake_reset();
        EXPECT_TRUE(Free(Alloc(kMiB)));
        Drop();
    }
    EXPECT_EQ(hak_meta_bytes(), meta);
}

/* What is locked is not shed: it is dirty still. */
TEST_F(Extent, WhatIsDirtyIsNotShed) {
    LimitedData limited;
    char *block = Alloc(10 * kMiB), *wall = Alloc(1);
    memset(block, 1, 10 * kMiB);
    EXPECT_TRUE(Free(block));
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    Drop();
    EXPECT_EQ(Stats().mapped_bytes, 12 * kMiB);
    EXPECT_EQ(Stats().cached_bytes, 10 * kMiB);
    EXPECT_EQ(ExtentFaults(), 0u);
    hak_os_fake_reset();
    EXPECT_TRUE(Free(wall));
}

/* Where a long run is refused its halves are tried, but no more than the pass may. */
TEST_F(Extent, CallsAreBoundedWhereAllAreRefused) {
    char *block = Alloc(32 * kMiB), *wall = Alloc(1);
    EXPECT_TRUE(Free(block));
    uint64_t now = hak_os_now_ms() + 100000;
    (void)hak_extent_purge_mt(now, 1000, 4, 0);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    EXPECT_EQ(hak_extent_purge_mt(now + 600, 1000, 2, 0), 0u);
    EXPECT_LE(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls + 2);
    EXPECT_TRUE(Free(wall));
}

} // namespace hak_testing
