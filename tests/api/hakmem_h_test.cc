/* What hakmem.h has beyond twins: questions, maintenance, statistics, options. Built with the
 * override and without. */
#include <errno.h>
#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "hakmem.h"

namespace {

hak_stats_t Stats() {
    hak_stats_t stats = {};
    stats.struct_bytes = sizeof stats;
    EXPECT_EQ(hak_stats_get(&stats), 0);
    return stats;
}

TEST(GoodSize, IsWhatMallocGives) {
    for (size_t size = 0; size < 200000; size += size < 2000 ? 1 : 997) {
        void *block = hak_malloc(size);
        ASSERT_NE(block, nullptr);
        ASSERT_EQ(hak_good_size(size), hak_usable_size(block)) << size;
        ASSERT_GE(hak_good_size(size), size);
        hak_free(block);
    }
    EXPECT_EQ(hak_good_size(static_cast<size_t>(PTRDIFF_MAX) + 1), 0u);
    EXPECT_EQ(hak_good_size(SIZE_MAX), 0u);
}

/* Rounding above 128 bytes costs at most one part in eight; where a mid backend has powers of two
 * alone, up to 32 KiB, at most a half. */
TEST(GoodSize, LosesAtMostAnEighth) {
    size_t pow2_above = hak_good_size(1025) == 2048    ? 1024
                        : hak_good_size(8193) == 16384 ? 8192
                                                       : 32768;
    for (size_t size = 129; size <= 65536; size++) {
        size_t part = size > pow2_above && size <= 32768 ? 2 : 8;
        ASSERT_LE((hak_good_size(size) - size) * part, hak_good_size(size)) << size;
    }
}

TEST(Owns, KnowsItsBlocksAndNothingElse) {
    static int global;
    int local;
    EXPECT_FALSE(hak_owns(nullptr));
    EXPECT_FALSE(hak_owns(&global));
    EXPECT_FALSE(hak_owns(&local));
    EXPECT_FALSE(hak_owns(reinterpret_cast<void *>(8)));
    EXPECT_FALSE(hak_owns(reinterpret_cast<void *>(0xdeadbeefdeadbeefu)));
    EXPECT_FALSE(hak_owns(reinterpret_cast<void *>(UINTPTR_MAX)));
    for (size_t size : {1, 48, 5000, 60000, 100000, 3 << 20}) {
        char *block = static_cast<char *>(hak_malloc(size));
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(hak_owns(block)) << size;
        EXPECT_FALSE(hak_owns(block + 8)) << size;
        hak_free(block);
    }
}

TEST(Version, NamesNumberAndVariant) {
    std::string version = hak_version();
    const std::string head = std::string(HAKMEM_VERSION_STRING) + " (hakmem";
    EXPECT_EQ(version.compare(0, head.size(), head), 0) << version;
    EXPECT_EQ(version.back(), ')') << version;
    EXPECT_EQ(std::to_string(HAKMEM_VERSION_MAJOR) + "." + std::to_string(HAKMEM_VERSION_MINOR) +
                  "." + std::to_string(HAKMEM_VERSION_PATCH),
              HAKMEM_VERSION_STRING);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&] { EXPECT_EQ(hak_version(), version); });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

TEST(Maintenance, CheckFindsNoFaultAndFlushKeepsBlocks) {
    std::vector<void *> blocks;
    for (size_t i = 0; i < 5000; i++) {
        blocks.push_back(hak_malloc(1 + i % 3000));
    }
    for (size_t i = 0; i < blocks.size(); i += 2) {
        hak_free(blocks[i]);
    }
    hak_thread_flush();
    EXPECT_EQ(hak_check(), 0u);
    for (size_t i = 1; i < blocks.size(); i += 2) {
        EXPECT_TRUE(hak_owns(blocks[i]));
        hak_free(blocks[i]);
    }
    hak_thread_flush();
    int trimmed = hak_trim(0);
    EXPECT_TRUE(trimmed == 0 || trimmed == 1);
    EXPECT_EQ(hak_check(), 0u);
}

TEST(Maintenance, ServedByNamesTheBackendOfALiveBlockAlone) {
    int on_stack = 0;
    EXPECT_EQ(hak_served_by(nullptr), nullptr);
    EXPECT_EQ(hak_served_by(&on_stack), nullptr);
    void *small = hak_malloc(64);
    void *large = hak_malloc(300000);
    void *huge = hak_malloc(3000000);
    EXPECT_NE(hak_served_by(small), nullptr);
    EXPECT_EQ(hak_served_by(static_cast<char *>(small) + 1), nullptr);
    EXPECT_STREQ(hak_served_by(large), "large");
    EXPECT_STREQ(hak_served_by(huge), "large");
    hak_free(large);
    EXPECT_EQ(hak_served_by(large), nullptr);
    hak_free(huge);
    hak_free(small);
}

