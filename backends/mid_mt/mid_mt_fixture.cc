#include "backends/mid_mt/mid_mt_fixture.h"

extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
}

namespace hak_testing {

hak_block_t *Take(hak_heap_t *mine, unsigned sc) {
    hak_block_t *block = hak_tls_sll_pop_class(sc);
    return block != nullptr ? block : mid.refill(mine, sc);
}
void Put(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    uint32_t tag = hak_registry_tag((uintptr_t)block);
    if (tag == (mine->tag | sc << HAK_BIN_SHIFT)) {
        if (!hak_tls_sll_push_class(sc, block)) {
            mid.take_back(mine, block, sc);
        }
    } else {
        EXPECT_TRUE(mid.take_back_remote(mine, block, sc));
    }
}

} // namespace hak_testing
