/* Huge pages on the kernel that there is: what holds with them, and what where it has none. */
#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"

namespace {

constexpr size_t kHuge = 2u << 20;

class OsHuge : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_os_fake_reset();
        base_ = static_cast<char *>(hak_os_map_aligned(2 * kHuge, kHuge));
        ASSERT_NE(base_, nullptr);
        hak_os_no_huge(base_, 2 * kHuge);
        errno = 7;
    }
    void TearDown() override {
        hak_os_fake_reset();
        hak_os_unmap(base_, 2 * kHuge);
    }
    size_t Resident(size_t from, size_t bytes) const {
        std::vector<unsigned char> pages(bytes / hak_os_page_bytes());
        EXPECT_TRUE(hak_os_resident(base_ + from, bytes, pages.data()));
        return (size_t)std::count_if(pages.begin(), pages.end(),
                                     [](unsigned char page) { return (page & 1) != 0; }) *
               hak_os_page_bytes();
    }
    /* A field of the mapping's entry in smaps. */
    std::string Field(const std::string &name) const {
        std::ifstream smaps("/proc/self/smaps");
        uintptr_t begin = 0, end = 0, at = (uintptr_t)base_;
        for (std::string line; std::getline(smaps, line);) {
            (void)sscanf(line.c_str(), "%lx-%lx ", &begin, &end);
            if (begin <= at && at < end && line.rfind(name, 0) == 0) {
                return line.substr(name.size());
            }
        }
        return "";
    }
    /* Huge pages that the kernel has split since it started; -1 if it does not tell. */
    static long Splits() {
        std::ifstream counts("/proc/vmstat");
        std::string name;
        for (long count; counts >> name >> count;) {
            if (name == "thp_split_page") {
                return count;
            }
        }
        return -1;
    }
    char *base_ = nullptr;
};

TEST_F(OsHuge, TouchGivesAllOrOnePage) {
    bool done = hak_os_touch_huge(base_, kHuge);
    EXPECT_EQ(errno, 7);
    EXPECT_GE(Resident(0, kHuge), done ? kHuge : 0);
    EXPECT_LE(Resident(0, kHuge), done ? kHuge : hak_os_page_bytes());
    EXPECT_EQ(Resident(kHuge, kHuge), 0u);
    EXPECT_TRUE(std::all_of(base_, base_ + 2 * kHuge, [](char c) { return c == 0; }));
    if (!Field("VmFlags:").empty()) {
        EXPECT_EQ(Field("VmFlags:").find(" hg"), std::string::npos)
            << "the kernel would fill up what is purged";
    }
}

TEST_F(OsHuge, WhatNobodyCanTellIsGivenBack) {
    hak_os_fake_fail(HAK_OS_CALL_RESIDENT, 0, 1);
    EXPECT_FALSE(hak_os_touch_huge(base_, kHuge));
    EXPECT_LE(Resident(0, kHuge), hak_os_page_bytes());
}

TEST_F(OsHuge, RefusedTouchesNothing) {
    hak_os_fake_fail(HAK_OS_CALL_HUGE, 0, UINT64_MAX);
    EXPECT_FALSE(hak_os_touch_huge(base_, kHuge));
    EXPECT_EQ(errno, 7);
    EXPECT_EQ(Resident(0, kHuge), 0u);
}

TEST_F(OsHuge, SplitLosesNothing) {
    bool done = hak_os_touch_huge(base_, kHuge);
    memset(base_, 0x5a, kHuge);
    char *half = base_ + kHuge / 2;
    long before = Splits();
    hak_os_split_huge(half);
    EXPECT_EQ(errno, 7);
    EXPECT_EQ(Field("AnonHugePages:").find_first_not_of(" 0kB"), std::string::npos);
    if (done && before >= 0) {
        EXPECT_GT(Splits(), before) << "the kernel keeps the page as a whole";
    }
    EXPECT_TRUE(std::all_of(base_, base_ + kHuge, [](char c) { return c == 0x5a; }));
    ASSERT_TRUE(hak_os_purge(half, kHuge / 2));
    EXPECT_EQ(Resident(0, kHuge), kHuge / 2);
    EXPECT_TRUE(std::all_of(base_, half, [](char c) { return c == 0x5a; }));
    EXPECT_TRUE(std::all_of(half, base_ + kHuge, [](char c) { return c == 0; }));
}

} // namespace
