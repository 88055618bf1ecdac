/* Throws through code of the program and, by a new-handler that throws, through code of the
 * allocator: a linker that mixes up their references to the C++ runtime ends in a crash. */
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>

extern "C" const char *hak_version(void);

namespace {

bool ProgramThrows() {
    try {
        throw std::runtime_error("thrown");
    } catch (const std::exception &error) {
        return std::strcmp(error.what(), "thrown") == 0;
    }
}

bool HandlerThrows() {
    std::set_new_handler([] { throw std::bad_alloc(); });
    volatile std::size_t bytes = static_cast<std::size_t>(1) << 60;
    void *none = ::operator new(bytes, std::nothrow);
    bool caught = false;
    try {
        ::operator delete(::operator new(bytes));
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    return none == nullptr && caught;
}

} // namespace

int main() {
    bool right = ProgramThrows() && HandlerThrows() && hak_version() != nullptr;
    std::puts(right ? "all were caught" : "wrong");
    return right ? 0 : 1;
}
