// Runs the model with fixed seeds. Longer runs by hand: --seed=N --ops=N, or HAK_MODEL_SEED and
// HAK_MODEL_OPS; a seed of 0 takes the clock. A failing run prints the flags that repeat it.
#include "tests/model/model.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <thread>

#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

uint64_t flag_seed = 0;
bool flag_seed_set = false;
unsigned long flag_ops = 0;

#ifdef HAK_TEST_NO_HAKMEM // the C library alone, to try the model itself
const hak_model::Extras kExtras = {nullptr, nullptr, nullptr, nullptr, nullptr};
#else
const hak_model::Extras kExtras = {hak_owns, hak_good_size, hak_check, hak_thread_flush, hak_trim};
#endif

unsigned long operations(unsigned long usual) {
    return flag_ops != 0 ? flag_ops : hak_test_scaled(usual);
}

std::string run_model(uint64_t seed, unsigned long ops) {
    hak_model::Model model(hak_test, kExtras, seed);
    std::string error = model.run(ops);
    if (error.empty()) {
        error = model.finish();
    }
    return error.empty() ? error
                         : error + "\n  repeat with: --seed=" + std::to_string(seed) +
                               " --ops=" + std::to_string(ops);
}

class ModelTest : public testing::TestWithParam<uint64_t> {};

TEST_P(ModelTest, AgreesWithShadowMap) {
    uint64_t seed = flag_seed_set ? flag_seed : GetParam();
    EXPECT_EQ("", run_model(seed, operations(25000)));
}
INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, testing::Values(1, 2, 3, 4, 5));

// Each thread has its own model, so every check is exact, while slabs, superslabs and runs move
// between the threads.
TEST(ModelThreads, FourModelsAtOnce) {
    std::string errors[4];
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 4; i++) {
        threads.emplace_back([i, &errors] { errors[i] = run_model(100 + i, operations(10000)); });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    for (const std::string &error : errors) {
        EXPECT_EQ("", error);
    }
}

#if !defined(HAK_TEST_NO_HAKMEM) && defined(HAK_TEST_API)
// Only the model allocates from hakmem here, so what is live afterwards is what was live before.
TEST(ModelBalance, NothingIsLeftOver) {
    ASSERT_EQ("", run_model(7, 1000));
    uint64_t before = hak_test_stats_flushed().live_blocks;
    ASSERT_EQ("", run_model(8, operations(20000)));
    EXPECT_EQ(before, hak_test_stats_flushed().live_blocks);
}
#endif

void read_flags(int argc, char **argv) {
    const char *seed = getenv("HAK_MODEL_SEED");
    const char *ops = getenv("HAK_MODEL_OPS");
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seed=", 7) == 0) {
            seed = argv[i] + 7;
        } else if (strncmp(argv[i], "--ops=", 6) == 0) {
            ops = argv[i] + 6;
        } else {
            fprintf(stderr, "unknown flag %s; known: --seed=N (0: from the clock) --ops=N\n",
                    argv[i]);
            exit(2);
        }
    }
    if (seed != nullptr) {
        flag_seed_set = true;
        flag_seed = strtoull(seed, nullptr, 10);
        flag_seed = flag_seed != 0 ? flag_seed : static_cast<uint64_t>(time(nullptr));
        printf("seed %llu\n", static_cast<unsigned long long>(flag_seed));
    }
    flag_ops = ops != nullptr ? strtoul(ops, nullptr, 10) : 0;
}

} // namespace

int main(int argc, char **argv) {
    testing::InitGoogleTest(&argc, argv);
    read_flags(argc, argv);
    return RUN_ALL_TESTS();
}
