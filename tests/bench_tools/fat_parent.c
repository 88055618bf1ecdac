/* fat_parent: makes 32 MiB of a process resident, but not of a child that bench/startup starts:
 * what is said of the child must not be the parent's. */
#include <string.h>
#include <sys/mman.h>

enum { FAT_BYTES = 32 << 20 };

__attribute__((constructor)) static void grow(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--as-child") == 0) {
        return;
    }
    void *fat = mmap(NULL, FAT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fat != MAP_FAILED) {
        memset(fat, 1, FAT_BYTES);
    }
}
