#include "base/size_class.h"

#include <stdbool.h>

/* Sizes of the 8 classes above 2^k; s is the step, 2^k / 8. */
#define EIGHT(k, s)                                                                                \
    (1u << (k)) + (s), (1u << (k)) + 2 * (s), (1u << (k)) + 3 * (s), (1u << (k)) + 4 * (s),        \
        (1u << (k)) + 5 * (s), (1u << (k)) + 6 * (s), (1u << (k)) + 7 * (s), (1u << (k)) + 8 * (s)

const uint32_t hak_sc_bytes[HAK_SC_COUNT] = {
    0,
    16,
    32,
    48,
    64,
    80,
    96,
    112,
    128,
    EIGHT(7, 16),
    EIGHT(8, 32),
    EIGHT(9, 64),
    EIGHT(10, 128),
    EIGHT(11, 256),
    EIGHT(12, 512),
    EIGHT(13, 1024),
    EIGHT(14, 2048),
    EIGHT(15, 4096),
};

#define INVERSE(n) ((uint32_t)((0x100000000u + (n)-1) / (n)))
#define INV8(k, s)                                                                                 \
    INVERSE((1ull << (k)) + (s)), INVERSE((1ull << (k)) + 2 * (s)),                                \
        INVERSE((1ull << (k)) + 3 * (s)), INVERSE((1ull << (k)) + 4 * (s)),                        \
        INVERSE((1ull << (k)) + 5 * (s)), INVERSE((1ull << (k)) + 6 * (s)),                        \
        INVERSE((1ull << (k)) + 7 * (s)), INVERSE((1ull << (k)) + 8 * (s))

const uint32_t hak_sc_divisor[HAK_SC_COUNT] = {
    0,
    INVERSE(16ull),
    INVERSE(32ull),
    INVERSE(48ull),
    INVERSE(64ull),
    INVERSE(80ull),
    INVERSE(96ull),
    INVERSE(112ull),
    INVERSE(128ull),
    INV8(7, 16),
    INV8(8, 32),
    INV8(9, 64),
    INV8(10, 128),
    INV8(11, 256),
    INV8(12, 512),
};

/* Bin offset for a size of 16 * i bytes. */
#define OFF(i) ((uint16_t)(HAK_SC_OF_GRAIN(i) << HAK_BIN_SHIFT))
#define OFF8(i)                                                                                    \
    OFF(i), OFF((i) + 1), OFF((i) + 2), OFF((i) + 3), OFF((i) + 4), OFF((i) + 5), OFF((i) + 6),    \
        OFF((i) + 7)

const uint16_t hak_sc_small_offset[HAK_SC_SMALL_MAX_BYTES / 16 + 1] = {
    OFF8(0), OFF8(8), OFF8(16), OFF8(24), OFF8(32), OFF8(40), OFF8(48), OFF8(56), OFF(64),
};

hak_static_assert(hak_cfg_pow2_above_bytes % (1 << HAK_SC_MID_GRAIN_SHIFT) == 0 &&
                      (int)hak_cfg_pow2_above_bytes >= (int)HAK_SC_SMALL_MAX_BYTES,
                  "the classes change between two entries of the table");

/* The class for 128 * (i + 1) bytes: eight to a doubling, or one. */
#define LOG2(m)                                                                                    \
    ((m) < 2048 ? 10 : (m) < 4096 ? 11 : (m) < 8192 ? 12 : (m) < 16384 ? 13 : (m) < 32768 ? 14 : 15)
#define EIGHTH(m) (33 + ((LOG2(m) - 10) << 3) + ((m) >> (LOG2(m) - 3) & 7))
#define POW2(m) (40 + ((LOG2(m) - 10) << 3))
#define MID_SC(m)                                                                                  \
    ((m) >= (int)hak_cfg_pow2_above_bytes && (m) < HAK_SC_POW2_MAX_BYTES ? POW2(m) : EIGHTH(m))
#define MID(i) ((uint16_t)(MID_SC(128 * ((i) + 1) - 1) << HAK_BIN_SHIFT))
#define MID4(i) MID(i), MID((i) + 1), MID((i) + 2), MID((i) + 3)
#define MID16(i) MID4(i), MID4((i) + 4), MID4((i) + 8), MID4((i) + 12)
#define MID64(i) MID16(i), MID16((i) + 16), MID16((i) + 32), MID16((i) + 48)

const uint16_t hak_sc_mid_offset[HAK_SC_MAX_BYTES >> HAK_SC_MID_GRAIN_SHIFT] = {
    /* up to 1 KiB */
    [8] = MID4(8), MID4(12),   MID16(16),  MID16(32),  MID16(48),  MID64(64),
    MID64(128),    MID64(192), MID64(256), MID64(320), MID64(384), MID64(448),
};

/* Blocks of an mf2 page with headers are aligned to the header and no more. */
static bool hak_is_aligned_behind_header(unsigned sc, size_t align) {
    uint32_t bytes = hak_sc_bytes[sc];
    bool behind_header =
        bytes > hak_cfg_pow2_above_bytes && bytes <= HAK_SC_POW2_MAX_BYTES && hak_is_pow2(bytes);
    return (bytes & (align - 1)) == 0 && !(behind_header && align > (size_t)hak_cfg_mf2_header);
}

unsigned hak_sc_of_aligned_with_header(size_t size, size_t align) {
    unsigned sc = hak_sc_of(size);
    /* The largest class fits always. */
    while (!hak_is_aligned_behind_header(sc, align)) {
        sc++;
    }
    return sc;
}
