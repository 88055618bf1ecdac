/* Why acquire loads and release stores of each word, and no fences: a reader that sees a new word
 * also sees the odd sequence number that was stored before it, so its second look at the number
 * differs from the first. A reader whose first look finds the snapshot's own number sees at least
 * the words stored before that.
 *
 * The word that names the snapshot needs no order. Who sees it early finds another number in the
 * place and looks again; who has read a snapshot cannot see an older name afterwards.
 */
#include "boxes/policy/policy.h"

#include <stddef.h>
#include <string.h>

#include "base/attr.h"
#include "core/lock/lock.h"

hak_static_assert(offsetof(hak_policy_values_t, cap) == sizeof(uint32_t),
                  "hak_policy_cap knows the place of the caps");

hak_a32_t hak_policy_current;
hak_policy_place_t hak_policy_place[HAK_POLICY_PLACES];
static hak_lock_t hak_policy_lock = HAK_LOCK_INIT(HAK_RANK_POLICY);

static void hak_write_locked(uint32_t number, const uint32_t *words) {
    hak_policy_place_t *place = &hak_policy_place[number % HAK_POLICY_PLACES];
    hak_store_rlx(&place->sequence, 2 * number + 1); /* relaxed: ordered by the next stores */
    for (unsigned i = 0; i < HAK_POLICY_WORDS; i++) {
        hak_store_rel(&place->word[i], words[i]); /* pairs with the acquire in hak_try_read */
    }
    hak_store_rel(&place->sequence, 2 * number); /* pairs with the first look there */
}

void hak_policy_publish_mt(const hak_policy_values_t *values) {
    uint32_t words[HAK_POLICY_WORDS];
    hak_policy_values_t next = *values;
    hak_lock_take(&hak_policy_lock);
    next.version = hak_load_rlx(&hak_policy_current) + 1; /* relaxed: under the lock */
    next.version += next.version == 0;
    memcpy(words, &next, sizeof words);
    hak_write_locked(next.version, words);
    hak_store_rlx(&hak_policy_current, next.version); /* relaxed: see above */
    hak_lock_drop(&hak_policy_lock);
}

static bool hak_try_read(uint32_t number, uint32_t *words) {
    const hak_policy_place_t *place = &hak_policy_place[number % HAK_POLICY_PLACES];
    uint32_t before = hak_load_acq(&place->sequence); /* pairs with the last store of a write */
    for (unsigned i = 0; i < HAK_POLICY_WORDS; i++) {
        words[i] = hak_load_acq(&place->word[i]); /* pairs with hak_write_locked */
    }
    /* relaxed: the acquires above put it after the words */
    return before == 2 * number && hak_load_rlx(&place->sequence) == before;
}

void hak_policy_read_mt(hak_policy_values_t *out) {
    uint32_t words[HAK_POLICY_WORDS];
    uint32_t number;
    do {
        number = hak_load_rlx(&hak_policy_current); /* relaxed: see above */
        if (number == 0) {
            *out = (hak_policy_values_t){0};
            return;
        }
    } while (!hak_try_read(number, words));
    memcpy(out, words, sizeof *out);
}

void hak_policy_fork_take(void) { hak_lock_take(&hak_policy_lock); }
void hak_policy_fork_drop(void) { hak_lock_drop(&hak_policy_lock); }
