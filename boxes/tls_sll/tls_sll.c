#include "boxes/tls_sll/tls_sll.h"

#include <string.h>

__attribute__((used)) __thread hak_tls_t hak_tls
    /* the first bin's too: NULL and foreign addresses have a tag of 0 */
    __attribute__((tls_model("initial-exec"))) = {.bin[0].tag = HAK_TAG_NOBODY,
                                                  .tag = HAK_TAG_NOBODY};

static uint32_t hak_key(uint32_t tag, unsigned sc, uint32_t divisor) {
    return hak_cfg_check_interior ? divisor : tag | sc << HAK_BIN_SHIFT;
}

uint32_t hak_tls_sll_first_cap(uint32_t bytes) {
    enum { BYTES = 16384, LEAST = 4, MOST = 128 };
    if (bytes == 0) {
        return hak_cfg_mid_ids ? LEAST : 0; /* whatever size it gets, or until it has one */
    }
    uint32_t cap = BYTES / bytes;
    return cap > MOST ? MOST : cap < LEAST ? LEAST : cap;
}

void hak_tls_sll_attach(struct hak_heap *heap, uint32_t tag, const uint32_t *cap,
                        const uint32_t *spare_bytes) {
    for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
        uint32_t divisor = sc <= HAK_SC_FIXED
                               ? hak_sc_divisor[sc]
                               : hak_sc_divisor_of(spare_bytes[sc - HAK_SC_FIXED - 1]);
        hak_tls.bin[sc].head = NULL;
        hak_tls.bin[sc].room = (int32_t)cap[sc];
        hak_tls.bin[sc].tag = hak_key(tag, sc, divisor);
    }
    hak_tls.heap = heap;
    hak_tls.tag = tag;
}

void hak_tls_sll_resize(unsigned sc, uint32_t bytes, uint32_t cap) {
    hak_tls.bin[sc].head = NULL;
    hak_tls.bin[sc].room = (int32_t)cap;
    hak_tls.bin[sc].tag = hak_key(hak_tls.tag, sc, hak_sc_divisor_of(bytes));
}

void hak_tls_sll_share(unsigned sc) {
    hak_tls.bin[sc].tag = hak_key(HAK_TAG_SHARED, sc, hak_sc_divisor[sc]);
}

void hak_tls_sll_detach(void) {
    hak_tls.tag = HAK_TAG_NOBODY;
    hak_tls.heap = NULL;
    memset(hak_tls.bin, 0, sizeof hak_tls.bin);
    hak_tls.bin[0].tag = HAK_TAG_NOBODY;
}

hak_block_t *hak_tls_sll_take_all(unsigned sc, uint32_t cap) {
    hak_block_t *list = hak_tls.bin[sc].head;
    hak_tls.bin[sc].head = NULL;
    hak_tls.bin[sc].room = (int32_t)cap;
    return list;
}

uint32_t hak_tls_sll_fill(unsigned sc, hak_block_t *list, uint32_t count, uint32_t cap) {
    uint32_t slack = cap / 4 + 1;
    uint32_t most = count + slack > cap ? count + slack : cap;
    hak_tls.bin[sc].head = list;
    hak_tls.bin[sc].room = (int32_t)(most - count);
    return most;
}