TEST(Maintenance, AuditFindsEachBlock) {
    hak_thread_flush();
    hak_audit_t before = {};
    before.struct_bytes = sizeof before;
    ASSERT_EQ(hak_audit(&before), 0);
    EXPECT_EQ(before.whole, 1u);
    std::vector<void *> blocks;
    blocks.reserve(1000);
    for (size_t i = 0; i < 1000; i++) {
        blocks.push_back(hak_malloc(1 + i));
    }
    for (size_t i = 0; i < 100; i++) {
        hak_free(blocks[i]);
    }
    hak_audit_t audit = {};
    audit.struct_bytes = sizeof audit;
    ASSERT_EQ(hak_audit(&audit), 0);
    EXPECT_EQ(audit.whole, 1u);
    EXPECT_EQ(audit.misplaced_blocks, 0u);
    if (audit.live_blocks != HAK_STAT_DISABLED) {
        EXPECT_GE(audit.live_blocks, before.live_blocks + 900);
        EXPECT_LE(audit.live_blocks, before.live_blocks + 901) << "the vector may be one more";
        EXPECT_EQ(audit.used_blocks, audit.live_blocks + audit.cached_blocks +
                                         audit.batched_blocks + audit.remote_blocks);
    }
    for (size_t i = 100; i < 1000; i++) {
        hak_free(blocks[i]);
    }
    EXPECT_EQ(hak_check(), 0u);
}

