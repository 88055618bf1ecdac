#include "tools/learner_sim/model.h"

#include <string.h>

enum { RING = 32, BUNDLE_MOST = 16, PAGE_BYTES = 65536, LEAST = 1024, MOST = 32768 };

void model_init(model_t *model) {
    *model = (model_t){.policy = {0}};
    for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
        model->totals.class_bytes[ci] = 2048u << ci;
    }
}

void model_set(model_t *model, const hak_policy_values_t *policy) {
    model->policy = *policy;
    for (unsigned which = 0; which < HAK_POLICY_DYN; which++) {
        model->totals.class_bytes[HAK_POLICY_FIXED + which] = policy->dyn_bytes[which];
    }
}

/* The smallest class that holds `size`; HAK_POLICY_CLASSES if W_MAX refuses that of a power of two,
 * as core/dyn_class does. A free finds the class of its time only if nothing changed since, which
 * counts cannot know: the model is right on average. */
static unsigned class_of(const model_t *model, uint32_t size) {
    unsigned best = HAK_POLICY_CLASSES;
    uint32_t least = UINT32_MAX;
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        uint32_t bytes = model->totals.class_bytes[ci];
        bool fits = bytes >= size && bytes < least;
        if (fits &&
            (ci >= HAK_POLICY_FIXED || hak_policy_accepts(model->policy.w_max_mid, bytes, size))) {
            best = ci;
            least = bytes;
        }
    }
    return best;
}

uint32_t model_pages(const model_t *model, unsigned ci) {
    uint32_t bytes = model->totals.class_bytes[ci];
    uint64_t blocks = bytes == 0 ? 1 : PAGE_BYTES / bytes;
    return (uint32_t)((model->at[ci].carved + blocks - 1) / blocks);
}

static uint64_t least_of(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The ring is empty: as hak_ration in boxes/pool_cache. */
static void miss(model_t *model, unsigned ci) {
    model_class_t *at = &model->at[ci];
    uint32_t pages = model_pages(model, ci), cap = model->policy.cap[ci];
    uint64_t page_blocks = PAGE_BYTES / model->totals.class_bytes[ci];
    uint64_t batch = least_of(page_blocks, BUNDLE_MOST), blocks = 1;
    if (cap != 0) {
        uint32_t slack = pages < cap ? cap - pages : 0;
        blocks = least_of(hak_policy_bundle(slack, at->missed++), BUNDLE_MOST);
    }
    if (at->shared != 0) {
        blocks = least_of(blocks < batch ? batch : blocks, at->shared);
        at->shared -= blocks;
    } else {
        blocks = least_of(blocks, page_blocks);
        at->carved += blocks;
    }
    at->ring = blocks - 1;
    at->shared_least = least_of(at->shared_least, at->shared);
}

static void count_request(model_t *model, unsigned ci, uint32_t size) {
    hak_learner_totals_t *t = &model->totals;
    unsigned bin = (size - 1) / HAK_SIZE_HIST_GRAIN;
    t->sizes.count[bin]++;
    t->sizes.most[bin] = t->sizes.most[bin] < size ? size : t->sizes.most[bin];
    if (ci == HAK_POLICY_CLASSES) {
        t->ace.count[HAK_ACE_L1_FALLBACK]++;
        t->ace.waste_bytes += size / 16; /* eight classes to a doubling: half of an eighth */
        return;
    }
    bool hit = model->at[ci].ring != 0;
    t->hits[ci] += hit;
    t->misses[ci] += !hit;
    t->ace.count[hit ? HAK_ACE_MID_HIT : HAK_ACE_MID_MISS]++;
    t->ace.waste_bytes += t->class_bytes[ci] - size;
}

void model_play(model_t *model, bool alloc, uint32_t size) {
    if (size <= LEAST || size > MOST) {
        return; /* not the pool's */
    }
    unsigned ci = class_of(model, size);
    if (alloc) {
        count_request(model, ci, size);
    }
    if (ci == HAK_POLICY_CLASSES) {
        return;
    }
    model_class_t *at = &model->at[ci];
    if (!alloc) {
        bool none = at->ring + at->shared >= at->carved; /* allocated in another class */
        at->shared += !none && at->ring == RING;
        at->ring += !none && at->ring < RING;
    } else if (at->ring != 0) {
        at->ring--;
    } else {
        miss(model, ci);
    }
}

void model_end_window(model_t *model, uint64_t now_ms) {
    model->totals.now_ms = now_ms;
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        model_class_t *at = &model->at[ci];
        uint32_t bytes = model->totals.class_bytes[ci];
        uint64_t blocks = bytes == 0 ? 1 : PAGE_BYTES / bytes;
        uint64_t gone = least_of(at->shared_least, at->shared) / blocks * blocks;
        at->carved -= gone;
        at->shared -= gone;
        at->shared_least = at->shared;
    }
}

void model_begin_window(model_t *model) {
    memset(&model->totals.sizes, 0, sizeof model->totals.sizes);
}
