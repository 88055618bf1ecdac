/* Within a list the newest comes first: its descriptor is warm, and the others may drain. */
#include "boxes/ss_bins/ss_bins.h"

#include "base/bits.h"
#include "core/errors/errors.h"

void hak_ss_bins_put_locked(hak_ss_bins_t *bins, hak_superslab_t *ss, unsigned room, bool warm) {
    hak_debug_assert(room < HAK_SS_BINS);
    hak_superslab_t **list = &bins->list[warm][room];
    ss->bin = (uint8_t)(room + (warm ? HAK_SS_BINS : 0));
    ss->prev = NULL;
    ss->next = *list;
    if (*list != NULL) {
        (*list)->prev = ss;
    }
    *list = ss;
    bins->mask[warm] |= 1ull << room;
}

void hak_ss_bins_remove_locked(hak_ss_bins_t *bins, hak_superslab_t *ss) {
    unsigned warm = ss->bin >= HAK_SS_BINS;
    unsigned room = ss->bin - (warm ? HAK_SS_BINS : 0);
    hak_superslab_t **list = &bins->list[warm][room];
    hak_debug_assert(ss->prev != NULL || *list == ss);
    if (ss->prev != NULL) {
        ss->prev->next = ss->next;
    } else {
        *list = ss->next;
    }
    if (ss->next != NULL) {
        ss->next->prev = ss->prev;
    }
    if (*list == NULL) {
        bins->mask[warm] &= ~(1ull << room);
    }
}

hak_superslab_t *hak_ss_bins_find_locked(const hak_ss_bins_t *bins, unsigned room) {
    for (int warm = 1; warm >= 0; warm--) {
        uint64_t lists = bins->mask[warm] >> room << room;
        if (lists != 0) {
            return bins->list[warm][hak_lowest_bit(lists)];
        }
    }
    return NULL;
}

hak_superslab_t *hak_ss_bins_find_warm_locked(const hak_ss_bins_t *bins, bool fullest) {
    uint64_t lists = bins->mask[1];
    return lists == 0 ? NULL
                      : bins->list[1][fullest ? hak_lowest_bit(lists) : hak_log2_floor(lists)];
}

size_t hak_ss_bins_check_locked(const hak_ss_bins_t *bins,
                                size_t (*visit)(const hak_superslab_t *ss, unsigned room, bool warm,
                                                void *context),
                                void *context) {
    size_t faults = 0;
    for (unsigned at = 0; at < 2 * HAK_SS_BINS; at++) {
        unsigned warm = at / HAK_SS_BINS, room = at % HAK_SS_BINS;
        const hak_superslab_t *first = bins->list[warm][room];
        faults += (first != NULL) != (bins->mask[warm] >> room & 1u);
        for (const hak_superslab_t *ss = first; ss != NULL; ss = ss->next) {
            bool linked = ss->bin == at && (ss->prev == NULL ? ss == first : ss->prev->next == ss);
            if (!linked) {
                faults++;
                break; /* the list may have no end */
            }
            faults += visit == NULL ? 0 : visit(ss, room, warm != 0, context);
        }
    }
    return faults;
}
