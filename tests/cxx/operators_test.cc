/* operator new and delete in all their forms, and what happens when there is no memory. */
#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>

#include <cstddef>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "hakmem.h"

namespace {

/* More than any machine has. Volatile: the compiler warns about, or folds, a request that must
 * fail. */
volatile size_t too_much = static_cast<size_t>(1) << 60;

const std::align_val_t kPage{4096};

void ExpectBlock(void *block, size_t size, size_t align) {
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(hak_owns(block)) << "another allocator served this";
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % align, 0u);
    EXPECT_GE(hak_usable_size(block), size);
    memset(block, 1, size);
}

const size_t kSizes[] = {0, 1, 100, 5000, 70000, 3 << 20};

TEST(New, EveryFormGivesAndTakesBack) {
    for (size_t size : kSizes) {
        void *block = ::operator new(size);
        ExpectBlock(block, size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        ::operator delete(block);
        block = ::operator new[](size);
        ExpectBlock(block, size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        ::operator delete[](block);
        block = ::operator new(size, kPage);
        ExpectBlock(block, size, 4096);
        ::operator delete(block, kPage);
        block = ::operator new[](size, kPage);
        ExpectBlock(block, size, 4096);
        ::operator delete[](block, kPage);
        block = ::operator new(size, std::nothrow);
        ExpectBlock(block, size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        ::operator delete(block, std::nothrow);
        block = ::operator new[](size, std::nothrow);
        ExpectBlock(block, size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        ::operator delete[](block, std::nothrow);
        block = ::operator new(size, kPage, std::nothrow);
        ExpectBlock(block, size, 4096);
        ::operator delete(block, kPage, std::nothrow);
        block = ::operator new[](size, kPage, std::nothrow);
        ExpectBlock(block, size, 4096);
        ::operator delete[](block, kPage, std::nothrow);
    }
    EXPECT_EQ(hak_check(), 0u);
}

TEST(New, SizedDeletesTakeBack) {
    for (size_t size : kSizes) {
        void *block = ::operator new(size);
        ExpectBlock(block, size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        ::operator delete(block, size);
        block = ::operator new[](size);
        ExpectBlock(block, size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        ::operator delete[](block, size);
        block = ::operator new(size, kPage);
        ExpectBlock(block, size, 4096);
        ::operator delete(block, size, kPage);
        block = ::operator new[](size, kPage);
        ExpectBlock(block, size, 4096);
        ::operator delete[](block, size, kPage);
    }
    EXPECT_EQ(hak_check(), 0u);
}

TEST(Delete, NullIsNothing) {
    // read anew each time: of a constant the compiler would say that it was deleted before
    void *volatile null = nullptr;
    ::operator delete(null);
    ::operator delete[](null);
    ::operator delete(null, static_cast<size_t>(8));
    ::operator delete[](null, static_cast<size_t>(8));
    ::operator delete(null, std::nothrow);
    ::operator delete[](null, std::nothrow);
    ::operator delete(null, kPage);
    ::operator delete[](null, kPage);
    ::operator delete(null, static_cast<size_t>(8), kPage);
    ::operator delete[](null, static_cast<size_t>(8), kPage);
    ::operator delete(null, kPage, std::nothrow);
    ::operator delete[](null, kPage, std::nothrow);
}

/* The block goes back: each form of delete is used on 10,000 blocks, which must not pile up. */
TEST(Delete, EveryFormFrees) {
    hak_stats_t stats = {};
    stats.struct_bytes = sizeof stats;
    hak_thread_flush();
    ASSERT_EQ(hak_stats_get(&stats), 0);
    uint64_t before = stats.live_blocks;
    const size_t size = 1000;
    for (int i = 0; i < 10000; i++) {
        ::operator delete(::operator new(size));
        ::operator delete[](::operator new[](size));
        ::operator delete(::operator new(size), size);
        ::operator delete[](::operator new[](size), size);
        ::operator delete(::operator new(size), std::nothrow);
        ::operator delete[](::operator new[](size), std::nothrow);
        ::operator delete(::operator new(size, kPage), kPage);
        ::operator delete[](::operator new[](size, kPage), kPage);
        ::operator delete(::operator new(size, kPage), size, kPage);
        ::operator delete[](::operator new[](size, kPage), size, kPage);
        ::operator delete(::operator new(size, kPage), kPage, std::nothrow);
        ::operator delete[](::operator new[](size, kPage), kPage, std::nothrow);
    }
    hak_thread_flush();
    ASSERT_EQ(hak_stats_get(&stats), 0);
    EXPECT_LE(stats.live_blocks, before + 10);
}

TEST(Failure, ThrowsBadAllocThatUnwinds) {
    struct Guard {
        int *count;
        ~Guard() { ++*count; }
    };
    int unwound = 0;
    int caught = 0;
    for (int form = 0; form < 4; form++) {
        try {
            Guard guard{&unwound};
            switch (form) {
            case 0:
                static_cast<void>(::operator new(too_much));
                break;
            case 1:
                static_cast<void>(::operator new[](too_much));
                break;
            case 2:
                static_cast<void>(::operator new(too_much, kPage));
                break;
            default:
                static_cast<void>(::operator new[](too_much, kPage));
                break;
            }
            ADD_FAILURE() << "form " << form << " returned";
        } catch (const std::bad_alloc &error) {
            EXPECT_STREQ(error.what(), std::bad_alloc().what());
            caught++;
        }
    }
    EXPECT_EQ(unwound, 4);
    EXPECT_EQ(caught, 4);
}

TEST(Failure, NothrowGivesNull) {
    EXPECT_EQ(::operator new(too_much, std::nothrow), nullptr);
    EXPECT_EQ(::operator new[](too_much, std::nothrow), nullptr);
    EXPECT_EQ(::operator new(too_much, kPage, std::nothrow), nullptr);
    EXPECT_EQ(::operator new[](too_much, kPage, std::nothrow), nullptr);
}

int handler_calls;

TEST(Failure, AnAlignmentThatIsNoneFailsAtOnce) {
    handler_calls = 0;
    std::set_new_handler([] {
        handler_calls++;
        throw std::runtime_error("no handler can help");
    });
    volatile size_t odd = 48;
    EXPECT_THROW(static_cast<void>(::operator new(64, std::align_val_t(odd))), std::bad_alloc);
    EXPECT_EQ(::operator new(64, std::align_val_t(odd), std::nothrow), nullptr);
    EXPECT_EQ(handler_calls, 0);
    std::set_new_handler(nullptr);
}

TEST(NewHandler, IsCalledUntilItGivesUp) {
    handler_calls = 0;
    auto handler = [] {
        if (++handler_calls == 3) {
            std::set_new_handler(nullptr);
        }
    };
    std::set_new_handler(handler);
    EXPECT_THROW(static_cast<void>(::operator new(too_much)), std::bad_alloc);
    EXPECT_EQ(handler_calls, 3);
    handler_calls = 0;
    std::set_new_handler(handler);
    EXPECT_EQ(::operator new(too_much, std::nothrow), nullptr);
    EXPECT_EQ(handler_calls, 3);
    handler_calls = 0;
    std::set_new_handler(handler);
    EXPECT_THROW(static_cast<void>(::operator new(too_much, kPage)), std::bad_alloc);
    EXPECT_EQ(handler_calls, 3);
    handler_calls = 0;
    std::set_new_handler(handler);
    EXPECT_EQ(::operator new[](too_much, kPage, std::nothrow), nullptr);
    EXPECT_EQ(handler_calls, 3);
}

TEST(NewHandler, MayThrowWhatItLikes) {
    std::set_new_handler([] { throw std::runtime_error("from the handler"); });
    EXPECT_THROW(static_cast<void>(::operator new(too_much)), std::runtime_error);
    EXPECT_THROW(static_cast<void>(::operator new[](too_much)), std::runtime_error);
    EXPECT_THROW(static_cast<void>(::operator new(too_much, kPage)), std::runtime_error);
    std::set_new_handler(nullptr);
}

/* With an object to destroy on the way, so that catching really unwinds. */
struct Sentinel {
    ~Sentinel() { handler_calls++; }
};

TEST(NewHandler, ThatThrowsInsideNothrowGivesNull) {
    handler_calls = 0;
    std::set_new_handler([] {
        Sentinel sentinel;
        throw std::runtime_error("caught by operator new");
    });
    EXPECT_EQ(::operator new(too_much, std::nothrow), nullptr);
    EXPECT_EQ(::operator new[](too_much, std::nothrow), nullptr);
    EXPECT_EQ(::operator new(too_much, kPage, std::nothrow), nullptr);
    EXPECT_EQ(::operator new[](too_much, kPage, std::nothrow), nullptr);
    EXPECT_EQ(handler_calls, 4);
    EXPECT_FALSE(std::uncaught_exceptions()) << "an exception was left in flight";
    std::set_new_handler(nullptr);
}

/* The library's own code goes through ours: containers that must fail do. */
TEST(Failure, ReachesContainers) {
    std::vector<char> bytes;
    EXPECT_THROW(bytes.reserve(static_cast<size_t>(1) << 60), std::bad_alloc);
    std::string text;
    EXPECT_THROW(text.reserve(static_cast<size_t>(1) << 60), std::bad_alloc);
    EXPECT_TRUE(hak_owns((bytes.resize(100), bytes.data())));
}

} // namespace
