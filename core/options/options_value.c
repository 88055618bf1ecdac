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

/* Decimal digits alone: no sign, no space, no unit; up to `places` of them behind a point, which
 * needs one before and one behind it. */
static bool hak_parse_number(const char *text, size_t count, unsigned places, uint64_t *value) {
    uint64_t number = 0;
    const char *point = places == 0 ? NULL : memchr(text, '.', count);
    size_t whole = point == NULL ? count : (size_t)(point - text);
    size_t behind = point == NULL ? 0 : count - whole - 1;
    if (whole == 0 || (point != NULL && (behind == 0 || behind > places))) {
        return false;
    }
    for (size_t i = 0; i < count + places - behind; i++) {
        unsigned digit = i < count ? (unsigned char)text[i] - (unsigned)'0' : 0;
        if (text + i == point) {
            continue;
        }
        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

static bool hak_is_none(const char *text, size_t count) {
    return count == 4 && memcmp(text, "none", 4) == 0;
}

static bool hak_parse_list(const hak_option_row_t *row, const char *text, size_t count,
                           uint64_t *value) {
    uint64_t list = 0, number;
    unsigned shift = 0;
    const char *end = text + count;
    while (text <= end && !hak_is_none(text, count)) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t length = (size_t)((comma == NULL ? end : comma) - text);
        if (shift + row->bits > 64 || !hak_parse_number(text, length, row->places, &number) ||
            number < row->low || number > row->high) {
            return false;
        }
        list |= number << shift;
        shift += row->bits;
        text += length + 1;
    }
    *value = list;
    return true;
}

static bool hak_parse_text(const char *text, size_t count, uint64_t *value) {
    *value = hak_is_none(text, count) ? 0 : count;
    return count <= HAK_OPTION_TEXT_MOST && memchr(text, '\n', count) == NULL;
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
        if (!hak_parse_number(text + from, to - from, 0, &bytes) || !hak_sc_may_be_exact(bytes) ||
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
        if (!hak_parse_number(text, count, row->places, &parsed) || parsed < row->low ||
            parsed > row->high) {
            return false;
        }
        break;
    case HAK_OPTION_IS_LIST:
        if (!hak_parse_list(row, text, count, &parsed)) {
            return false;
        }
        break;
    case HAK_OPTION_IS_TEXT:
        if (!hak_parse_text(text, count, &parsed)) {
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

/* 650 with 3 places is 0.65: as few digits as say the same. */
static void hak_put_number(hak_text_t *text, uint64_t number, unsigned places) {
    uint64_t unit = 1;
    for (unsigned i = 0; i < places; i++) {
        unit *= 10;
    }
    hak_text_put_u64(text, number / unit);
    uint64_t rest = number % unit;
    hak_text_put(text, rest == 0 ? "" : ".");
    for (unit /= 10; rest != 0; unit /= 10) {
        hak_text_put_u64(text, rest / unit);
        rest %= unit;
    }
}

void hak_options_put_accepted(hak_text_t *text, const hak_option_row_t *row) {
    switch (row->kind) {
    case HAK_OPTION_IS_NUMBER:
    case HAK_OPTION_IS_LIST:
        hak_put_number(text, row->low, row->places);
        hak_text_put(text, "..");
        hak_put_number(text, row->high, row->places);
        hak_text_put(text, row->kind == HAK_OPTION_IS_LIST ? ",...|none" : "");
        break;
    case HAK_OPTION_IS_SIZES:
        hak_text_put(text, "up to 8 sizes in 257..1008 that no class has");
        break;
    case HAK_OPTION_IS_SWITCH:
        hak_text_put(text, "0|1");
        break;
    case HAK_OPTION_IS_TEXT:
        hak_text_put(text, "descriptor|path|none");
        break;
    case HAK_OPTION_IS_WORD:
    default:
        for (const hak_option_word_t *word = row->words; word->text != NULL; word++) {
            hak_text_put(text, word == row->words ? "" : "|");
            hak_text_put(text, word->text);
        }
        break;
    }
}

static void hak_put_list(hak_text_t *text, const hak_option_row_t *row, uint64_t value) {
    uint32_t item;
    hak_text_put(text, value == 0 ? "none" : "");
    for (unsigned i = 0; (item = hak_option_item(value, row->bits, i)) != 0; i++) {
        hak_text_put(text, i == 0 ? "" : ",");
        hak_put_number(text, item, row->places);
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
    if (row->kind == HAK_OPTION_IS_LIST) {
        hak_put_list(text, row, value);
    } else if (row->kind == HAK_OPTION_IS_TEXT) {
        hak_text_put(text, value == 0 ? "none" : row->text);
    } else if (row->kind == HAK_OPTION_IS_SIZES) {
        hak_put_sizes(text, value);
    } else {
        hak_put_number(text, value, row->places);
    }
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
