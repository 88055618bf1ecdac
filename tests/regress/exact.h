// What the tests of exact classes share: setting the sizes.
#ifndef HAK_TESTS_REGRESS_EXACT_H_
#define HAK_TESTS_REGRESS_EXACT_H_

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/support/api_table.h"
#include "tests/support/stats.h"

// 0: accepted, else errno.
inline int set_sizes(const std::string &list) {
    return hak_option_set("exact_sizes", list.c_str()) == 0 ? 0 : errno;
}

inline std::string sizes() {
    char text[64];
    EXPECT_GT(hak_option_get("exact_sizes", text, sizeof text), 0);
    return text;
}

class T29_Exact : public ::testing::Test {
  protected:
    void SetUp() override { // also after a start with other values
        ASSERT_EQ(0, set_sizes("0"));
        ASSERT_EQ(0, hak_option_set("exact_auto", "0"));
    }
    void TearDown() override {
        SetUp();
        EXPECT_EQ(0u, hak_test_stats_flushed().exact_sizes);
        EXPECT_EQ(0u, hak_check());
    }
};

#endif // HAK_TESTS_REGRESS_EXACT_H_