TEST(Maintenance, AuditRefusesAStructThatIsTooSmall) {
    hak_audit_t audit = {};
    audit.struct_bytes = sizeof audit - 1;
    errno = 0;
    EXPECT_EQ(hak_audit(&audit), -1);
    EXPECT_EQ(errno, EINVAL);
    errno = 0;
    EXPECT_EQ(hak_audit(nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
}

TEST(StatsGet, CountsLiveBlocksExactlyAfterAFlush) {
    hak_thread_flush();
    hak_stats_t before = Stats();
    std::vector<void *> blocks;
    blocks.reserve(1000);
    for (int i = 0; i < 1000; i++) {
        blocks.push_back(hak_malloc(100));
    }
    hak_thread_flush();
    hak_stats_t full = Stats();
    EXPECT_GE(full.live_blocks, before.live_blocks + 1000); /* the vector may be one more */
    EXPECT_LE(full.live_blocks, before.live_blocks + 1001);
    EXPECT_GE(full.live_bytes, before.live_bytes + 1000 * hak_good_size(100));
    for (void *block : blocks) {
        hak_free(block);
    }
    hak_thread_flush();
    hak_stats_t after = Stats();
    EXPECT_EQ(full.live_blocks - after.live_blocks, 1000u);
    EXPECT_EQ(full.live_bytes - after.live_bytes, 1000 * hak_good_size(100));
    EXPECT_EQ(after.pid, static_cast<uint32_t>(getpid()));
    EXPECT_GE(after.refills, before.refills);
    EXPECT_LE(after.registry_flat, 1u);
}

TEST(StatsGet, CountsLargeBlocks) {
    hak_stats_t before = Stats();
    void *block = hak_malloc(5u << 20);
    ASSERT_NE(block, nullptr);
    hak_stats_t full = Stats();
    EXPECT_EQ(full.large_blocks, before.large_blocks + 1);
    EXPECT_GE(full.large_bytes, before.large_bytes + (5u << 20));
    hak_free(block);
    EXPECT_EQ(Stats().large_blocks, before.large_blocks);
}

TEST(StatsGet, CallsAreDisabledOrCounted) {
    hak_stats_t before = Stats();
    const int rounds = 100;
    for (int i = 0; i < rounds; i++) {
        void *volatile block = hak_malloc(64);
        hak_free(block);
    }
    hak_stats_t after = Stats();
    if (before.malloc_calls == HAK_STAT_DISABLED) {
        EXPECT_EQ(before.free_calls, HAK_STAT_DISABLED);
        EXPECT_EQ(before.realloc_calls, HAK_STAT_DISABLED);
        EXPECT_EQ(before.failed_calls, HAK_STAT_DISABLED);
        EXPECT_EQ(after.malloc_calls, HAK_STAT_DISABLED);
    } else {
        EXPECT_GE(after.malloc_calls - before.malloc_calls, static_cast<uint64_t>(rounds));
        EXPECT_GE(after.free_calls - before.free_calls, static_cast<uint64_t>(rounds));
        volatile size_t huge = SIZE_MAX;
        EXPECT_EQ(hak_malloc(huge), nullptr);
        EXPECT_GE(Stats().failed_calls, after.failed_calls + 1);
    }
}

TEST(StatsGet, WritesNoMoreThanTheCallerKnows) {
    unsigned char raw[sizeof(hak_stats_t) + 64];
    hak_stats_t *stats = reinterpret_cast<hak_stats_t *>(raw);
    const uint32_t sizes[] = {8, 16, 24, 100, sizeof(hak_stats_t), sizeof(hak_stats_t) + 64};
    for (uint32_t bytes : sizes) {
        memset(raw, 0xa5, sizeof raw);
        stats->struct_bytes = bytes;
        EXPECT_EQ(hak_stats_get(stats), 0);
        EXPECT_EQ(stats->struct_bytes, bytes);
        EXPECT_EQ(stats->pid, static_cast<uint32_t>(getpid()));
        size_t known = bytes < sizeof(hak_stats_t) ? bytes : sizeof(hak_stats_t);
        for (size_t i = known; i < sizeof raw; i++) {
            ASSERT_EQ(raw[i], 0xa5) << bytes << ": byte " << i;
        }
        if (bytes >= 16) {
            EXPECT_LT(stats->live_bytes, 1ull << 40) << bytes;
        }
    }
}

TEST(StatsGet, TooSmallIsEinval) {
    hak_stats_t stats = {};
    for (uint32_t bytes : {0u, 4u, 7u}) {
        stats.struct_bytes = bytes;
        errno = 0;
        EXPECT_EQ(hak_stats_get(&stats), -1);
        EXPECT_EQ(errno, EINVAL);
    }
    errno = 0;
    EXPECT_EQ(hak_stats_get(nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
}

std::string Written(hak_stats_format_t format) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    EXPECT_EQ(hak_stats_write(ends[1], format), 0);
    close(ends[1]);
    std::string out;
    char part[4096];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) {
        out.append(part, static_cast<size_t>(n));
    }
    close(ends[0]);
    return out;
}

TEST(StatsWrite, EveryFormat) {
    std::string pid = std::to_string(getpid());
    std::string text = Written(HAK_STATS_TEXT);
    EXPECT_EQ(text.find("hakmem[" + pid + "]: statistics of " + hak_version() + "\n  live_bytes"),
              0u)
        << text;
    std::string json = Written(HAK_STATS_JSON);
    EXPECT_EQ(json.find(std::string("{\"version\":\"") + hak_version() + "\",\"pid\":" + pid + ","),
              0u)
        << json;
    std::string metrics = Written(HAK_STATS_OPENMETRICS);
    EXPECT_EQ(metrics.substr(metrics.size() - 6), "# EOF\n");
    std::string summary = Written(HAK_STATS_SUMMARY);
    EXPECT_EQ(summary.find("hakmem[" + pid + "]: " + hak_version() + ": live "), 0u) << summary;
    EXPECT_EQ(summary.find('\n'), summary.size() - 1);
    bool disabled = Stats().malloc_calls == HAK_STAT_DISABLED;
    EXPECT_EQ(text.find("disabled") != std::string::npos, disabled);
    EXPECT_EQ(json.find("\"malloc_calls\":null") != std::string::npos, disabled);
    EXPECT_EQ(metrics.find("hakmem_malloc_calls_total") == std::string::npos, disabled);
}

TEST(StatsWrite, Errors) {
    errno = 0;
    EXPECT_EQ(hak_stats_write(-1, HAK_STATS_TEXT), -1);
    EXPECT_EQ(errno, EBADF);
    errno = 0;
    EXPECT_EQ(hak_stats_write(1, static_cast<hak_stats_format_t>(99)), -1);
    EXPECT_EQ(errno, EINVAL);
}

TEST(Option, GetAndSet) {
    char value[32];
    ASSERT_GT(hak_option_get("purge_delay_ms", value, sizeof value), 0);
    const std::string before = value;
    EXPECT_EQ(hak_option_set("purge_delay_ms", "123"), 0);
    EXPECT_EQ(hak_option_get("purge_delay_ms", value, sizeof value), 3);
    EXPECT_STREQ(value, "123");
    EXPECT_EQ(hak_option_set("purge_delay_ms", before.c_str()), 0);
}

TEST(Option, Errors) {
    char value[32];
    errno = 0;
    EXPECT_EQ(hak_option_get("no_such_option", value, sizeof value), -1);
    EXPECT_EQ(errno, ENOENT);
    errno = 0;
    EXPECT_EQ(hak_option_get("on_error", value, 2), -1);
    EXPECT_EQ(errno, ERANGE);
    EXPECT_EQ(value[1], '\0');
    errno = 0;
    EXPECT_EQ(hak_option_set("no_such_option", "1"), -1);
    EXPECT_EQ(errno, ENOENT);
    errno = 0;
    EXPECT_EQ(hak_option_set("registry", "flat"), -1);
    EXPECT_EQ(errno, EPERM);
    errno = 0;
    EXPECT_EQ(hak_option_set("purge_delay_ms", "never"), -1);
    EXPECT_EQ(errno, EINVAL);
}

/* An option takes effect, not only space in a table: with `report` a misuse is survived and
 * counted. */
TEST(Option, OnErrorReportGoesOn) {
    ASSERT_EQ(hak_option_set("on_error", "report"), 0);
    uint64_t errors = Stats().errors;
    alignas(16) static char no_block[64];
    void *volatile wild = no_block;
    testing::internal::CaptureStderr();
    hak_free(wild);
    std::string line = testing::internal::GetCapturedStderr();
    EXPECT_EQ(Stats().errors, errors + 1);
    EXPECT_NE(line.find("invalid pointer: not a block of hakmem"), std::string::npos) << line;
    ASSERT_EQ(hak_option_set("on_error", "ignore"), 0);
    testing::internal::CaptureStderr();
    hak_free(wild);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(Stats().errors, errors + 2);
    ASSERT_EQ(hak_option_set("on_error", "abort"), 0);
}

} // namespace
