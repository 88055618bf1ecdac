#include "base/size_class.h"

#include <gtest/gtest.h>

namespace {

/* The smallest class that holds `size`, by search. */
unsigned Reference(size_t size) {
    unsigned sc = 1;
    while (hak_sc_bytes[sc] < size) {
        sc++;
    }
    return sc;
}

TEST(SizeClass, EverySizeGetsTheSmallestClassThatHoldsIt) {
    for (size_t size = 0; size <= HAK_SC_MAX_BYTES; size++) {
        ASSERT_EQ(hak_sc_of(size), Reference(size)) << size;
    }
}

TEST(SizeClass, RoundingLosesAtMostAnEighthAbove128) {
    for (size_t size = 129; size <= HAK_SC_MAX_BYTES; size++) {
        size_t lost = hak_sc_bytes[hak_sc_of(size)] - size;
        ASSERT_LE(lost * 8, size) << size;
    }
}

TEST(SizeClass, BlocksAre16BytesApartUpTo128AndMultiplesOf16Above) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        if (sc <= 8) {
            ASSERT_EQ(hak_sc_bytes[sc], 16 * sc);
        }
        ASSERT_EQ(hak_sc_bytes[sc] % 16, 0u) << sc;
        ASSERT_GT(hak_sc_bytes[sc], hak_sc_bytes[sc - 1]) << sc;
    }
    EXPECT_EQ(hak_sc_bytes[HAK_SC_SMALL_MAX], (uint32_t)HAK_SC_SMALL_MAX_BYTES);
    EXPECT_EQ(hak_sc_bytes[HAK_SC_FIXED], (uint32_t)HAK_SC_MAX_BYTES);
}

TEST(SizeClass, ClassZeroAndSpareOnesAreEmpty) {
    EXPECT_EQ(hak_sc_bytes[0], 0u);
    EXPECT_EQ(hak_sc_divisor[0], 0u);
    for (unsigned sc = HAK_SC_FIXED + 1; sc < HAK_SC_COUNT; sc++) {
        EXPECT_EQ(hak_sc_bytes[sc], 0u) << sc;
        EXPECT_EQ(hak_sc_divisor[sc], 0u) << sc;
    }
}

TEST(SizeClass, TableAndFormulaAgreeWhereBothAnswer) {
    for (size_t i = 0; i <= HAK_SC_SMALL_MAX_BYTES / 16; i++) {
        ASSERT_EQ(hak_sc_small_offset[i], Reference(16 * i) << HAK_BIN_SHIFT) << i;
    }
    for (size_t size = HAK_SC_SMALL_MAX_BYTES + 1; size <= HAK_SC_MAX_BYTES; size++) {
        bool pow2 = size > hak_cfg_pow2_above_bytes && size <= HAK_SC_POW2_MAX_BYTES;
        ASSERT_EQ(hak_sc_of_mid(size), pow2 ? hak_sc_of_pow2(size) : hak_sc_of_eighth(size));
        ASSERT_TRUE(pow2 || hak_sc_of_mid(size) == Reference(size)) << size;
    }
}

TEST(SizeClass, DivisorTellsMultiplesForEveryOffsetOfASlabOfOneUnit) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        uint32_t divisor = hak_sc_divisor[sc];
        if (hak_sc_units(sc) != 1) {
            ASSERT_EQ(divisor, 0u) << "a slab of several units: the test must fail always";
            continue;
        }
        for (uint32_t offset = 0; offset < HAK_UNIT_BYTES; offset++) {
            bool multiple = offset * divisor < divisor;
            ASSERT_EQ(multiple, offset % hak_sc_bytes[sc] == 0) << sc << " " << offset;
        }
    }
}

TEST(SizeClass, EverySlabHoldsAFewBlocksAtLeastAndWastesLessThanOne) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        uint32_t bytes = hak_sc_bytes[sc];
        uint32_t slab = hak_sc_units(sc) * HAK_UNIT_BYTES;
        uint32_t blocks = hak_sc_slab_blocks(sc);
        ASSERT_TRUE(hak_sc_units(sc) == 1 || hak_sc_units(sc) == 2 || hak_sc_units(sc) == 16) << sc;
        ASSERT_GE(blocks, bytes <= 8192 ? 8u : bytes <= 32768 ? 4u : 16u) << sc;
        ASSERT_LE(blocks * bytes, slab) << sc;
        ASSERT_GT((blocks + 1) * bytes, slab) << sc;
    }
}

TEST(SizeClass, CountsFitTheRemoteWord) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        ASSERT_LE(hak_sc_slab_blocks(sc), 0xffffu) << sc;
    }
}

TEST(SizeClass, AlignedClassIsTheSmallestWhoseBlocksAreAligned) {
    for (size_t align = 1; align <= HAK_SC_MAX_BYTES; align *= 2) {
        unsigned last = 0;
        for (size_t size = 0; size <= HAK_SC_MAX_BYTES; size += size < 2048 ? 1 : 509) {
            size_t need = size < align ? align : size;
            unsigned expected = Reference(need);
            while (hak_sc_bytes[expected] % align != 0) {
                expected++;
            }
            unsigned sc = hak_sc_of_aligned(size, align);
            ASSERT_EQ(sc, expected) << size << " aligned to " << align;
            ASSERT_GE(sc, last);
            last = sc;
        }
        ASSERT_EQ(hak_sc_of_aligned(HAK_SC_MAX_BYTES, align), (unsigned)HAK_SC_FIXED);
        ASSERT_EQ(hak_sc_of_aligned(HAK_SC_MAX_BYTES + 1, align), 0u);
    }
    EXPECT_EQ(hak_sc_of_aligned(1, 2 * HAK_SC_MAX_BYTES), 0u);
}

} // namespace
