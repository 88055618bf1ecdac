/* The environment is walked once, entry by entry, against the table: nothing is copied and getenv
 * is not called, so this works before the C library is set up and inside the dynamic loader's first
 * malloc.
 */
#include "core/options/options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backends/os/os.h"
#include "core/options/options_internal.h"
#include "core/text/text.h"

enum {
    HAK_UNKNOWN_LINES_MAX = 4, /* a service with many stray names should not fill its log */
    HAK_SHOWN_MAX = 64         /* characters of a foreign string that a warning repeats */
};
static const char hak_prefix[] = "HAKMEM_";

static hak_a32_t hak_loaded;

static void hak_put_head(hak_text_t *text) {
    hak_text_init(text, 2);
    hak_text_put(text, "hakmem[");
    hak_text_put_u64(text, hak_os_pid());
    hak_text_put(text, "]: ");
}

static void hak_end_line(hak_text_t *text) {
    hak_text_put(text, "\n");
    (void)hak_text_flush(text); /* stderr may be closed; there is nobody else to tell */
}

/* What others wrote may hold line breaks or escape sequences; a warning is one harmless line. */
static void hak_put_shown(hak_text_t *text, const char *string, size_t count) {
    for (size_t i = 0; i < count && i < HAK_SHOWN_MAX; i++) {
        bool printable = string[i] >= ' ' && string[i] <= '~';
        hak_text_put_bytes(text, printable ? string + i : "?", 1);
    }
    if (count > HAK_SHOWN_MAX) {
        hak_text_put(text, "...");
    }
}

static void hak_warn_value(const hak_option_row_t *row, const char *value) {
    hak_text_t text;
    hak_put_head(&text);
    hak_options_put_env_name(&text, row);
    hak_text_put(&text, "=");
    hak_put_shown(&text, value, strlen(value));
    if (row->settable == HAK_SETTABLE_BY_VARIANT) {
        hak_text_put(&text, ": fixed by the variant; using ");
    } else {
        hak_text_put(&text, row->kind == HAK_OPTION_IS_NUMBER  ? ": not a number in "
                            : row->kind == HAK_OPTION_IS_LIST  ? ": not a list of "
                            : row->kind == HAK_OPTION_IS_SIZES ? ": not "
                                                               : ": not one of ");
        hak_options_put_accepted(&text, row);
        hak_text_put(&text, "; using ");
    }
    hak_options_put_value(&text, row, row->initial);
    hak_end_line(&text);
}

void hak_options_refuse(hak_option_id_t id, uint64_t before, const char *why) {
    if (why != NULL) {
        hak_text_t text;
        hak_put_head(&text);
        hak_options_put_env_name(&text, &hak_option_rows[id]);
        hak_text_put(&text, "=");
        hak_options_put_value(&text, &hak_option_rows[id], hak_option(id));
        hak_text_put(&text, ": ");
        hak_text_put(&text, why);
        hak_text_put(&text, "; using ");
        hak_options_put_value(&text, &hak_option_rows[id], before);
        hak_end_line(&text);
    }
    hak_store_rlx(&hak_option_values[id], before); /* relaxed: see hak_option() */
}

static void hak_warn_unknown(const char *name, size_t count) {
    hak_text_t text;
    hak_put_head(&text);
    hak_put_shown(&text, name, count);
    hak_text_put(&text, ": no such option, ignored; HAKMEM_HELP=1 lists them");
    hak_end_line(&text);
}

void hak_options_take(const hak_option_row_t *row, hak_a64_t *cell, const char *text) {
    uint64_t value;
    bool valid = hak_options_parse(row, text, strlen(text), &value);
    if (!valid || (row->settable == HAK_SETTABLE_BY_VARIANT && value != row->initial)) {
        hak_warn_value(row, text);
        return;
    }
    if (row->kind == HAK_OPTION_IS_TEXT) {
        memcpy(row->text, text, value);
        row->text[value] = '\0';
    }
    hak_store_rlx(cell, value); /* relaxed: see hak_option() */
}

/* True if the `count` characters at `name` are the row's name in capitals. */
static bool hak_is_env_name(const hak_option_row_t *row, const char *name, size_t count) {
    hak_text_t text;
    hak_text_init(&text, -1);
    hak_options_put_env_name(&text, row);
    return text.length == count && memcmp(text.buffer, name, count) == 0;
}

