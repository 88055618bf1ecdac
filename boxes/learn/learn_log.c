/* The last decisions in a ring, and each as a line where HAKMEM_LEARN_LOG says. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "boxes/ace/ace.h"
#include "boxes/learn/learn_internal.h"
#include "boxes/learner/learner_text.h"
#include "boxes/policy/policy.h"
#include "boxes/size_hist/size_hist.h"
#include "core/lock/lock.h"
#include "core/options/options.h"
#include "include/hakmem.h"

static struct {
    hak_lock_t lock;
    uint64_t total;
    hak_change_t change[HAK_LEARN_LOG_MOST];
} hak_log = {.lock = HAK_LOCK_INIT(HAK_RANK_LEARN_LOG)};

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

int hak_learn_log_open(bool *ours) {
    const char *text = hak_options_learn_log();
    *ours = false;
    if (hak_option(HAK_OPTION_LEARN_LOG) == 0) {
        return -1;
    }
    int fd = hak_as_descriptor(text);
    if (fd >= 0) {
        fd = fcntl(fd, F_GETFD) == -1 ? -1 : fd;
    } else {
        fd = open(text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
        *ours = fd >= 0;
    }
    if (fd < 0) {
        hak_options_refuse(HAK_OPTION_LEARN_LOG, 0, "cannot be written to");
    }
    return fd;
}

void hak_learn_log_add(int fd, const hak_change_t *change) {
    hak_lock_take(&hak_log.lock);
    hak_log.change[hak_log.total++ % HAK_LEARN_LOG_MOST] = *change;
    hak_lock_drop(&hak_log.lock);
    if (fd >= 0) {
        hak_text_t text;
        hak_text_init(&text, fd);
        hak_learner_put_change(&text, change);
        hak_text_put(&text, "\n");
        (void)hak_text_flush(&text); /* a full disk must not end the learner */
    }
}

unsigned hak_learn_log_mt(hak_change_t *out, unsigned most, uint64_t *total) {
    hak_lock_take(&hak_log.lock);
    uint64_t kept = hak_log.total < HAK_LEARN_LOG_MOST ? hak_log.total : HAK_LEARN_LOG_MOST;
    unsigned count = kept < most ? (unsigned)kept : most;
    for (unsigned i = 0; i < count; i++) {
        out[i] = hak_log.change[(hak_log.total - count + i) % HAK_LEARN_LOG_MOST];
    }
    *total = hak_log.total;
    hak_lock_drop(&hak_log.lock);
    return count;
}

void hak_learn_log_fork_take(void) { hak_lock_take(&hak_log.lock); }
void hak_learn_log_fork_drop(bool in_child) {
    (void)in_child; /* the ring is whole: it is written under the lock alone */
    hak_lock_drop(&hak_log.lock);
}

static uint64_t hak_changes(hak_change_kind_t kind) {
    return hak_load_rlx(&hak_learn_count.changes[kind]); /* relaxed: a statistic */
}

void hak_learn_counters(struct hak_stats *out) {
    hak_policy_values_t policy;
    hak_ace_totals_t ace;
    hak_policy_read_mt(&policy);
    hak_ace_read(&ace);
    /* relaxed, both: statistics */
    out->learn_windows = hak_load_rlx(&hak_learn_count.windows);
    out->learn_quiet_windows = hak_load_rlx(&hak_learn_count.quiet_windows);
    out->learn_cap_raises = hak_changes(HAK_CHANGE_CAP_RAISE);
    out->learn_cap_cuts = hak_changes(HAK_CHANGE_CAP_CUT);
    out->learn_budget_cuts = hak_changes(HAK_CHANGE_BUDGET_CUT);
    out->learn_canary_starts = hak_changes(HAK_CHANGE_W_MAX_START);
    out->learn_canary_adopts = hak_changes(HAK_CHANGE_W_MAX_ADOPT);
    out->learn_canary_reverts = hak_changes(HAK_CHANGE_W_MAX_REVERT);
    out->learn_w_max_sets = hak_changes(HAK_CHANGE_W_MAX_SET);
    out->learn_dyn_sets = hak_changes(HAK_CHANGE_DYN);
    out->learn_dyn_refusals = hak_load_rlx(&hak_learn_count.refusals); /* relaxed: as above */
    out->learn_policy_version = policy.version;
    out->learn_w_max_percent = policy.w_max_mid;
    out->learn_cap_two_kib = policy.cap[0];
    out->learn_cap_four_kib = policy.cap[1];
    out->learn_cap_eight_kib = policy.cap[2];
    out->learn_cap_sixteen_kib = policy.cap[3];
    out->learn_cap_thirtytwo_kib = policy.cap[4];
    out->learn_sampled = hak_size_hist_total();
    out->ace_l1_fallbacks = ace.count[HAK_ACE_L1_FALLBACK];
    out->ace_waste_bytes = ace.waste_bytes;
}
