#include "boxes/tls_sll/tls_sll.h"

#include <string.h>

__attribute__((used)) __thread hak_tls_t hak_tls __attribute__((tls_model("initial-exec"))) = {.tag = HAK_TAG_NOBODY};

/* About 32 KiB a class, at least 16 blocks (4 above 32 KiB), at most 256: the figures of the prototype, raced in
 * docs/DESIGN.md. */
int32_t hak_tls_sll_cap(unsigned sc) {
    int32_t bytes = (int32_t)hak_sc_bytes[sc];
    if (bytes == 0) {
        return 0;
    }
    int32_t cap = 32768 / bytes;
    int32_t least = bytes <= 32768 ? 16 : 4;
    return cap > 256 ? 256 : cap < least ? least : cap;
}

void hak_tls_sll_attach(struct hak_heap *heap, uint32_t tag) {
    for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
        hak_tls.bin[sc] = (hak_bin_t){NULL, hak_tls_sll_cap(sc), hak_sc_divisor[sc]};
    }
    hak_tls.heap = heap;
    hak_tls.tag = tag;
}

void hak_tls_sll_detach(void) {
    hak_tls.tag = HAK_TAG_NOBODY;
    hak_tls.heap = NULL;
    memset(hak_tls.bin, 0, sizeof hak_tls.bin);
}

hak_block_t *hak_tls_sll_take_all(unsigned sc) {
    hak_block_t *list = hak_tls.bin[sc].head;
    hak_tls.bin[sc].head = NULL;
    hak_tls.bin[sc].room = hak_tls_sll_cap(sc);
    return list;
}

void hak_tls_sll_fill(unsigned sc, hak_block_t *list, uint32_t count) {
    hak_tls.bin[sc].head = list;
    hak_tls.bin[sc].room = hak_tls_sll_cap(sc) - (int32_t)count;
}
