/* How a row of the table reads and prints. */
#include <string.h>

#include "base/size_class.h"
#include "core/options/options_internal.h"

hak_static_assert((int)HAK_SIZES_MAX == (int)HAK_SC_SPARE, "a size for each spare class");

static bool hak_parse_word(const hak_option_word_t *words, const char *text, size_t count,
                           uint64_t *value) {
    for (; words->text != NULL; words++) {
        if (strlen(words->text) == count && memcmp(words->text, text, count) == 0) {
            *value = words->value;
            return true;
        }
    }
    return false;
}

/* Decimal digits alone: no sign, no space, no unit. */
static bool hak_parse_number(const char *text, size_t count, uint64_t *value) {
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned char)text[i] - (unsigned)'0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *value = number;
    return count != 0;
}

/* Puts `grain` in its place among those of `*list`. False if there are eight others. */
static bool hak_insert_size(uint64_t *list, unsigned grain) {
    for (unsigned i = 0; i < 8 * HAK_SIZES_MAX; i += 8) {
        unsigned other = (unsigned)(*list >> i & 0xff);
        if (other == grain) {
            return true;
        }
        if (other == 0 || other > grain) {
            uint64_t below = (1ull << i) - 1;
            bool fits = *list >> (8 * HAK_SIZES_MAX - 8) == 0;
            *list = fits ? (*list & below) | (uint64_t)grain << i | (*list & ~below) << 8 : *list;
            return fits;
        }
    }
    return false;
}

/* Numbers with commas between. */
static bool hak_parse_sizes(const char *text, size_t count, uint64_t *value) {
    uint64_t bytes;
    *value = 0;
    if (count == 1 && text[0] == '0') {
        return true;
    }
    for (size_t from = 0, to = 0; from <= count; from = to + 1) {
        for (to = from; to < count && text[to] != ','; to++) {
        }
        if (!hak_parse_number(text + from, to - from, &bytes) || !hak_sc_may_be_exact(bytes) ||
            !hak_insert_size(
                value, (unsigned)((bytes + HAK_SIZES_GRAIN_BYTES - 1) / HAK_SIZES_GRAIN_BYTES))) {
            return false;
        }
    }
    return true;
}

static void hak_put_sizes(hak_text_t *text, uint64_t value) {
    if (value == 0) {
        hak_text_put(text, "0");
    }
    for (uint64_t left = value; left != 0; left >>= 8) {
        hak_text_put(text, left == value ? "" : ",");
        hak_text_put_u64(text, (left & 0xff) * HAK_SIZES_GRAIN_BYTES);
    }
}

bool hak_options_parse(const hak_option_row_t *row, const char *text, size_t count,
                       uint64_t *value) {
    uint64_t parsed;
    switch (row->kind) {
    case HAK_OPTION_IS_NUMBER:
        if (!hak_parse_number(text, count, &parsed) || parsed < row->low || parsed > row->high) {
            return false;
        }
        break;
    case HAK_OPTION_IS_WORD:
        if (!hak_parse_word(row->words, text, count, &parsed) &&
            !(row->switch_words && hak_parse_word(hak_option_switch_words, text, count, &parsed))) {
            return false;
        }
        break;
    case HAK_OPTION_IS_SIZES:
        if (!hak_parse_sizes(text, count, &parsed)) {
            return false;
        }
        break;
    case HAK_OPTION_IS_SWITCH:
    default:
        if (!hak_parse_word(hak_option_switch_words, text, count, &parsed)) {
            return false;
        }
        break;
    }
    *value = parsed;
    return true;
}

void hak_options_put_accepted(hak_text_t *text, const hak_option_row_t *row) {
    if (row->kind == HAK_OPTION_IS_NUMBER) {
        hak_text_put_u64(text, row->low);
        hak_text_put(text, "..");
        hak_text_put_u64(text, row->high);
        return;
    }
    if (row->kind == HAK_OPTION_IS_SIZES) {
        hak_text_put(text, "up to 8 sizes in 257..1008 that no class has");
        return;
    }
    if (row->kind == HAK_OPTION_IS_SWITCH) {
        hak_text_put(text, "0|1");
        return;
    }
    for (const hak_option_word_t *word = row->words; word->text != NULL; word++) {
        hak_text_put(text, word == row->words ? "" : "|");
        hak_text_put(text, word->text);
    }
}

void hak_options_put_value(hak_text_t *text, const hak_option_row_t *row, uint64_t value) {
    if (row->kind == HAK_OPTION_IS_WORD) {
        for (const hak_option_word_t *word = row->words; word->text != NULL; word++) {
            if (word->value == value) {
                hak_text_put(text, word->text);
                return;
            }
        }
    }
    if (row->kind == HAK_OPTION_IS_SIZES) {
        hak_put_sizes(text, value);
        return;
    }
    hak_text_put_u64(text, value);
}

void hak_options_put_env_name(hak_text_t *text, const hak_option_row_t *row) {
    hak_text_put(text, "HAKMEM_");
    for (const char *c = row->name; *c != '\0'; c++) {
        char upper = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        hak_text_put_bytes(text, &upper, 1);
    }
}

const char *hak_options_when(const hak_option_row_t *row) {
    switch (row->settable) {
    case HAK_SETTABLE_AT_START:
        return "at start";
    case HAK_SETTABLE_BY_VARIANT:
        return "fixed by the variant";
    case HAK_SETTABLE_ANY_TIME:
    default:
        return "any time";
    }
}
