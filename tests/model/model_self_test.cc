// The model must see an allocator's faults, else a green model test says nothing. Each test here
// puts one fault into the C library's allocator and expects the model to name it.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tests/model/model.h"

namespace {

const hak_model::Extras kNone = {nullptr, nullptr, nullptr, nullptr, nullptr};
constexpr unsigned long kOperations = 3000;
unsigned calls;
void *last_block;

// True on one call in ten, from the tenth on where `possible`.
bool now(bool possible = true) {
    calls++;
    bool due = calls >= 10 && possible;
    calls = due ? 0 : calls;
    return due;
}

std::string error_of(const hak_test_table_t &table) {
    calls = 0;
    last_block = nullptr;
    hak_model::Model model(table, kNone, 42);
    return model.run(kOperations); // the heap is not trusted any more, so what is live stays
}

void expect_error(const hak_test_table_t &table, const char *part) {
    std::string error = error_of(table);
    EXPECT_NE(std::string::npos, error.find(part)) << "the model said: " << error;
}

TEST(ModelSelf, SoundAllocatorPasses) { EXPECT_EQ("", error_of(hak_test)); }

// The C library's table with frees that do nothing, so that a fault can refer to an older block.
hak_test_table_t leaking_table() {
    hak_test_table_t table = hak_test;
    table.free = [](void *) {};
    table.free_sized = [](void *, size_t) {};
    table.free_aligned_sized = [](void *, size_t, size_t) {};
    table.realloc = [](void *old, size_t size) {
        void *block = hak_test.malloc(size);
        size_t was = hak_test.usable_size(old);
        return block != nullptr ? memcpy(block, old, was < size ? was : size) : nullptr;
    };
    table.reallocarray = [](void *old, size_t count, size_t size) {
        void *block = count == 1 ? hak_test.malloc(size) : nullptr; // other counts come to overflow
        size_t was = hak_test.usable_size(old);
        return block != nullptr ? memcpy(block, old, was < size ? was : size) : nullptr;
    };
    return table;
}

TEST(ModelSelf, SeesBlockHandedOutTwice) {
    hak_test_table_t table = leaking_table();
    table.malloc = [](size_t size) {
        // Requests that fail, which depends on the machine's free memory, leave the last block.
        if (now(last_block != nullptr && hak_test.usable_size(last_block) >= size)) {
            return last_block;
        }
        void *block = hak_test.malloc(size);
        last_block = block != nullptr ? block : last_block;
        return block;
    };
    expect_error(table, "live block");
}

TEST(ModelSelf, SeesMisalignment) {
    hak_test_table_t table = leaking_table();
    table.memalign = [](size_t align, size_t size) {
        last_block =
            static_cast<char *>(hak_test.memalign(align < 32 ? 32 : align, size + 16)) + 16;
        return last_block;
    };
    table.usable_size = [](const void *block) {
        return block != last_block
                   ? hak_test.usable_size(block)
                   : hak_test.usable_size(static_cast<const char *>(block) - 16) - 16;
    };
    expect_error(table, "is not aligned to");
}

TEST(ModelSelf, SeesDirtyCalloc) {
    hak_test_table_t table = hak_test;
    table.calloc = [](size_t count, size_t size) {
        auto *block = static_cast<char *>(hak_test.calloc(count, size));
        if (block != nullptr && count * size > 40 && now()) {
            block[count * size - 1] = 1;
        }
        return static_cast<void *>(block);
    };
    expect_error(table, "is not zero");
}

TEST(ModelSelf, SeesLostContent) {
    hak_test_table_t table = hak_test;
    table.realloc = [](void *old, size_t size) {
        auto *block = static_cast<char *>(hak_test.realloc(old, size));
        if (block != nullptr && now()) {
            memset(block, 0, 8);
        }
        return static_cast<void *>(block);
    };
    expect_error(table, "lost content");
}

TEST(ModelSelf, SeesStrayWrite) {
    hak_test_table_t table = leaking_table();
    table.malloc = [](size_t size) {
        if (last_block != nullptr && now()) {
            memset(last_block, 0, 16); // as a stale list link would
        }
        last_block = hak_test.malloc(size);
        return last_block;
    };
    expect_error(table, "changed");
}

TEST(ModelSelf, SeesErrnoOfFree) {
    hak_test_table_t table = hak_test;
    table.free = [](void *block) {
        hak_test.free(block);
        errno = EINVAL;
    };
    expect_error(table, "errno");
}

} // namespace
