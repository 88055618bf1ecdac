/* The functions of hakmem.h. The hit paths of hak_malloc and hak_free are the same inline code as
 * malloc and free. */
#include <errno.h>
#include <string.h>

#include "backends/os/os.h"
#include "base/atomic.h"
#include "base/attr.h"
#include "boxes/audit/audit.h"
#include "boxes/learn/learn_report.h"
#include "boxes/learn_log/learn_log_report.h"
#include "config/hak_config.h"
#include "core/options/options.h"
#include "front/api/stats_write.h"
#include "front/calls/calls.h"
#include "front/gate/gate.h"
#include "front/gate/gate_inl.h"
#include "include/hakmem.h"

void *hak_malloc(size_t size) { return hak_gate_malloc(size); }
void hak_free(void *block) { hak_gate_free(block); }
void *hak_calloc(size_t count, size_t size) { return hak_calls_calloc(count, size); }

void *hak_realloc(void *block, size_t size) {
    return hak_calls_realloc(block, size, "hak_realloc");
}

void *hak_reallocarray(void *block, size_t count, size_t size) {
    return hak_calls_reallocarray(block, count, size, "hak_reallocarray");
}

void hak_free_sized(void *block, size_t size) {
    hak_calls_free_sized(block, 0, size, "hak_free_sized");
}

void hak_free_aligned_sized(void *block, size_t alignment, size_t size) {
    hak_calls_free_sized(block, alignment, size, "hak_free_aligned_sized");
}

int hak_posix_memalign(void **out, size_t alignment, size_t size) {
    return hak_calls_posix_memalign(out, alignment, size);
}

void *hak_aligned_alloc(size_t alignment, size_t size) {
    return hak_calls_aligned_alloc(alignment, size);
}
void *hak_memalign(size_t alignment, size_t size) { return hak_calls_memalign(alignment, size); }
void *hak_valloc(size_t size) { return hak_calls_valloc(size); }
void *hak_pvalloc(size_t size) { return hak_calls_pvalloc(size); }

size_t hak_usable_size(const void *block) { return hak_gate_usable(block, "hak_usable_size"); }
size_t hak_good_size(size_t size) { return hak_gate_good_size(size); }
size_t hak_memalignment(const void *block) { return hak_calls_memalignment(block); }
bool hak_owns(const void *block) { return hak_gate_owns(block); }
int hak_trim(size_t keep_bytes) { return hak_gate_trim(keep_bytes); }
void hak_thread_flush(void) { hak_gate_thread_flush(); }
size_t hak_check(void) { return hak_gate_check_heap(); }

const char *hak_served_by(const void *block) { return hak_gate_served_by(block); }

int hak_audit(hak_audit_t *audit) {
    if (audit == NULL || audit->struct_bytes < sizeof *audit) {
        errno = EINVAL;
        return -1;
    }
    hak_audit_result_t result;
    hak_gate_audit(&result);
    audit->whole = hak_audit_is_whole(&result);
    audit->used_blocks = result.used;
    audit->live_blocks = result.live;
    audit->cached_blocks = result.cached;
    audit->batched_blocks = result.batched;
    audit->remote_blocks = result.remote;
    audit->misplaced_blocks = result.misplaced;
    return 0;
}

/* The name of the variant is known only to config, so the string is put together by the first call.
 * */
const char *hak_version(void) {
    enum { NOT_MADE, BEING_MADE, MADE };
    static char version[64] = HAKMEM_VERSION_STRING " (";
    static hak_a32_t state;
    uint32_t expected = NOT_MADE;
    if (hak_cas_acq(&state, &expected, BEING_MADE)) {
        size_t used = sizeof HAKMEM_VERSION_STRING " (" - 1;
        size_t name = strnlen(hak_config_variant, sizeof version - used - 2);
        memcpy(version + used, hak_config_variant, name);
        version[used + name] = ')';
        /* release: publishes the string. Pairs with the acquire below. */
        hak_store_rel(&state, MADE);
    }
    while (hak_load_acq(&state) != MADE) { /* acquire: pairs with the release above */
        hak_os_yield();
    }
    return version;
}

int hak_stats_get(hak_stats_t *stats) {
    if (stats == NULL || stats->struct_bytes < offsetof(hak_stats_t, pid) + sizeof stats->pid) {
        errno = EINVAL;
        return -1;
    }
    hak_stats_t all;
    hak_gate_stats(&all);
    all.struct_bytes = stats->struct_bytes;
    memcpy(stats, &all, all.struct_bytes < sizeof all ? all.struct_bytes : sizeof all);
    return 0;
}

int hak_stats_write(int fd, hak_stats_format_t format) {
    hak_stats_t stats = {.struct_bytes = sizeof stats};
    hak_gate_stats(&stats);
    return hak_stats_write_to(fd, format, &stats, hak_version(),
                              hak_cfg_learn ? hak_learn_report : hak_learn_log_report);
}

int hak_option_get(const char *name, char *value, size_t bytes) {
    return hak_options_get_text(name, value, bytes);
}

int hak_option_set(const char *name, const char *value) {
    if (hak_options_set_text(name, value) != 0) {
        return -1;
    }
    if (!hak_gate_options_changed()) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}
