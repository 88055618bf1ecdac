#include "core/options/options.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "core/options/options_internal.h"

namespace {

/* Values are process-wide; every test starts from the table's defaults. */
class Options : public ::testing::Test {
  protected:
    void SetUp() override {
        for (int id = 0; id < HAK_OPTION_COUNT; id++) {
            hak_store_rlx(&hak_option_values[id], hak_option_rows[id].initial);
        }
    }

    /* Loads the entries and returns what was written on stderr. */
    static std::string Load(const std::vector<std::string> &entries) {
        std::vector<char *> environment;
        for (const std::string &entry : entries) {
            environment.push_back(const_cast<char *>(entry.c_str()));
        }
        environment.push_back(nullptr);
        testing::internal::CaptureStderr();
        hak_options_load(environment.data());
        return testing::internal::GetCapturedStderr();
    }
    static std::string Head() { return "hakmem[" + std::to_string(getpid()) + "]: "; }
    static std::string Get(const char *name) {
        char value[32];
        EXPECT_GE(hak_options_get_text(name, value, sizeof value), 0) << name;
        return value;
    }
};

std::string Text(void (*put)(hak_text_t *, const hak_option_row_t *), const hak_option_row_t *row) {
    hak_text_t text;
    hak_text_init(&text, -1);
    put(&text, row);
    return std::string(text.buffer, text.length);
}

std::string Value(const hak_option_row_t *row, uint64_t value) {
    hak_text_t text;
    hak_text_init(&text, -1);
    hak_options_put_value(&text, row, value);
    return std::string(text.buffer, text.length);
}

TEST_F(Options, EveryRowIsFilledAndItsDefaultIsValid) {
    for (int id = 0; id < HAK_OPTION_COUNT; id++) {
        const hak_option_row_t &row = hak_option_rows[id];
        ASSERT_NE(row.name, nullptr) << id;
        ASSERT_NE(row.help, nullptr) << row.name;
        std::string text = Value(&row, row.initial);
        uint64_t back = ~row.initial;
        EXPECT_TRUE(hak_options_parse(&row, text.data(), text.size(), &back)) << row.name;
        EXPECT_EQ(back, row.initial) << row.name;
    }
}

/* What the values were before main and before any test stored others. */
const std::vector<uint64_t> at_start = [] {
    std::vector<uint64_t> values;
    for (hak_a64_t &cell : hak_option_values) {
        values.push_back(hak_load_rlx(&cell));
    }
    return values;
}();

/* Guards against a default that differs between the table and the constant-initialised values. */
TEST(OptionsAtStart, ValuesAreTheDefaultsOfTheTable) {
    for (size_t id = 0; id < at_start.size(); id++) {
        EXPECT_EQ(at_start[id], hak_option_rows[id].initial) << hak_option_rows[id].name;
    }
}

TEST_F(Options, EnvironmentIsRead) {
    EXPECT_EQ(
        Load({"PATH=/bin", "HAKMEM_ON_ERROR=report", "HAKMEM_PURGE_DELAY_MS=20", "HAKMEM_THP=on",
              "HAKMEM_STATS=summary", "XHAKMEM_THP=0", "HAKMEM_REGISTRY=two_level"}),
        "");
    EXPECT_EQ(hak_option(HAK_OPTION_ON_ERROR), HAK_ON_ERROR_REPORT);
    EXPECT_EQ(hak_option(HAK_OPTION_PURGE_DELAY_MS), 20u);
    EXPECT_EQ(hak_option(HAK_OPTION_THP), 1u);
    EXPECT_EQ(hak_option(HAK_OPTION_STATS), HAK_STATS_OPTION_SUMMARY);
    EXPECT_EQ(hak_option(HAK_OPTION_REGISTRY), HAK_REGISTRY_TWO_LEVEL);
    EXPECT_EQ(hak_option(HAK_OPTION_BACKGROUND), 0u);
}

TEST_F(Options, Decimals) {
    for (const auto &c : std::vector<std::pair<const char *, uint64_t>>{
             {"0.65", 650}, {"0.750", 750}, {"0.001", 1}, {"0.999", 999}, {"00.5", 500}}) {
        EXPECT_EQ(Load({std::string("HAKMEM_TARGET_HIT_MID=") + c.first}), "");
        EXPECT_EQ(hak_option(HAK_OPTION_TARGET_HIT_MID), c.second) << c.first;
    }
    EXPECT_EQ(Load({"HAKMEM_WMAX_MID=1.6"}), "");
    EXPECT_EQ(Get("wmax_mid"), "1.6");
    EXPECT_EQ(Load({"HAKMEM_WMAX_MID=2"}), "");
    EXPECT_EQ(Get("wmax_mid"), "2");
    hak_store_rlx(&hak_option_values[HAK_OPTION_TARGET_HIT_MID], 650);
    for (const char *bad : {"0", "1", "1.0", "0.0", ".5", "0.", "0.6501", "65%", "-0.5", "0,65",
                            "0.6.5", "", ".", "1e-1"}) {
        EXPECT_EQ(Load({std::string("HAKMEM_TARGET_HIT_MID=") + bad}),
                  Head() + "HAKMEM_TARGET_HIT_MID=" + bad +
                      ": not a number in 0.001..0.999; using 0.65\n");
        EXPECT_EQ(hak_option(HAK_OPTION_TARGET_HIT_MID), 650u) << bad;
    }
}

TEST_F(Options, Lists) {
    EXPECT_EQ(Get("cap_mid"), "none");
    EXPECT_EQ(Get("wmax_candidates_mid"), "1.4,1.5,1.6,1.7");
    EXPECT_EQ(Load({"HAKMEM_CAP_MID=64,64,64,32,4095", "HAKMEM_WMAX_CANDIDATES_MID=1.25,2"}), "");
    EXPECT_EQ(Get("cap_mid"), "64,64,64,32,4095");
    EXPECT_EQ(Get("wmax_candidates_mid"), "1.25,2");
    uint64_t caps = hak_option(HAK_OPTION_CAP_MID);
    EXPECT_EQ(hak_option_item(caps, HAK_OPTION_CAP_BITS, 3), 32u);
    EXPECT_EQ(hak_option_item(caps, HAK_OPTION_CAP_BITS, 4), 4095u);
    EXPECT_EQ(hak_option_item(caps, HAK_OPTION_CAP_BITS, 5), 0u) << "there is none";
    EXPECT_EQ(hak_option_item(hak_option(HAK_OPTION_WMAX_CANDIDATES_MID), 8, 2), 0u);
    EXPECT_EQ(Load({"HAKMEM_CAP_MID=none"}), "");
    EXPECT_EQ(hak_option(HAK_OPTION_CAP_MID), 0u);
    for (const char *bad : {"", "64,", ",64", "64,,64", "64;64", "0,64", "4096", "1,2,3,4,5,6",
                            "64, 64", "none,64", "1.5", "NONE"}) {
        EXPECT_EQ(Load({std::string("HAKMEM_CAP_MID=") + bad}),
                  Head() + "HAKMEM_CAP_MID=" + bad +
                      ": not a list of 1..4095,...|none; using none\n");
    }
    EXPECT_NE(Load({"HAKMEM_WMAX_CANDIDATES_MID=1.4,1.5,1.6,1.7,1.1,1.2,1.3,1.8,1.9"}), "")
        << "nine";
    EXPECT_NE(Load({"HAKMEM_WMAX_CANDIDATES_MID=0.9"}), "");
}

TEST_F(Options, TextIsKept) {
    EXPECT_EQ(Get("learn_log"), "none");
    std::string path = "/var/log/" + std::string(100, 'x');
    EXPECT_EQ(Load({"HAKMEM_LEARN_LOG=" + path}), "");
    EXPECT_EQ(hak_options_learn_log(), path);
    char value[300];
    EXPECT_EQ(hak_options_get_text("learn_log", value, sizeof value), (int)path.size());
    EXPECT_EQ(value, path);
    EXPECT_EQ(hak_options_set_text("learn_log", "2"), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(Load({"HAKMEM_LEARN_LOG=2"}), "");
    EXPECT_STREQ(hak_options_learn_log(), "2");
    EXPECT_NE(Load({"HAKMEM_LEARN_LOG=" + std::string(256, 'x')}), "") << "too long";
    EXPECT_STREQ(hak_options_learn_log(), "2");
    EXPECT_EQ(Load({"HAKMEM_LEARN_LOG=none"}), "");
    EXPECT_STREQ(hak_options_learn_log(), "");
}

TEST_F(Options, FirstOfTwoEntriesCounts) {
    EXPECT_EQ(Load({"HAKMEM_PURGE_DELAY_MS=1", "HAKMEM_PURGE_DELAY_MS=2"}), "");
    EXPECT_EQ(hak_option(HAK_OPTION_PURGE_DELAY_MS), 1u);
}

TEST_F(Options, InvalidValueKeepsTheDefaultAndWarnsOnce) {
    EXPECT_EQ(Load({"HAKMEM_ON_ERROR=explode"}),
              Head() + "HAKMEM_ON_ERROR=explode: not one of abort|report|ignore; using abort\n");
    EXPECT_EQ(hak_option(HAK_OPTION_ON_ERROR), HAK_ON_ERROR_ABORT);
    EXPECT_EQ(Load({"HAKMEM_THP="}), Head() + "HAKMEM_THP=: not one of 0|1|dense; using dense\n");
    for (const char *bad : {"", "-1", "+5", " 5", "5 ", "0x10", "1k", "86400001",
                            "18446744073709551616", "99999999999999999999999"}) {
        EXPECT_EQ(Load({std::string("HAKMEM_PURGE_DELAY_MS=") + bad}),
                  Head() + "HAKMEM_PURGE_DELAY_MS=" + bad +
                      ": not a number in 0..86400000; using 500\n");
        EXPECT_EQ(hak_option(HAK_OPTION_PURGE_DELAY_MS), 500u) << bad;
    }
    EXPECT_EQ(Load({"HAKMEM_PURGE_DELAY_MS=86400000"}), "");
    EXPECT_EQ(hak_option(HAK_OPTION_PURGE_DELAY_MS), 86400000u);
}

TEST_F(Options, WarningShowsForeignTextAsOneHarmlessLine) {
    EXPECT_EQ(Load({"HAKMEM_THP=a\nb\033[2J"}),
              Head() + "HAKMEM_THP=a?b?[2J: not one of 0|1|dense; using dense\n");
    EXPECT_EQ(Load({"HAKMEM_THP=" + std::string(5000, 'x')}),
              Head() + "HAKMEM_THP=" + std::string(64, 'x') +
                  "...: not one of 0|1|dense; using dense\n");
}

TEST_F(Options, UnknownNamesWarnUpToFourTimes) {
    EXPECT_EQ(Load({"HAKMEM_THPS=1"}),
              Head() + "HAKMEM_THPS: no such option, ignored; HAKMEM_HELP=1 lists them\n");
    EXPECT_EQ(Load({"HAKMEM_thp=1"}),
              Head() + "HAKMEM_thp: no such option, ignored; HAKMEM_HELP=1 lists them\n");
    std::string out =
        Load({"HAKMEM_A=1", "HAKMEM_B=1", "HAKMEM_C=1", "HAKMEM_D=1", "HAKMEM_E=1", "HAKMEM_F"});
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 4);
}

TEST_F(Options, SwitchSpellings) {
    for (const char *on : {"1", "on", "yes", "true"}) {
        EXPECT_EQ(hak_options_set_text("thp", on), 0);
        EXPECT_EQ(Get("thp"), "1") << on;
        for (const char *off : {"0", "off", "no", "false"}) {
            EXPECT_EQ(hak_options_set_text("thp", off), 0);
            EXPECT_EQ(Get("thp"), "0") << off;
            hak_options_set_text("thp", on);
        }
    }
    EXPECT_EQ(Load({"HAKMEM_STATS=yes"}), "");
    EXPECT_EQ(hak_option(HAK_OPTION_STATS), HAK_STATS_OPTION_TEXT);
    EXPECT_EQ(Load({"HAKMEM_STATS=off"}), "");
    EXPECT_EQ(hak_option(HAK_OPTION_STATS), HAK_STATS_OPTION_OFF);
}

TEST_F(Options, StatsWords) {
    const std::pair<const char *, uint64_t> words[] = {
        {"0", HAK_STATS_OPTION_OFF},     {"1", HAK_STATS_OPTION_TEXT},
        {"text", HAK_STATS_OPTION_TEXT}, {"summary", HAK_STATS_OPTION_SUMMARY},
        {"json", HAK_STATS_OPTION_JSON}, {"openmetrics", HAK_STATS_OPTION_OPENMETRICS}};
    for (const auto &word : words) {
        EXPECT_EQ(Load({std::string("HAKMEM_STATS=") + word.first}), "");
        EXPECT_EQ(hak_option(HAK_OPTION_STATS), word.second) << word.first;
    }
}

TEST_F(Options, ListsOfSizes) {
    const std::pair<const char *, const char *> good[] = {
        {"0", "0"},
        {"528", "528"},
        {"513", "528"},
        {"1000", "1008"},
        {"1008,528", "528,1008"},
        {"528,520,513", "528"},
        {"257", "272"},
        {"272,304,336,368,400,432,464,496", "272,304,336,368,400,432,464,496"},
        {"496,272", "272,496"},
    };
    for (const auto &list : good) {
        EXPECT_EQ(hak_options_set_text("exact_sizes", list.first), 0) << list.first;
        EXPECT_EQ(Get("exact_sizes"), list.second);
    }
    EXPECT_EQ(hak_option(HAK_OPTION_EXACT_SIZES), 272u / 16 | 496u / 16 << 8);
    for (const char *bad : {"",         ",",
                            "528,",     ",528",
                            "528,,592", "0,528",
                            "528;592",  "528, 592",
                            "256",      "128",
                            "16",       "1009",
                            "1024",     "4096",
                            "512",      "576",
                            "640",      "288",
                            "275,288",  "-528",
                            "528x",     "272,304,336,368,400,432,464,496,528"}) {
        EXPECT_EQ(hak_options_set_text("exact_sizes", bad), -1) << bad;
        EXPECT_EQ(Get("exact_sizes"), "272,496") << bad;
    }
    EXPECT_EQ(Load({"HAKMEM_EXACT_SIZES=528,4096"}),
              Head() + "HAKMEM_EXACT_SIZES=528,4096: not up to 8 sizes in 257..1008 that no class "
                       "has; using 0\n");
    EXPECT_EQ(Load({"HAKMEM_EXACT_SIZES=528,1000"}), "");
    EXPECT_EQ(Get("exact_sizes"), "528,1008");
}

TEST_F(Options, SetAndGet) {
    EXPECT_EQ(hak_options_set_text("purge_delay_ms", "1234"), 0);
    EXPECT_EQ(Get("purge_delay_ms"), "1234");
    EXPECT_EQ(hak_options_set_text("on_error", "ignore"), 0);
    EXPECT_EQ(Get("on_error"), "ignore");
    EXPECT_EQ(Get("registry"), "auto");
}

TEST_F(Options, SetErrors) {
    errno = 0;
    EXPECT_EQ(hak_options_set_text("no_such", "1"), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(hak_options_set_text("PURGE_DELAY_MS", "1"), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(hak_options_set_text(nullptr, "1"), -1);
    EXPECT_EQ(errno, ENOENT);
    for (const char *fixed : {"registry", "background", "stats", "help"}) {
        errno = 0;
        EXPECT_EQ(hak_options_set_text(fixed, "1"), -1) << fixed;
        EXPECT_EQ(errno, EPERM) << fixed;
    }
    EXPECT_EQ(hak_options_set_text("purge_delay_ms", "soon"), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(hak_options_set_text("purge_delay_ms", nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(Get("purge_delay_ms"), "500");
}

TEST_F(Options, GetErrorsAlwaysTerminate) {
    char value[8] = "xxxxxxx";
    EXPECT_EQ(hak_options_get_text("no_such", value, sizeof value), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_STREQ(value, "");
    memset(value, 'x', sizeof value);
    errno = 0;
    EXPECT_EQ(hak_options_get_text("on_error", value, 5), -1);
    EXPECT_EQ(errno, ERANGE);
    EXPECT_STREQ(value, "abor");
    EXPECT_EQ(value[5], 'x');
    EXPECT_EQ(hak_options_get_text("on_error", value, 6), 5);
    EXPECT_STREQ(value, "abort");
    errno = 0;
    EXPECT_EQ(hak_options_get_text("on_error", nullptr, 0), -1);
    EXPECT_EQ(errno, ERANGE);
}

TEST_F(Options, RefusedValueGivesWayToTheOneBefore) {
    EXPECT_EQ(Load({"HAKMEM_MID_DYN1=4096"}), "");
    testing::internal::CaptureStderr();
    hak_options_refuse(HAK_OPTION_MID_DYN1, 5120, "no");
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              Head() + "HAKMEM_MID_DYN1=4096: no; using 5120\n");
    EXPECT_EQ(Get("mid_dyn1"), "5120");
    testing::internal::CaptureStderr();
    hak_options_refuse(HAK_OPTION_MID_DYN1, 0, nullptr);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "nobody asked for a line";
    EXPECT_EQ(Get("mid_dyn1"), "0");
}

TEST_F(Options, RowFixedByTheVariantTakesOnlyItsOwnValue) {
    hak_option_row_t row = hak_option_rows[HAK_OPTION_HUGE_CACHE_MB];
    row.settable = HAK_SETTABLE_BY_VARIANT;
    hak_a64_t cell = {row.initial};
    testing::internal::CaptureStderr();
    hak_options_take(&row, &cell, "256");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    testing::internal::CaptureStderr();
    hak_options_take(&row, &cell, "65");
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              Head() + "HAKMEM_HUGE_CACHE_MB=65: fixed by the variant; using 256\n");
    EXPECT_EQ(hak_load_rlx(&cell), 256u);
}

TEST_F(Options, InitReadsOneEnvironmentOnceAndPrintsHelp) {
    char help[] = "HAKMEM_HELP=1";
    char delay[] = "HAKMEM_PURGE_DELAY_MS=3";
    char later[] = "HAKMEM_PURGE_DELAY_MS=4";
    char *first[] = {help, delay, nullptr};
    char *second[] = {later, nullptr};
    testing::internal::CaptureStderr();
    errno = 77;
    hak_options_init(first);
    hak_options_init(second);
    EXPECT_EQ(errno, 77);
    std::string out = testing::internal::GetCapturedStderr();
    EXPECT_EQ(hak_option(HAK_OPTION_PURGE_DELAY_MS), 3u);
    for (const hak_option_row_t &row : hak_option_rows) {
        std::string line = "  " + Text(hak_options_put_env_name, &row) + "=" +
                           Text(hak_options_put_accepted, &row) + "\n";
        EXPECT_NE(out.find(line), std::string::npos) << line;
        EXPECT_NE(out.find(row.help), std::string::npos) << row.name;
    }
    EXPECT_NE(out.find("default 500, now 3, can be set any time"), std::string::npos);
}

/* docs/ENV_VARS.md holds exactly one table row per option, with the text that the program prints.
 * */
TEST_F(Options, DocumentMatchesTheTable) {
    std::ifstream file("docs/ENV_VARS.md");
    ASSERT_TRUE(file) << "run from the root of the repository";
    std::string document((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    for (const hak_option_row_t &row : hak_option_rows) {
        std::string accepted = Text(hak_options_put_accepted, &row);
        for (size_t at = 0; (at = accepted.find('|', at)) != std::string::npos; at += 2) {
            accepted.insert(at, "\\"); /* a bar ends a cell of a markdown table */
        }
        std::string line = "| `" + Text(hak_options_put_env_name, &row) + "` | `" + accepted +
                           "` | `" + Value(&row, row.initial) + "` | " + hak_options_when(&row) +
                           " | " + row.help + " |\n";
        EXPECT_NE(document.find(line), std::string::npos) << "missing:\n" << line;
    }
    size_t rows = 0;
    for (size_t at = 0; (at = document.find("\n| `HAKMEM_", at)) != std::string::npos; at++) {
        rows++;
    }
    EXPECT_EQ(rows, static_cast<size_t>(HAK_OPTION_COUNT));
}

} // namespace
