/* A library that allocates when it is loaded, while it is used and when it is unloaded. */
#include <stdlib.h>
#include <string.h>

char *plugin_make(size_t bytes);

static void *kept;

__attribute__((constructor)) static void loaded(void) { kept = calloc(100, 100); }

__attribute__((destructor)) static void unloaded(void) { free(kept); }

char *plugin_make(size_t bytes) {
    char *block = malloc(bytes);
    return block != NULL ? strcpy(block, "plugin") : NULL;
}
