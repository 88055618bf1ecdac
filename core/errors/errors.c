#include "core/errors/errors.h"

#include <errno.h>
#include <stdlib.h>

#include "backends/os/os.h"
#include "base/atomic.h"
#include "core/options/options.h"
#include "core/text/text.h"

static hak_a64_t hak_errors;

static const char *const hak_kind_text[HAK_ERROR_COUNT] = {
    [HAK_ERROR_WILD] = "invalid pointer: not a block of hakmem",
    [HAK_ERROR_INTERIOR] = "invalid pointer: inside a block, not at its start",
    [HAK_ERROR_DOUBLE_FREE] = "double free: the block is free already",
    [HAK_ERROR_FREED] = "double free or invalid pointer: no block lives there any more",
    [HAK_ERROR_UNALLOCATED] = "invalid pointer: in a slab, at a place that was never handed out",
    [HAK_ERROR_CORRUPT] = "heap corruption: a free block or its slab was overwritten",
    [HAK_ERROR_SIZE] = "wrong size: the block cannot have been allocated with this size",
    [HAK_ERROR_ALIGNMENT] =
        "wrong alignment: the block cannot have been allocated with this alignment",
};

static void hak_put_head(hak_text_t *text) {
    hak_text_init(text, 2);
    hak_text_put(text, "hakmem[");
    hak_text_put_u64(text, hak_os_pid());
    hak_text_put(text, "]: ");
}

void hak_error_report(hak_error_t kind, const char *call, const void *address, const void *block,
                      uint64_t block_bytes) {
    hak_add_rlx(&hak_errors, 1); /* relaxed: a statistic */
    uint64_t action = hak_option(HAK_OPTION_ON_ERROR);
    if (action == HAK_ON_ERROR_IGNORE) {
        return;
    }
    int saved = errno;
    hak_text_t text;
    hak_put_head(&text);
    hak_text_put(&text, call);
    hak_text_put(&text, "(");
    hak_text_put_hex(&text, (uintptr_t)address);
    hak_text_put(&text, "): ");
    hak_text_put(&text, hak_kind_text[kind]);
    if (block_bytes != 0) {
        hak_text_put(&text, "; block ");
        hak_text_put_hex(&text, (uintptr_t)block);
        hak_text_put(&text, " of ");
        hak_text_put_u64(&text, block_bytes);
        hak_text_put(&text, " bytes");
    }
    hak_text_put(&text, "\n");
    (void)hak_text_flush(&text); /* stderr may be closed; there is nobody else to tell */
    if (action == HAK_ON_ERROR_ABORT) {
        abort();
    }
    errno = saved;
}

uint64_t hak_error_count(void) { return hak_load_rlx(&hak_errors); }

void hak_error_assert_failed(const char *condition, const char *file, int line) {
    hak_text_t text;
    hak_put_head(&text);
    hak_text_put(&text, "internal error: ");
    hak_text_put(&text, file);
    hak_text_put(&text, ":");
    hak_text_put_u64(&text, (uint64_t)line);
    hak_text_put(&text, ": ");
    hak_text_put(&text, condition);
    hak_text_put(&text, "\n");
    (void)hak_text_flush(&text);
    abort();
}
