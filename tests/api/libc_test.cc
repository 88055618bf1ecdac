/* What exists only under the names of the C library: tuning and inspection, and that both families
 * are one. */
#include <errno.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <string>

#include "tests/api/names.h"

namespace {

TEST(Override, ServesThisProgram) {
    void *block = malloc(100);
    EXPECT_TRUE(hak_owns(block));
    free(block);
    char *copy = strdup("allocated inside the C library");
    EXPECT_TRUE(hak_owns(copy));
    free(copy);
    int *number = new int(5);
    EXPECT_TRUE(hak_owns(number));
    delete number;
}

TEST(Override, BothFamiliesShareBlocks) {
    hak_free(malloc(50));
    free(hak_malloc(50));
    hak_free(realloc(hak_calloc(3, 30), 5000));
    cfree(malloc(50));
    cfree(nullptr);
    EXPECT_EQ(hak_check(), 0u);
}

/* The GNU C library exports them; whoever calls them must get what free takes. */
extern "C" {
void *__libc_malloc(size_t size);
void __libc_free(void *block);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
}

TEST(Override, TheNamesOfTheCLibrarysOwnAllocatorAreOurs) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    for (size_t size : {Hidden(100), Hidden(5000), Hidden(200000)}) {
        char *zeroes = static_cast<char *>(__libc_calloc(2, size / 2));
        EXPECT_EQ(zeroes[0] + zeroes[size - 1], 0);
        void *aligned[] = {__libc_memalign(64, size), __libc_valloc(size), __libc_pvalloc(size)};
        EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned[0]) % 64, 0u);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned[1]) % page, 0u);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned[2]) % page, 0u);
        EXPECT_GE(malloc_usable_size(aligned[2]), page);
        for (void *block : {__libc_malloc(size), static_cast<void *>(zeroes), aligned[0],
                            aligned[1], aligned[2], __libc_realloc(malloc(10), size)}) {
            EXPECT_TRUE(hak_owns(block)) << size;
            EXPECT_GE(malloc_usable_size(block), size);
            free(block);
        }
        __libc_free(malloc(size));
    }
    EXPECT_EQ(hak_check(), 0u);
}

std::string LineOf(void (*misuse)(void *)) {
    int local = 0;
    void *volatile wild = &local; /* the compiler would warn */
    testing::internal::CaptureStderr();
    misuse(wild);
    return testing::internal::GetCapturedStderr();
}

TEST(Override, ALineAboutMisuseNamesTheCall) {
    ASSERT_EQ(hak_option_set("on_error", "report"), 0);
    EXPECT_NE(LineOf([](void *wild) { cfree(wild); }).find("]: cfree(0x"), std::string::npos);
    EXPECT_NE(LineOf([](void *wild) { __libc_free(wild); }).find("]: __libc_free(0x"),
              std::string::npos);
    EXPECT_NE(LineOf([](void *wild) { (void)!realloc(wild, Hidden(0)); }).find("]: realloc(0x"),
              std::string::npos);
    EXPECT_NE(LineOf([](void *wild) {
                  (void)!reallocarray(wild, Hidden(0), 8);
              }).find("]: reallocarray(0x"),
              std::string::npos);
    EXPECT_NE(LineOf([](void *wild) { ::operator delete(wild); }).find("]: operator delete(0x"),
              std::string::npos);
    EXPECT_NE(LineOf([](void *wild) { ::operator delete[](wild); }).find("]: operator delete(0x"),
              std::string::npos);
    ASSERT_EQ(hak_option_set("on_error", "abort"), 0);
}

/* As in glibc. That the smallest class has a block at hand must not matter. */
TEST(Memalign, AlignmentOfZeroIsNone) {
    volatile size_t none = 0;
    for (size_t size : {0ul, 17ul, 130ul, 1000ul, 65536ul, 100000ul}) {
        for (bool ours : {false, true}) {
            free(malloc(1));
            void *block = ours ? hak_memalign(none, size) : memalign(none, size);
            ASSERT_NE(block, nullptr) << size;
            EXPECT_GE(malloc_usable_size(block), size);
            memset(block, 1, size);
            free(block);
        }
    }
    EXPECT_EQ(hak_check(), 0u);
}

