#include "boxes/learn_log/learn_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "boxes/learner/learner_text.h"
#include "core/lock/lock.h"
#include "core/options/options.h"
#include "core/text/text.h"

static struct {
    hak_lock_t lock;
    uint64_t total;
} hak_log = {.lock = HAK_LOCK_INIT(HAK_RANK_LEARN_LOG)};
/* Under the lock too. Not beside it: locks are initialized data, a fork writes to each of them, and
 * the fewer pages they lie on, the fewer are copied. */
static hak_change_t hak_log_change[HAK_LEARN_LOG_MOST];

static int hak_as_descriptor(const char *text) {
    int fd = 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || fd > INT16_MAX) {
            return -1;
        }
        fd = 10 * fd + (*text - '0');
    }
    return fd;
}

/* What HAKMEM_LEARN_LOG names: a descriptor, or -1. `*ours`: to be closed. */
static int hak_open(bool *ours) {
    const char *text = hak_options_learn_log();
    int fd = hak_as_descriptor(text);
    *ours = fd < 0;
    if (fd >= 0) {
        return fcntl(fd, F_GETFD) == -1 ? -1 : fd;
    }
    return open(text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
}

/* One line, or none if `change` is NULL. False if there is nowhere to write to. */
static bool hak_write(const hak_change_t *change) {
    int saved = errno, cancel;
    bool ours;
    /* malloc, which comes here, is no place where a thread may be cancelled */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    int fd = hak_open(&ours);
    if (fd >= 0 && change != NULL) {
        hak_text_t text;
        hak_text_init(&text, fd);
        hak_learner_put_change(&text, change);
        hak_text_put(&text, "\n");
        (void)hak_text_flush(&text); /* a full disk must not end the learner */
    }
    if (fd >= 0 && ours) {
        (void)close(fd);
    }
    (void)pthread_setcancelstate(cancel, &cancel);
    errno = saved;
    return fd >= 0;
}

void hak_learn_log_check_mt(void) {
    if (hak_option(HAK_OPTION_LEARN_LOG) != 0 && !hak_write(NULL)) {
        hak_options_refuse(HAK_OPTION_LEARN_LOG, 0, "cannot be written to");
    }
}

void hak_learn_log_add_mt(const hak_change_t *change) {
    hak_lock_take(&hak_log.lock);
    hak_log_change[hak_log.total++ % HAK_LEARN_LOG_MOST] = *change;
    hak_lock_drop(&hak_log.lock);
    if (hak_option(HAK_OPTION_LEARN_LOG) != 0) {
        (void)hak_write(change);
    }
}

unsigned hak_learn_log_read_mt(hak_change_t *out, unsigned most, uint64_t *total) {
    hak_lock_take(&hak_log.lock);
    uint64_t kept = hak_log.total < HAK_LEARN_LOG_MOST ? hak_log.total : HAK_LEARN_LOG_MOST;
    unsigned count = kept < most ? (unsigned)kept : most;
    for (unsigned i = 0; i < count; i++) {
        out[i] = hak_log_change[(hak_log.total - count + i) % HAK_LEARN_LOG_MOST];
    }
    *total = hak_log.total;
    hak_lock_drop(&hak_log.lock);
    return count;
}

/* The ring is whole in the child too: it is written under the lock alone. */
void hak_learn_log_fork_take(void) { hak_lock_take(&hak_log.lock); }
void hak_learn_log_fork_drop(void) { hak_lock_drop(&hak_log.lock); }
