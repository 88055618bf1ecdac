// T-15: every kind of system call fails, at calls k from 0 to 20, under a script that uses all
// kinds of blocks. Each request succeeds or gives NULL with ENOMEM, live blocks keep their content,
// hak_check() finds nothing, and when the kernel answers again everything works. The same is done
// in fresh processes whose failures begin before the library's constructor.
#include <errno.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "backends/os/os_fake.h"
#include "hakmem.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kGiB = size_t{1} << 30;
constexpr uint64_t kCalls = 21;
// A sanitizer makes each process slow: it gets each fourth k, ThreadSanitizer 0 and 11.
constexpr uint64_t kStep = HAK_TEST_THREAD_SANITIZED ? 11 : HAK_TEST_SANITIZED ? 4 : 1;
// Each k with this in the environment; else 0 to 4, 6, 8, 11, 14, 18. Who cannot move 35 MiB copies
// them, in a second: of those calls 0, 1, 2, 4, 7, 11, 17, or 0 and 11, or 0 alone.
uint64_t NextCall(int call, uint64_t k) {
    bool every = getenv("HAK_TEST_EVERY_CALL") != nullptr;
    uint64_t seldom = HAK_TEST_THREAD_SANITIZED ? kCalls : 11;
    uint64_t move = HAK_TEST_SANITIZED || !every ? seldom : 1 + k / 2;
    return k + (call == HAK_OS_CALL_MOVE ? move : std::max(kStep, every ? 1 : 1 + k / 4));
}
constexpr const char *kVariable = "HAK_TEST_FAULT";

const char *const kNames[] = {"map",  "reserve",  "commit", "purge",  "resize",
                              "move", "resident", "huge",   "barrier"};
static_assert(sizeof kNames / sizeof *kNames == HAK_OS_CALL_COUNT, "a name for each kind");

// Blocks with a stamp at the start, at the end and at each 64 KiB.
class Script {
  public:
    explicit Script(bool may_fail) : may_fail_(may_fail) {}
    ~Script() { FreeAll(); }

    unsigned long refused() const { return refused_; }

    void Run(uint64_t seed) {
        random_ = {seed};
        MixedBlocks(120);
        Runs();
        HugeBlocks();
        ClearedBlocks();
        SmallBlocks();
        FarBlocks();
        OtherThread();
        MixedBlocks(60);
        EXPECT_EQ(0u, hak_check());
        VerifyAll();
    }

    void FreeAll() {
        for (const Block &block : blocks_) {
            Verify(block);
            hak_free(block.at);
        }
        blocks_.clear();
    }

  private:
    struct Block {
        char *at;
        size_t bytes;
        uint64_t stamp;
    };

    static std::vector<size_t> Places(size_t bytes, size_t last) {
        std::vector<size_t> places;
        for (size_t at = 0; at + 8 <= bytes; at += 65536) {
            places.push_back(at);
        }
        if (bytes >= 16 && bytes == last && (bytes - 8) % 65536 >= 8) { // no two overlap
            places.push_back(bytes - 8);
        }
        return places;
    }
    static void Stamp(const Block &block) {
        for (size_t at : Places(block.bytes, block.bytes)) {
            uint64_t word = block.stamp + at;
            memcpy(block.at + at, &word, 8);
        }
    }
    // The first `bytes` bytes of a block that had `was` bytes when it was stamped.
    static bool Holds(const Block &block, size_t bytes, size_t was) {
        for (size_t at : Places(bytes, was)) {
            uint64_t word = block.stamp + at;
            if (memcmp(block.at + at, &word, 8) != 0) {
                return false;
            }
        }
        return true;
    }
    static void Verify(const Block &block) {
        EXPECT_TRUE(Holds(block, block.bytes, block.bytes)) << "of " << block.bytes << " bytes";
    }
    void VerifyAll() {
        for (const Block &block : blocks_) {
            Verify(block);
        }
    }

    // Takes note of the answer to a request, with errno as the call left it.
    bool Accept(void *at, size_t bytes, int error) {
        if (at == nullptr) {
            EXPECT_EQ(ENOMEM, error);
            EXPECT_TRUE(may_fail_) << bytes << " bytes refused without a failing system call";
            refused_++;
            return false;
        }
        EXPECT_GE(hak_usable_size(at), bytes);
        blocks_.push_back({static_cast<char *>(at), bytes, hak_random_next(&random_)});
        Stamp(blocks_.back());
        return true;
    }

