/* One odd size: 528 bytes, so many that it gets a class of its own. Then none of it, while slabs
 * are opened for others: it gives the class up. With an argument all spare classes hold blocks of
 * other sizes before, and it is refused. */
#include <hakmem.h>
#include <stdlib.h>

enum { BLOCKS = 40000, OTHERS = 5000, ROUNDS = 20, SPARE = 8 };

static void *block[BLOCKS];

static void fill(int count, size_t bytes) {
    for (int i = 0; i < count; i++) {
        block[i] = malloc(bytes);
        if (block[i] == NULL) {
            abort();
        }
    }
}

static void clear(int count) {
    for (int i = 0; i < count; i++) {
        free(block[i]);
    }
}

static void use_spare_classes_up(void **kept) {
    static const char *const sizes[SPARE] = {"272", "304", "336", "368",
                                             "400", "432", "464", "496"};
    for (int i = 0; i < SPARE; i++) {
        if (hak_option_set("exact_sizes", sizes[i]) != 0) {
            abort();
        }
        kept[i] = malloc((size_t)atoi(sizes[i]));
    }
    if (hak_option_set("exact_sizes", "0") != 0) {
        abort();
    }
}

int main(int argc, char **argv) {
    void *kept[SPARE] = {NULL};
    (void)argv;
    if (argc > 1) {
        use_spare_classes_up(kept);
    }
    fill(BLOCKS, 520);
    clear(BLOCKS);
    for (int round = 0; round < ROUNDS; round++) {
        fill(OTHERS, 1024);
        clear(OTHERS);
        hak_thread_flush();
    }
    for (int i = 0; i < SPARE; i++) {
        free(kept[i]);
    }
    return 0;
}
