#include <errno.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "backends/os/os.h"
#include "base/testing/testing.h"

namespace {

TEST(OsWrite, DeliversAllOrFails) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    std::string text(200000, 'x'); /* more than a pipe takes at once */
    text += "end";
    std::string got;
    hak_testing::RunThreads(2, [&](int self) {
        if (self == 0) {
            EXPECT_TRUE(hak_os_write(ends[1], text.data(), text.size()));
            close(ends[1]);
            return;
        }
        char buffer[4096];
        ssize_t n;
        while ((n = read(ends[0], buffer, sizeof buffer)) > 0) {
            got.append(buffer, (size_t)n);
        }
    });
    EXPECT_EQ(got, text);
    close(ends[0]);
    errno = 0;
    EXPECT_FALSE(hak_os_write(-1, "x", 1));
    EXPECT_EQ(errno, EBADF);
}

/* free writes a line on a misuse that it is told to survive, and free is no cancellation point. */
TEST(OsWrite, IsNoCancellationPoint) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    bool passed = false;
    std::pair<int, bool *> work(ends[1], &passed);
    pthread_t thread;
    ASSERT_EQ(pthread_create(
                  &thread, nullptr,
                  [](void *argument) -> void * {
                      auto *to = static_cast<std::pair<int, bool *> *>(argument);
                      pthread_cancel(pthread_self()); /* pending until a cancellation point */
                      *to->second = hak_os_write(to->first, "x", 1);
                      pthread_testcancel();
                      return nullptr;
                  },
                  &work),
              0);
    void *result = nullptr;
    ASSERT_EQ(pthread_join(thread, &result), 0);
    EXPECT_EQ(result, PTHREAD_CANCELED) << "the request was pending";
    EXPECT_TRUE(passed);
    close(ends[0]);
    close(ends[1]);
}

} // namespace