    void Allocate(size_t bytes) {
        errno = 0;
        void *at = hak_malloc(bytes);
        (void)Accept(at, bytes, errno);
    }
    void AllocateZeroed(size_t bytes) {
        errno = 0;
        char *at = static_cast<char *>(hak_calloc(1, bytes));
        int error = errno;
        for (size_t i = 0; at != nullptr && i < bytes; i += i + 512 < bytes ? 512 : 1) {
            ASSERT_EQ(0, at[i]) << "calloc of " << bytes;
        }
        (void)Accept(at, bytes, error);
    }
    void AllocateAligned(size_t align, size_t bytes) {
        int untouched;
        void *at = &untouched;
        int error = hak_posix_memalign(&at, align, bytes);
        if (error != 0) {
            EXPECT_EQ(&untouched, at) << "posix_memalign wrote although it failed";
            at = nullptr;
        }
        EXPECT_TRUE(at == nullptr || reinterpret_cast<uintptr_t>(at) % align == 0);
        (void)Accept(at, bytes, error);
    }
    void Resize(size_t index, size_t bytes) {
        Block &block = blocks_[index];
        errno = 0;
        char *at = static_cast<char *>(hak_realloc(block.at, bytes));
        if (at == nullptr) {
            EXPECT_EQ(ENOMEM, errno);
            EXPECT_TRUE(may_fail_);
            Verify(block);
            refused_++;
            return;
        }
        size_t was = block.bytes;
        block.at = at;
        EXPECT_TRUE(Holds(block, bytes < was ? bytes : was, was)) << was << " to " << bytes;
        block.bytes = bytes;
        Stamp(block);
    }
    void Free(size_t index) {
        Verify(blocks_[index]);
        errno = 99;
        hak_free(blocks_[index].at);
        EXPECT_EQ(99, errno);
        blocks_[index] = blocks_.back();
        blocks_.pop_back();
    }

    // Sizes of all classes and of large blocks.
    size_t AnySize() {
        size_t most = size_t{16} << hak_random_below(&random_, 18);
        return 1 + hak_random_below(&random_, most);
    }

    void MixedBlocks(int steps) {
        for (int i = 0; i < steps; i++) {
            size_t index = blocks_.empty() ? 0 : hak_random_below(&random_, blocks_.size());
            switch (blocks_.empty() ? 0 : hak_random_below(&random_, 8)) {
            case 0:
            case 1:
                Allocate(AnySize());
                break;
            case 2:
                AllocateZeroed(AnySize());
                break;
            case 3:
                AllocateAligned(size_t{16} << hak_random_below(&random_, 19), AnySize());
                break;
            case 4:
            case 5:
                Resize(index, AnySize());
                break;
            default:
                Free(index);
            }
        }
    }

    // More than the pool keeps, then every other one goes back to the kernel.
    void Runs() {
        size_t first = blocks_.size();
        for (size_t i = 0; i < 56; i++) {
            Allocate(100000);
        }
        for (size_t i = 0; i < 24; i++) {
            Allocate(kMiB);
        }
        for (size_t i = first; i < blocks_.size(); i++) {
            if (blocks_[i].bytes == 100000) {
                Free(i); // the last one comes here and stays
            }
        }
        (void)hak_trim(0);
        EXPECT_EQ(0u, hak_check());
    }

    // Mappings of their own: growth in place, growth by moving, shrinking.
    void HugeBlocks() {
        size_t first = blocks_.size();
        Allocate(34 * kMiB);
        Allocate(35 * kMiB);
        for (size_t i = 0; i < 26 && first < blocks_.size(); i++) {
            size_t index = first + i % (blocks_.size() - first);
            Resize(index, (35 + i) * kMiB);
        }
        if (first < blocks_.size()) {
            Resize(first, 35 * kMiB);
            Resize(first, 200);
        }
    }

    // Zeroed blocks that stay nearly empty. Nothing here reads a page that was not written.
    void ClearedBlocks() {
        constexpr size_t kBytes = 512 * 1024;
        for (int i = 0; i < 400; i++) {
            errno = 0;
            char *at = static_cast<char *>(hak_calloc(1, kBytes));
            if (at == nullptr) {
                EXPECT_EQ(ENOMEM, errno);
                EXPECT_TRUE(may_fail_);
                refused_++;
                continue;
            }
            ASSERT_EQ(0, at[0] | at[kBytes - 1]);
            at[0] = at[kBytes - 1] = 1;
            hak_free(at);
        }
    }

    // So many that they get huge pages.
    void SmallBlocks() {
        const size_t first = blocks_.size();
        const unsigned long refused = refused_;
        for (size_t i = 0; i < 40000 && refused_ == refused; i++) {
            Allocate(1000);
        }
        while (blocks_.size() > first) {
            Free(blocks_.size() - 1);
        }
    }

    // Each in a GiB of its own, for which the registry needs memory.
    void FarBlocks() {
        for (uint64_t i = 0; i < kCalls + 1; i++) {
            AllocateAligned(kGiB, 2 * kMiB);
        }
    }

    // A new thread needs a heap, and frees what this one allocated.
    void OtherThread() {
        pthread_t thread;
        ASSERT_EQ(0, pthread_create(&thread, nullptr, RunOther, this));
        ASSERT_EQ(0, pthread_join(thread, nullptr));
    }
    static void *RunOther(void *script) {
        static_cast<Script *>(script)->MixedBlocks(80);
        return nullptr;
    }

    const bool may_fail_;
    unsigned long refused_ = 0;
    hak_random_t random_ = {};
    std::vector<Block> blocks_;
};