TEST(Mallopt, KnownParametersAreAccepted) {
    for (int parameter : {M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_CHECK_ACTION,
                          M_ARENA_TEST, M_ARENA_MAX, 2, 3, 4}) {
        EXPECT_EQ(mallopt(parameter, 1), 1) << parameter;
    }
    EXPECT_EQ(mallopt(M_MXFAST, 64), 1);
    EXPECT_EQ(mallopt(M_MXFAST, 161), 0);
    EXPECT_EQ(mallopt(M_MXFAST, -1), 0);
    EXPECT_EQ(mallopt(M_PERTURB, 1), 0);
    EXPECT_EQ(mallopt(M_PERTURB, 0), 1);
    EXPECT_EQ(mallopt(12345, 1), 0);
    EXPECT_EQ(mallopt(0, 1), 0);
}

TEST(Mallinfo, FollowsTheStatistics) {
    hak_thread_flush();
    struct mallinfo2 before = mallinfo2();
    void *large = malloc(7u << 20);
    ASSERT_NE(large, nullptr);
    void *small[500];
    for (void *&block : small) {
        block = malloc(1000);
    }
    hak_thread_flush();
    struct mallinfo2 full = mallinfo2();
    EXPECT_EQ(full.hblks, before.hblks + 1);
    EXPECT_GE(full.hblkhd, before.hblkhd + (7u << 20));
    EXPECT_GE(full.uordblks, before.uordblks + 500 * 1000);
    EXPECT_LT(full.uordblks, before.uordblks + (2u << 20)) << "the large block is counted twice";
    EXPECT_GT(full.arena, 0u);
    EXPECT_EQ(full.usmblks, 0u);
    for (void *block : small) {
        free(block);
    }
    free(large);
}

TEST(Mallinfo, FieldsOfIntSaturate) {
    size_t bytes = static_cast<size_t>(INT_MAX) + (1u << 20);
    void *block = malloc(bytes); /* never touched: address space alone */
    if (block == nullptr) {
        GTEST_SKIP() << "no address space for 2 GiB";
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo info = mallinfo();
#pragma GCC diagnostic pop
    EXPECT_EQ(info.hblkhd, INT_MAX);
    EXPECT_GE(info.uordblks, 0);
    EXPECT_GE(mallinfo2().hblkhd, bytes);
    free(block);
}

std::string Info(int options, int *result) {
    char *text = nullptr;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    EXPECT_NE(stream, nullptr);
    *result = malloc_info(options, stream);
    fclose(stream);
    std::string out(text, bytes);
    free(text);
    return out;
}

TEST(MallocInfo, IsXml) {
    int result = 1;
    std::string xml = Info(0, &result);
    EXPECT_EQ(result, 0);
    EXPECT_EQ(xml.find("<malloc version=\"1\">\n"), 0u) << xml;
    EXPECT_NE(xml.find("<system type=\"current\" size=\""), std::string::npos);
    EXPECT_NE(xml.find("<stat name=\"live_bytes\" value=\""), std::string::npos);
    const std::string end = "</hakmem>\n</malloc>\n";
    ASSERT_GE(xml.size(), end.size());
    EXPECT_EQ(xml.substr(xml.size() - end.size()), end);
    size_t opened = 0, closed = 0;
    for (size_t i = 0; i + 1 < xml.size(); i++) {
        opened += xml[i] == '<' && xml[i + 1] != '/';
        closed += (xml[i] == '/' && xml[i + 1] == '>') || (xml[i] == '<' && xml[i + 1] == '/');
    }
    EXPECT_EQ(opened, closed);
}

TEST(MallocInfo, Errors) {
    int result = 0;
    errno = 0;
    EXPECT_EQ(Info(1, &result), "");
    EXPECT_EQ(result, -1);
    EXPECT_EQ(errno, EINVAL);
    FILE *unwritable = fopen("/dev/null", "r");
    ASSERT_NE(unwritable, nullptr);
    EXPECT_EQ(malloc_info(0, unwritable), -1);
    fclose(unwritable);
}

TEST(MallocStats, WritesTextOnStderr) {
    testing::internal::CaptureStderr();
    errno = 5;
    malloc_stats();
    EXPECT_EQ(errno, 5);
    std::string text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(text.find("hakmem[" + std::to_string(getpid()) + "]: statistics of "), 0u) << text;
}

} // namespace
