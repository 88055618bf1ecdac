/* The catch clause makes the compiler refer to three functions of the runtime. As weak references
 * they do not make a C program need libstdc++, and the unwinder skips a frame whose personality is
 * 0.
 */
#include "front/cxx/catch.h"

#include <cstddef>

__asm__(".weak __gxx_personality_v0\n"
        ".weak __cxa_begin_catch\n"
        ".weak __cxa_end_catch\n");

extern "C" {
__attribute__((weak)) void hak_personality() __asm__("__gxx_personality_v0");
__attribute__((weak)) void hak_begin_catch() __asm__("__cxa_begin_catch");
__attribute__((weak)) void hak_end_catch() __asm__("__cxa_end_catch");
}

bool hak_catch_is_available() {
    return hak_personality != nullptr && hak_begin_catch != nullptr && hak_end_catch != nullptr;
}

void *hak_catch_call(void *(*work)(void *), void *argument) {
    try {
        return work(argument);
    } catch (...) {
        return nullptr;
    }
}