void StartFault(hak_os_call_t call, uint64_t k, uint64_t failures) {
    hak_os_fake_fail(call, k, failures);
    if (call == HAK_OS_CALL_MOVE) { // whoever can grow in place does not move
        hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
    }
}

// The kernel refuses, then answers again.
void RunWithFault(hak_os_call_t call, uint64_t k, uint64_t failures) {
    SCOPED_TRACE(std::string(kNames[call]) + " fails at call " + std::to_string(k));
    {
        Script script(true);
        script.Run(k + 1);
        EXPECT_TRUE(failures == UINT64_MAX || script.refused() <= 1)
            << "one failing system call cost " << script.refused() << " requests";
        hak_os_fake_reset();
    }
    EXPECT_EQ(0u, hak_check());
    Script again(false);
    again.Run(k + 100);
    again.FreeAll();
    EXPECT_EQ(0u, hak_check());
}

// Failures in a process that runs already. Its first calls are map, purge, resize and move.
class Faults : public ::testing::TestWithParam<int> {};

TEST_P(Faults, AtCallK) {
    auto call = static_cast<hak_os_call_t>(GetParam());
    for (uint64_t k = 0; k < kCalls && !HasFailure(); k = NextCall(call, k)) {
        for (uint64_t failures : {uint64_t{1}, UINT64_MAX}) {
            (void)hak_trim(0);
            uint64_t before = hak_os_fake_calls(call);
            StartFault(call, k, failures);
            RunWithFault(call, k, failures);
            bool repeated = call == HAK_OS_CALL_MAP || call == HAK_OS_CALL_PURGE ||
                            call == HAK_OS_CALL_RESIZE || call == HAK_OS_CALL_MOVE;
            EXPECT_TRUE(!repeated || hak_os_fake_calls(call) > before + k)
                << kNames[call] << " was not called often enough: nothing was tested";
        }
    }
    EXPECT_EQ(0u, hak_test_stats().errors);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Faults, ::testing::Range(0, static_cast<int>(HAK_OS_CALL_COUNT)),
                         [](const auto &info) { return std::string(kNames[info.param]); });

struct Fault {
    int call;
    unsigned long k;
    int forever;
};

// The fault that a process was started with, in the variable's text.
bool ReadFault(const char *text, Fault *fault) {
    return text != nullptr &&
           sscanf(text, "%d %lu %d", &fault->call, &fault->k, &fault->forever) == 3;
}

// Before all constructors, the library's included. The C library has not set `environ` yet.
void FailFromTheStart(int, char **, char **environment) {
    size_t length = strlen(kVariable);
    for (; *environment != nullptr; environment++) {
        Fault fault;
        if (strncmp(*environment, kVariable, length) == 0 && (*environment)[length] == '=' &&
            ReadFault(*environment + length + 1, &fault)) {
            StartFault(static_cast<hak_os_call_t>(fault.call), fault.k,
                       fault.forever != 0 ? UINT64_MAX : 1);
        }
    }
}
__attribute__((section(".preinit_array"),
               used)) void (*const fail_from_the_start)(int, char **, char **) = FailFromTheStart;

TEST(FaultsAtStart, Child) {
    Fault fault;
    if (!ReadFault(getenv(kVariable), &fault)) {
        GTEST_SKIP() << "runs in the processes that the next test starts";
    }
    auto call = static_cast<hak_os_call_t>(fault.call);
    RunWithFault(call, fault.k, fault.forever != 0 ? UINT64_MAX : 1);
    bool once = call == HAK_OS_CALL_RESERVE || call == HAK_OS_CALL_BARRIER ||
                call == HAK_OS_CALL_HUGE; /* not again for a while */
    EXPECT_TRUE((once && fault.k > 0) || hak_os_fake_calls(call) > fault.k)
        << kNames[call] << " was not called often enough: nothing was tested";
    if (call == HAK_OS_CALL_RESERVE && fault.k == 0) {
        EXPECT_EQ(0u, hak_test_stats().registry_flat) << "the fallback was not used";
    }
}

int RunChild(const std::string &fault) {
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        setenv(kVariable, fault.c_str(), 1);
        execl("/proc/self/exe", "faults_test", "--gtest_filter=FaultsAtStart.Child",
              "--gtest_brief=1", static_cast<char *>(nullptr));
        _exit(127);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

TEST(FaultsAtStart, EachKindAtCallK) {
    for (int call = 0; call < HAK_OS_CALL_COUNT; call++) {
        for (uint64_t k = 0; k < kCalls && !HasFailure(); k = NextCall(call, k)) {
            std::string fault = std::to_string(call) + " " + std::to_string(k) + " ";
            EXPECT_EQ(0, RunChild(fault + "0")) << kNames[call] << " fails once at call " << k;
            EXPECT_EQ(0, RunChild(fault + "1"))
                << kNames[call] << " fails from call " << k << " on";
        }
    }
}

} // namespace
