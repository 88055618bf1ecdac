/* testing: what unit tests of several boxes need: threads that begin together, a body in a forked
 * child, random numbers.
 *
 * Layer      tests only.
 */
#ifndef HAK_BASE_TESTING_TESTING_H_
#define HAK_BASE_TESTING_TESTING_H_

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "base/bits.h"

namespace hak_testing {

/* Runs body(0) .. body(count - 1) on threads of their own and waits for them. None enters its body
 * before all run, so that short bodies overlap too. */
inline void RunThreads(int count, const std::function<void(int)> &body) {
    std::atomic<int> waiting(count);
    std::vector<std::thread> threads;
    for (int i = 0; i < count; i++) {
        threads.emplace_back([&waiting, &body, i] {
            waiting.fetch_sub(1);
            while (waiting.load() != 0) {
                std::this_thread::yield();
            }
            body(i);
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

/* Runs the body in a forked child. Returns its result, 0..255, or minus the signal that ended it.
 */
inline int InChild(const std::function<int()> &body) {
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        _exit(body());
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return -1000;
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* True if a limit of the address space counts; it does not under qemu's user mode. */
inline bool AddressSpaceCanBeLimited() {
    return InChild([] {
               struct rlimit limit = {(rlim_t)1 << 46, RLIM_INFINITY}, found = {0, 0};
               return setrlimit(RLIMIT_AS, &limit) == 0 && getrlimit(RLIMIT_AS, &found) == 0 &&
                              found.rlim_cur == limit.rlim_cur
                          ? 0
                          : 1;
           }) == 0;
}

/* The process's data is limited for so long, but to more than there is memory. */
class LimitedData {
  public:
    LimitedData() {
        getrlimit(RLIMIT_DATA, &before_);
        struct rlimit limit = {(rlim_t)1 << 46, before_.rlim_max};
        setrlimit(RLIMIT_DATA, &limit);
    }
    ~LimitedData() { setrlimit(RLIMIT_DATA, &before_); }

  private:
    struct rlimit before_;
};

/* Pseudo-random numbers from a seed. */
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t Next() { return hak_mix64(state_++); }
    uint64_t Below(uint64_t bound) { return Next() % bound; }

  private:
    uint64_t state_;
};

} // namespace hak_testing

#endif /* HAK_BASE_TESTING_TESTING_H_ */
