#include "core/text/text.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <inttypes.h>
#include <unistd.h>

#include <string>

#include "base/testing/testing.h"

namespace {

std::string Buffered(const hak_text_t &text) { return std::string(text.buffer, text.length); }

/* What `put` writes through a pipe, the rest flushed. */
std::string Written(const std::function<void(hak_text_t *)> &put) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    std::string got;
    hak_testing::RunThreads(2, [&](int self) {
        if (self == 0) {
            hak_text_t text;
            hak_text_init(&text, ends[1]);
            put(&text);
            EXPECT_TRUE(hak_text_flush(&text));
            close(ends[1]);
            return;
        }
        char buffer[4096];
        ssize_t n;
        while ((n = read(ends[0], buffer, sizeof buffer)) > 0) {
            got.append(buffer, (size_t)n);
        }
    });
    close(ends[0]);
    return got;
}

TEST(Text, NumbersReadAsPrintfWritesThem) {
    for (uint64_t n : {(uint64_t)0, (uint64_t)7, (uint64_t)10, (uint64_t)4096, UINT64_MAX}) {
        hak_text_t text;
        hak_text_init(&text, -1);
        hak_text_put_u64(&text, n);
        hak_text_put(&text, " ");
        hak_text_put_hex(&text, n);
        char expected[64];
        (void)snprintf(expected, sizeof expected, "%" PRIu64 " 0x%" PRIx64, n, n);
        EXPECT_EQ(Buffered(text), expected);
    }
}

TEST(Text, LongTextIsWrittenInPieces) {
    std::string expected;
    std::string got = Written([&](hak_text_t *text) {
        for (int i = 0; i < 3000; i++) {
            hak_text_put(text, "line ");
            hak_text_put_u64(text, (uint64_t)i);
            expected += "line " + std::to_string(i);
        }
    });
    EXPECT_EQ(got, expected);
}

TEST(Text, ExactlyFullBufferIsNotLost) {
    hak_text_t probe;
    std::string full(sizeof probe.buffer, 'x');
    EXPECT_EQ(Written([&](hak_text_t *text) {
                  hak_text_put_bytes(text, full.data(), full.size());
                  hak_text_put(text, "y");
              }),
              full + "y");
}

TEST(Text, WithoutAFileTheTailIsCutOffAndSaidSo) {
    hak_text_t text;
    hak_text_init(&text, -1);
    std::string full(sizeof text.buffer, 'x');
    hak_text_put_bytes(&text, full.data(), full.size());
    EXPECT_TRUE(hak_text_flush(&text)) << "it all fits";
    EXPECT_EQ(Buffered(text), full) << "a flush to nowhere keeps the text";
    hak_text_put(&text, "y");
    EXPECT_FALSE(hak_text_flush(&text));
    EXPECT_EQ(Buffered(text), full);
}

TEST(Text, FailedWriteIsRememberedWithItsErrno) {
    hak_text_t text;
    int closed = dup(1);
    close(closed);
    hak_text_init(&text, closed);
    hak_text_put(&text, "lost");
    errno = 0;
    EXPECT_FALSE(hak_text_flush(&text));
    EXPECT_EQ(errno, EBADF);
    EXPECT_FALSE(hak_text_flush(&text)) << "nothing is left to write, but text was lost";
}

TEST(Text, EmptyFlushWritesNothing) {
    EXPECT_EQ(Written([](hak_text_t *text) {
                  hak_text_put(text, "");
                  EXPECT_TRUE(hak_text_flush(text));
              }),
              "");
}

} // namespace
