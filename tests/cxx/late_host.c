/* A C program without any C++ runtime that loads C++ code late and locally, so that nothing of it
 * is in the global scope. argv[1] is the plugin. The plugin's functions return 0 or a line number.
 * */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    static const char *const symbols[] = {"plugin_bad_alloc", "plugin_new_handler",
                                          "plugin_nothrow"};
    if (argc != 2) {
        fprintf(stderr, "usage: late_host PLUGIN\n");
        return 2;
    }
    if (dlsym(RTLD_DEFAULT, "__cxa_throw") != NULL) {
        fprintf(stderr, "a C++ runtime is loaded from the start: this run shows nothing\n");
        return 3;
    }
    if (dlsym(RTLD_DEFAULT, "hak_version") == NULL) {
        fprintf(stderr, "hakmem does not serve this process\n");
        return 4;
    }
    /* Twice: after an unload nothing may be left that points into the old runtime. */
    for (int round = 0; round < 2; round++) {
        void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (plugin == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 5;
        }
        if (dlsym(RTLD_DEFAULT, "__cxa_throw") != NULL) {
            fprintf(stderr, "the runtime of the plugin is global: this run shows nothing\n");
            return 6;
        }
        for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
            int (*call)(void) = (int (*)(void))dlsym(plugin, symbols[i]);
            if (call == NULL) {
                fprintf(stderr, "%s\n", dlerror());
                return 7;
            }
            int line = call();
            if (line != 0) {
                fprintf(stderr, "%s failed at line %d of late_plugin.cc\n", symbols[i], line);
                return 1;
            }
        }
        dlclose(plugin);
    }
    return 0;
}
