// Under AddressSanitizer a free block may not be touched, from its first byte to its last, and a
// live one may, over its whole usable size. Other builds poison nothing.
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>

#include "hakmem.h"

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPoisons = true;
#else
constexpr bool kPoisons = false;
#endif

void Touch(volatile char *byte) {
    *byte = *byte;
    std::exit(0);
}

void ExpectPoisonedIfAsan(char *byte) {
    if (kPoisons) {
        EXPECT_DEATH(Touch(byte), "use-after-poison");
    } else {
        EXPECT_EXIT(Touch(byte), testing::ExitedWithCode(0), "");
    }
}

class Poison : public testing::TestWithParam<size_t> {};

TEST_P(Poison, FreeBlockInTheThreadCache) {
    char *block = static_cast<char *>(hak_malloc(GetParam()));
    size_t usable = hak_usable_size(block);
    std::memset(block, 1, usable);
    hak_free(block);
    ExpectPoisonedIfAsan(block);
    ExpectPoisonedIfAsan(block + usable - 1);
}

TEST_P(Poison, FreeBlockInItsSlab) {
    char *block = static_cast<char *>(hak_malloc(GetParam()));
    char *other = static_cast<char *>(hak_malloc(GetParam()));
    hak_free(block);
    hak_thread_flush();
    ExpectPoisonedIfAsan(block);
    std::memset(other, 1, hak_usable_size(other));
    hak_free(other);
}

TEST_P(Poison, BlockIsUsableAgainAfterReuse) {
    for (int i = 0; i < 3; i++) {
        char *block = static_cast<char *>(hak_calloc(1, GetParam()));
        std::memset(block, 1, hak_usable_size(block));
        hak_free(block);
    }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Poison, testing::Values(1, 16, 100, 1024, 5000, 65536));

}  // namespace
