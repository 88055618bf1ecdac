/* T-27: allocator calls at every unusual moment of a process: constructors before main, atexit
 * handlers, destructors, a library that is loaded and unloaded, quick_exit.
 *
 *   order_main PLUGIN [quick]
 *
 * Prints a line per step; the test compares them. Each step checks the blocks of an earlier one.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *from_constructor;

/* 101 is the earliest priority that a program may use. */
__attribute__((constructor(101))) static void early(void) {
    from_constructor = malloc(5000);
    if (from_constructor != NULL) {
        strcpy(from_constructor, "made before main");
    }
}

/* write, since stdio is flushed before the last steps run. */
static void say(const char *text) {
    if (write(1, text, strlen(text)) < 0) {
        _exit(9);
    }
}

static void check(const char *step, char *block) {
    if (block == NULL || strcmp(block, "made before main") != 0) {
        say("BAD ");
    }
    say(step);
    char *grown = realloc(block, 100000);
    from_constructor = grown != NULL ? realloc(grown, 5000) : block;
}

static void at_exit_handler(void) { check("atexit\n", from_constructor); }
static void at_quick_exit_handler(void) { check("quick_exit\n", from_constructor); }

__attribute__((destructor(101))) static void late(void) {
    check("destructor\n", from_constructor);
    free(from_constructor);
}

static int use_plugin(const char *path) {
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    char *(*make)(size_t) = NULL;
    *(void **)&make = dlsym(plugin, "plugin_make");
    if (make == NULL) {
        return 1;
    }
    char *blocks[100];
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = make(10 + i * 100);
    }
    dlclose(plugin);
    for (size_t i = 0; i < 100; i++) { /* the blocks outlive the code that made them */
        if (blocks[i] == NULL || strcmp(blocks[i], "plugin") != 0) {
            say("BAD block of the plugin\n");
        }
        free(blocks[i]);
    }
    say("plugin unloaded\n");
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2 || atexit(at_exit_handler) != 0 || at_quick_exit(at_quick_exit_handler) != 0) {
        return 2;
    }
    check("main\n", from_constructor);
    for (int i = 0; i < 3; i++) {
        if (use_plugin(argv[1]) != 0) {
            return 1;
        }
    }
    if (argc > 2) {
        quick_exit(0);
    }
    return 0;
}
