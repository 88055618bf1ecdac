/* text: builds lines of text in a fixed buffer and writes them to a file descriptor, without
 * allocating and without stdio, which may allocate and take locks.
 *
 * Owns       nothing; the caller owns the buffer.
 * Threads    one writer per hak_text_t.
 * Layer      2 (core). Uses backends/os.
 */
#ifndef HAK_CORE_TEXT_TEXT_H_
#define HAK_CORE_TEXT_TEXT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int fd; /* where a full buffer goes; -1: nowhere, what does not fit is cut off */
    /* a write failed, or text was cut off; errno holds the reason of a failed write */
    bool failed;
    size_t length; /* bytes in `buffer` */
    char buffer[1024];
} hak_text_t;

void hak_text_init(hak_text_t *text, int fd);
void hak_text_put(hak_text_t *text, const char *string);
void hak_text_put_bytes(hak_text_t *text, const char *bytes, size_t count);
void hak_text_put_u64(hak_text_t *text, uint64_t number);
/* 0x and hexadecimal digits. */
void hak_text_put_hex(hak_text_t *text, uint64_t number);
/* Writes what is buffered. Returns false if this or an earlier write failed. */
bool hak_text_flush(hak_text_t *text);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_TEXT_TEXT_H_ */
