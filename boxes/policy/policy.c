/* Why acquire loads and release stores of each word, and no fences: a reader that sees a new word
 * also sees the odd sequence number that was stored before it, so its second look at the number
 * differs from the first. A reader whose first look finds the even number sees at least the words
 * stored before that.
 */
#include "boxes/policy/policy.h"

#include <stddef.h>
#include <string.h>

#include "base/attr.h"
#include "core/lock/lock.h"

hak_static_assert(offsetof(hak_policy_values_t, cap) == sizeof(uint32_t),
                  "hak_policy_cap knows the place of the caps");

hak_aptr_t hak_policy_current;

static struct {
    hak_lock_t lock;
    uint32_t version;
    hak_policy_place_t place[HAK_POLICY_PLACES];
} hak_policy = {.lock = HAK_LOCK_INIT(HAK_RANK_POLICY)};

static void hak_write_locked(hak_policy_place_t *place, const uint32_t *words) {
    uint32_t sequence = hak_load_rlx(&place->sequence); /* relaxed: under the lock */
    hak_store_rlx(&place->sequence, sequence + 1);      /* relaxed: ordered by the next stores */
    for (unsigned i = 0; i < HAK_POLICY_WORDS; i++) {
        hak_store_rel(&place->word[i], words[i]); /* pairs with the acquire in hak_try_read */
    }
    hak_store_rel(&place->sequence, sequence + 2); /* pairs with the first look there */
}

void hak_policy_publish_mt(const hak_policy_values_t *values) {
    uint32_t words[HAK_POLICY_WORDS];
    hak_lock_take(&hak_policy.lock);
    hak_policy_values_t next = *values;
    next.version = ++hak_policy.version;
    memcpy(words, &next, sizeof words);
    hak_policy_place_t *place = &hak_policy.place[next.version % HAK_POLICY_PLACES];
    hak_write_locked(place, words);
    /* pairs with the acquires of the readers */
    hak_store_rel(&hak_policy_current, (uintptr_t)place);
    hak_lock_drop(&hak_policy.lock);
}

static bool hak_try_read(const hak_policy_place_t *place, uint32_t *words) {
    uint32_t before = hak_load_acq(&place->sequence); /* pairs with the last store of a write */
    for (unsigned i = 0; i < HAK_POLICY_WORDS; i++) {
        words[i] = hak_load_acq(&place->word[i]); /* pairs with hak_write_locked */
    }
    /* relaxed: the acquires above put it after the words */
    return before % 2 == 0 && hak_load_rlx(&place->sequence) == before;
}

void hak_policy_read_mt(hak_policy_values_t *out) {
    uint32_t words[HAK_POLICY_WORDS];
    const hak_policy_place_t *place;
    do {
        /* pairs with the release in hak_policy_publish_mt */
        place = (const hak_policy_place_t *)hak_load_acq(&hak_policy_current);
        if (place == NULL) {
            *out = (hak_policy_values_t){0};
            return;
        }
        /* The second look at the pointer keeps a reader from a snapshot that is written in this
         * place and not in force yet: its next read could then find an older one. relaxed: the
         * acquires of the words put it after them. */
    } while (!hak_try_read(place, words) || hak_load_rlx(&hak_policy_current) != (uintptr_t)place);
    memcpy(out, words, sizeof *out);
}

void hak_policy_fork_take(void) { hak_lock_take(&hak_policy.lock); }
void hak_policy_fork_drop(void) { hak_lock_drop(&hak_policy.lock); }
