/* C++ code that a C program loads late: each function returns 0, or the line of what went wrong. */
#include <cstddef>
#include <cstdlib>
#include <new>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            return __LINE__;                                                                       \
        }                                                                                          \
    } while (0)

namespace {

volatile std::size_t too_much = static_cast<std::size_t>(1) << 60;
int calls;

struct Mine {
    int value;
};

} // namespace

extern "C" {

int plugin_bad_alloc() {
    int caught = 0;
    try {
        static_cast<void>(::operator new(too_much));
    } catch (const std::bad_alloc &) {
        caught++;
    }
    try {
        static_cast<void>(::operator new[](too_much, std::align_val_t(256)));
    } catch (const std::bad_alloc &) {
        caught++;
    }
    REQUIRE(caught == 2);
    int *number = new int(7);
    REQUIRE(*number == 7);
    delete number;
    return 0;
}

int plugin_new_handler() {
    calls = 0;
    std::set_new_handler([] {
        if (++calls == 2) {
            throw Mine{42};
        }
    });
    int value = 0;
    try {
        static_cast<void>(::operator new(too_much));
    } catch (const Mine &mine) {
        value = mine.value;
    }
    std::set_new_handler(nullptr);
    REQUIRE(value == 42);
    REQUIRE(calls == 2);
    return 0;
}

int plugin_nothrow() {
    REQUIRE(::operator new(too_much, std::nothrow) == nullptr);
    calls = 0;
    std::set_new_handler([] {
        calls++;
        throw Mine{1};
    });
    void *plain = ::operator new(too_much, std::nothrow);
    void *array = ::operator new[](too_much, std::nothrow);
    void *aligned = ::operator new(too_much, std::align_val_t(256), std::nothrow);
    void *aligned_array = ::operator new[](too_much, std::align_val_t(256), std::nothrow);
    std::set_new_handler(nullptr);
    REQUIRE(plain == nullptr && array == nullptr && aligned == nullptr && aligned_array == nullptr);
    REQUIRE(calls == 4);
    return 0;
}

} // extern "C"
