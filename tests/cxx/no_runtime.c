/* A C program that calls operator new with no C++ runtime anywhere: there is nothing to throw
 * through. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(void) {
    void *(*create)(size_t) = (void *(*)(size_t))(uintptr_t)dlsym(RTLD_DEFAULT, "_Znwm");
    void *(*create_nothrow)(size_t, const void *) =
        (void *(*)(size_t, const void *))(uintptr_t)dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
    if (create == NULL || create_nothrow == NULL || dlsym(RTLD_DEFAULT, "__cxa_throw") != NULL) {
        fprintf(stderr, "this run shows nothing\n");
        return 2;
    }
    if (create(100) == NULL || create_nothrow((size_t)1 << 60, "") != NULL) {
        return 3;
    }
    create((size_t)1 << 60);
    return 4;
}
