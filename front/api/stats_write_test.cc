#include "front/api/stats_write.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "front/api/stats_table.h"

namespace {

/* Every field has a value of its own, so that a row with a wrong offset shows. */
hak_stats_t Sample() {
    hak_stats_t stats = {};
    stats.struct_bytes = sizeof stats;
    stats.pid = 4711;
    for (int i = 0; i < HAK_STAT_ROWS; i++) {
        uint64_t value = 1000 + static_cast<uint64_t>(i);
        memcpy(reinterpret_cast<char *>(&stats.live_bytes) + 8 * i, &value, sizeof value);
    }
    stats.malloc_calls = HAK_STAT_DISABLED;
    stats.free_calls = 0;
    return stats;
}

std::string Write(hak_stats_format_t format, const hak_stats_t &stats,
                  hak_stats_more_fn *more = nullptr) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    EXPECT_EQ(hak_stats_write_to(ends[1], format, &stats, "9.9.9 (test)", more), 0);
    close(ends[1]);
    std::string out;
    char part[4096];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) {
        out.append(part, static_cast<size_t>(n));
    }
    close(ends[0]);
    return out;
}

std::vector<std::string> Lines(const std::string &text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        lines.push_back(line);
    }
    return lines;
}

TEST(StatsTable, RowsFollowTheFieldsOfTheStruct) {
    std::map<std::string, int> names;
    for (int i = 0; i < HAK_STAT_ROWS; i++) {
        const hak_stat_row_t &row = hak_stat_rows[i];
        EXPECT_EQ(row.offset, offsetof(hak_stats_t, live_bytes) + 8 * static_cast<size_t>(i))
            << row.name;
        EXPECT_EQ(names[row.name]++, 0) << row.name;
        EXPECT_GT(strlen(row.help), 10u) << row.name;
    }
    EXPECT_STREQ(hak_stat_rows[0].name, "live_bytes");
    EXPECT_EQ(hak_stat_rows[HAK_STAT_ROWS - 1].offset + sizeof(uint64_t), sizeof(hak_stats_t));
}

TEST(StatsWrite, TextHasALinePerRowAndSaysDisabled) {
    hak_stats_t stats = Sample();
    std::vector<std::string> lines = Lines(Write(HAK_STATS_TEXT, stats));
    ASSERT_EQ(lines.size(), 1u + HAK_STAT_ROWS);
    EXPECT_EQ(lines[0], "hakmem[4711]: statistics of 9.9.9 (test)");
    for (int i = 0; i < HAK_STAT_ROWS; i++) {
        const hak_stat_row_t &row = hak_stat_rows[i];
        uint64_t value = hak_stats_table_value(&stats, &row);
        std::istringstream in(lines[1 + i]);
        std::string name, shown;
        in >> name >> shown;
        EXPECT_EQ(name, row.name);
        EXPECT_EQ(shown, value == HAK_STAT_DISABLED ? "disabled" : std::to_string(value)) << name;
        EXPECT_NE(lines[1 + i].find(row.help), std::string::npos) << name;
    }
}

TEST(StatsWrite, JsonHasEveryRowAndNullForDisabled) {
    hak_stats_t stats = Sample();
    std::string json = "{\"version\":\"9.9.9 (test)\",\"pid\":4711";
    for (const hak_stat_row_t &row : hak_stat_rows) {
        uint64_t value = hak_stats_table_value(&stats, &row);
        json += std::string(",\"") + row.name +
                "\":" + (value == HAK_STAT_DISABLED ? "null" : std::to_string(value));
    }
    EXPECT_EQ(Write(HAK_STATS_JSON, stats), json + "}\n");
}

/* The rules of OpenMetrics 1.0 that a reader relies on: metadata precedes the samples of its
 * family, a counter's sample ends in _total, a family with a unit ends in it, the text ends with #
 * EOF. */
