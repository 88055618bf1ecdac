/* options_internal: the rows of the option table and the parser, for options.c, its help text and
 * their tests.
 *
 * Owns       nothing; the table is constant, the values belong to options.c.
 * Layer      2 (core), inside the box.
 */
#ifndef HAK_CORE_OPTIONS_OPTIONS_INTERNAL_H_
#define HAK_CORE_OPTIONS_OPTIONS_INTERNAL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/options/options.h"
#include "core/text/text.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    HAK_OPTION_IS_SWITCH,
    HAK_OPTION_IS_NUMBER, /* with `places` behind the point, and the value times 10^places */
    HAK_OPTION_IS_WORD,
    HAK_OPTION_IS_LIST, /* such numbers with commas between; "none": no number */
    HAK_OPTION_IS_TEXT, /* the value is the length of what stands in `text`; "none": nothing */
    HAK_OPTION_IS_SIZES /* "528,1000": rounded up to multiples of 16; "0": none */
} hak_option_kind_t;

enum { HAK_OPTION_TEXT_MOST = 255 };

typedef enum {
    HAK_SETTABLE_ANY_TIME,
    HAK_SETTABLE_AT_START,  /* by the environment alone */
    HAK_SETTABLE_BY_VARIANT /* fixed when the library was built; may only be repeated */
} hak_option_settable_t;

typedef struct {
    const char *text;
    uint64_t value;
} hak_option_word_t;

typedef struct {
    const char *name; /* lower case, without the prefix */
    const char *help;
    const hak_option_word_t *words; /* IS_WORD: the accepted ones, ended by a NULL text */
    uint64_t initial;
    uint64_t low, high; /* IS_NUMBER: bounds, both included */
    hak_option_kind_t kind;
    hak_option_settable_t settable;
    uint8_t places;    /* IS_NUMBER, IS_LIST */
    uint8_t bits;      /* IS_LIST: of an item */
    char *text;        /* IS_TEXT: HAK_OPTION_TEXT_MOST characters and an end */
    bool switch_words; /* IS_WORD: the spellings of a switch stand for the values 0 and 1 */
} hak_option_row_t;

extern const hak_option_row_t hak_option_rows[HAK_OPTION_COUNT];
/* The spellings of 0 and 1. */
extern const hak_option_word_t hak_option_switch_words[];

/* Reads `count` characters as a value of `row`. Returns false if they are none. */
bool hak_options_parse(const hak_option_row_t *row, const char *text, size_t count,
                       uint64_t *value);

/* Takes "HAKMEM_X=text" for `row`: stores it in `*cell`, or writes a warning line on stderr and
 * leaves `*cell`. */
void hak_options_take(const hak_option_row_t *row, hak_a64_t *cell, const char *text);

/* Reads all of `environment`. Of two entries for one option the first counts, as for getenv. */
void hak_options_load(char *const *environment);

/* Writes what a row accepts ("0..100", "abort|report|ignore"), one of its values, and when it may
 * be set. */
void hak_options_put_accepted(hak_text_t *text, const hak_option_row_t *row);
void hak_options_put_value(hak_text_t *text, const hak_option_row_t *row, uint64_t value);
void hak_options_put_env_name(hak_text_t *text, const hak_option_row_t *row);
const char *hak_options_when(const hak_option_row_t *row);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_OPTIONS_OPTIONS_INTERNAL_H_ */
