/* A service that is always linked with hakmem calls hak_version() and hak_owns() and needs none of
 * this. Weak names serve a program that may also run without: linked statically they are there or
 * NULL, and under LD_PRELOAD the dynamic linker may know what the program's own link did not. */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "allocator.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char *hak_version(void) __attribute__((weak));
extern bool hak_owns(const void *block) __attribute__((weak));

typedef const char *version_fn(void);
typedef bool owns_fn(const void *block);

/* ISO C has no cast from an object pointer to a function pointer; POSIX promises that the bytes are
 * the same. */
static void find(void *function, const char *name) {
    void *found = dlsym(RTLD_DEFAULT, name);
    memcpy(function, &found, sizeof(found));
}

const char *allocator_name(void) {
    static char name[128];
    version_fn *version = hak_version;
    owns_fn *owns = hak_owns;
    if (version == NULL || owns == NULL) {
        find(&version, "hak_version");
        find(&owns, "hak_owns");
    }
    if (version == NULL || owns == NULL) {
        return "libc";
    }
    void *block = malloc(100);
    bool ours = block != NULL && owns(block);
    free(block);
    if (!ours) {
        return "libc";
    }
    snprintf(name, sizeof(name), "hakmem %s", version());
    return name;
}