TEST(StatsWrite, OpenMetricsIsWellFormed) {
    std::string text = Write(HAK_STATS_OPENMETRICS, Sample());
    ASSERT_GE(text.size(), 6u);
    EXPECT_EQ(text.substr(text.size() - 6), "# EOF\n");
    std::map<std::string, std::string> types;
    std::string family;
    int samples = 0;
    for (const std::string &line : Lines(text)) {
        if (line == "# EOF") {
            continue;
        }
        std::istringstream in(line);
        std::string word, keyword, name, rest;
        if (line[0] == '#') {
            in >> word >> keyword >> name >> std::ws;
            std::getline(in, rest);
            EXPECT_FALSE(rest.empty()) << line;
            if (keyword == "TYPE") {
                family = name;
                EXPECT_EQ(types.count(family), 0u) << line;
                types[family] = rest;
            } else if (keyword == "UNIT") {
                EXPECT_EQ(family.substr(family.size() - rest.size() - 1), "_" + rest) << line;
            } else {
                EXPECT_EQ(keyword, "HELP") << line;
            }
            EXPECT_EQ(name, family) << line;
            EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789"),
                      std::string::npos);
            continue;
        }
        size_t name_end = line.find_first_of("{ ");
        size_t value_at = line.rfind(' ') + 1;
        std::string suffix = types[family] == "counter" ? "_total"
                             : types[family] == "info"  ? "_info"
                                                        : "";
        EXPECT_EQ(line.substr(0, name_end), family + suffix) << line;
        EXPECT_EQ(line.find_first_not_of("0123456789", value_at), std::string::npos) << line;
        samples++;
    }
    EXPECT_EQ(samples, HAK_STAT_ROWS); /* one is disabled, one more says which process this is */
    EXPECT_EQ(text.find("malloc_calls"), std::string::npos);
    EXPECT_NE(text.find("\nhakmem_free_calls_total 0\n"), std::string::npos);
    EXPECT_NE(text.find("\nhakmem_live_bytes 1000\n"), std::string::npos);
    EXPECT_NE(text.find("hakmem_process_info{version=\"9.9.9 (test)\",pid=\"4711\"} 1\n"),
              std::string::npos);
}

// What a variant adds stands inside of each format's frame.
TEST(StatsWrite, MoreComesLastAndInsideTheFrame) {
    auto more = [](hak_text_t *text, hak_stats_format_t format) {
        hak_text_put(text, format == HAK_STATS_JSON ? ",\"more\":1" : "more 1\n");
    };
    auto ends = [&](hak_stats_format_t format, const std::string &end) {
        std::string text = Write(format, Sample(), more);
        return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
    };
    EXPECT_TRUE(ends(HAK_STATS_TEXT, "\nmore 1\n"));
    EXPECT_TRUE(ends(HAK_STATS_JSON, ",\"more\":1}\n"));
    EXPECT_TRUE(ends(HAK_STATS_OPENMETRICS, "\nmore 1\n# EOF\n"));
    EXPECT_EQ(Write(HAK_STATS_SUMMARY, Sample(), more), Write(HAK_STATS_SUMMARY, Sample()));
}

TEST(StatsWrite, SummaryIsOneLine) {
    hak_stats_t stats = {};
    stats.pid = 4711;
    stats.live_bytes = 5 * 1024 + 512;
    stats.live_blocks = 12;
    stats.resident_max_bytes = 1024 * 1024 + 1024 * 1024 / 4;
    stats.mapped_bytes = 1024 * 1024 - 1;
    stats.mapped_peak_bytes = 3ull << 30;
    stats.refills = 7;
    stats.remote_blocks = 8;
    stats.purged_bytes = 5ull << 40;
    stats.malloc_calls = HAK_STAT_DISABLED;
    const std::string expected = "hakmem[4711]: 9.9.9 (test): live 5.5 KiB in 12 blocks, resident "
                                 "at most 1.2 MiB, mapped 1023.9 KiB (peak 3.0 GiB), refills 7, "
                                 "remote frees 8, purged 5.0 TiB";
    EXPECT_EQ(Write(HAK_STATS_SUMMARY, stats), expected + ", errors 0\n");
    stats.malloc_calls = 99;
    EXPECT_EQ(Write(HAK_STATS_SUMMARY, stats), expected + ", malloc calls 99, errors 0\n");
}

TEST(StatsWrite, Errors) {
    hak_stats_t stats = Sample();
    errno = 0;
    EXPECT_EQ(hak_stats_write_to(-1, HAK_STATS_TEXT, &stats, "v", nullptr), -1);
    EXPECT_EQ(errno, EBADF);
    errno = 0;
    EXPECT_EQ(hak_stats_write_to(1, static_cast<hak_stats_format_t>(4), &stats, "v", nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    errno = 0;
    EXPECT_EQ(hak_stats_write_to(ends[0], HAK_STATS_TEXT, &stats, "v", nullptr),
              -1); /* the wrong end */
    EXPECT_EQ(errno, EBADF);
    close(ends[0]);
    close(ends[1]);
}

} // namespace
