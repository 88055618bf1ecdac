#include "core/text/text.h"

#include <string.h>

#include "backends/os/os.h"

void hak_text_init(hak_text_t *text, int fd) {
    text->fd = fd;
    text->failed = false;
    text->length = 0;
}

bool hak_text_flush(hak_text_t *text) {
    if (text->length != 0 && text->fd >= 0 && !hak_os_write(text->fd, text->buffer, text->length)) {
        text->failed = true;
    }
    if (text->fd >= 0) {
        text->length = 0;
    }
    return !text->failed;
}

void hak_text_put_bytes(hak_text_t *text, const char *bytes, size_t count) {
    while (count != 0) {
        size_t room = sizeof text->buffer - text->length;
        if (room == 0) {
            if (text->fd < 0) {
                text->failed = true;
                return;
            }
            hak_text_flush(text);
            continue;
        }
        size_t n = count < room ? count : room;
        memcpy(text->buffer + text->length, bytes, n);
        text->length += n;
        bytes += n;
        count -= n;
    }
}

void hak_text_put(hak_text_t *text, const char *string) {
    hak_text_put_bytes(text, string, strlen(string));
}

static void hak_put_number(hak_text_t *text, uint64_t number, unsigned base) {
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    hak_text_put_bytes(text, digits + n, sizeof digits - n);
}

void hak_text_put_u64(hak_text_t *text, uint64_t number) { hak_put_number(text, number, 10); }

void hak_text_put_hex(hak_text_t *text, uint64_t number) {
    hak_text_put(text, "0x");
    hak_put_number(text, number, 16);
}