static int hak_find_env_name(const char *name, size_t count) {
    for (int id = 0; id < HAK_OPTION_COUNT; id++) {
        if (hak_is_env_name(&hak_option_rows[id], name, count)) {
            return id;
        }
    }
    return -1;
}

void hak_options_load(char *const *environment) {
    bool seen[HAK_OPTION_COUNT] = {false};
    int unknown_lines = 0;
    for (; *environment != NULL; environment++) {
        const char *entry = *environment;
        if (strncmp(entry, hak_prefix, sizeof hak_prefix - 1) != 0) {
            continue;
        }
        size_t count = strcspn(entry, "=");
        int id = hak_find_env_name(entry, count);
        if (id < 0) {
            if (unknown_lines++ < HAK_UNKNOWN_LINES_MAX) {
                hak_warn_unknown(entry, count);
            }
        } else if (!seen[id] && entry[count] == '=') {
            seen[id] = true;
            hak_options_take(&hak_option_rows[id], &hak_option_values[id], entry + count + 1);
        }
    }
}

void hak_options_init(char *const *environment) {
    if (environment == NULL) {
        environment = environ;
    }
    /* relaxed: the values carry their own order, and whoever comes second finds at worst the
     * defaults */
    uint32_t expected = 0;
    if (environment == NULL || !hak_cas_rlx(&hak_loaded, &expected, 1)) {
        return;
    }
    if (hak_os_is_secure()) {
        return; /* the caller of a privileged program must not steer its allocator */
    }
    int saved = errno;
    hak_options_load(environment);
    if (hak_option(HAK_OPTION_HELP) != 0) {
        hak_options_write_help(2);
    }
    errno = saved;
}

static int hak_find_name(const char *name) {
    for (int id = 0; id < HAK_OPTION_COUNT; id++) {
        if (name != NULL && strcmp(hak_option_rows[id].name, name) == 0) {
            return id;
        }
    }
    errno = ENOENT;
    return -1;
}

int hak_options_get_text(const char *name, char *value, size_t bytes) {
    int id = hak_find_name(name);
    if (id < 0) {
        if (bytes != 0) {
            value[0] = '\0';
        }
        return -1;
    }
    hak_text_t text;
    hak_text_init(&text, -1);
    hak_options_put_value(&text, &hak_option_rows[id], hak_option((hak_option_id_t)id));
    size_t copied = text.length < bytes ? text.length : bytes - (bytes != 0);
    if (bytes != 0) {
        memcpy(value, text.buffer, copied);
        value[copied] = '\0';
    }
    if (text.length >= bytes) {
        errno = ERANGE;
        return -1;
    }
    return (int)text.length;
}

int hak_options_set_text(const char *name, const char *value) {
    int id = hak_find_name(name);
    if (id < 0) {
        return -1;
    }
    const hak_option_row_t *row = &hak_option_rows[id];
    if (row->settable != HAK_SETTABLE_ANY_TIME) {
        errno = EPERM;
        return -1;
    }
    uint64_t number;
    if (value == NULL || !hak_options_parse(row, value, strlen(value), &number)) {
        errno = EINVAL;
        return -1;
    }
    hak_store_rlx(&hak_option_values[id], number); /* relaxed: see hak_option() */
    return 0;
}

void hak_options_write_help(int fd) {
    hak_text_t text;
    hak_text_init(&text, fd);
    hak_text_put(&text, "hakmem reads these variables of the environment once, at start:\n");
    for (int id = 0; id < HAK_OPTION_COUNT; id++) {
        const hak_option_row_t *row = &hak_option_rows[id];
        hak_text_put(&text, "  ");
        hak_options_put_env_name(&text, row);
        hak_text_put(&text, "=");
        hak_options_put_accepted(&text, row);
        hak_text_put(&text, "\n      default ");
        hak_options_put_value(&text, row, row->initial);
        hak_text_put(&text, ", now ");
        hak_options_put_value(&text, row, hak_option((hak_option_id_t)id));
        hak_text_put(&text, ", can be set ");
        hak_text_put(&text, row->settable == HAK_SETTABLE_BY_VARIANT ? "by the variant alone"
                                                                     : hak_options_when(row));
        hak_text_put(&text, "\n      ");
        hak_text_put(&text, row->help);
        hak_text_put(&text, "\n");
    }
    (void)hak_text_flush(&text);
}
