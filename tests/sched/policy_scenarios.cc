/* boxes/policy: a reader finds the words of one snapshot, however many are published meanwhile, and
 * never an older snapshot after a newer one. */
#include "boxes/policy/policy.h"
#include "tests/sched/sched.h"

namespace {

/* Every word but the version says the number. */
void Publish(uint32_t number) {
    hak_policy_values_t values = {};
    for (uint32_t &cap : values.cap) {
        cap = number;
    }
    values.w_max_mid = number;
    values.dyn_bytes[0] = values.dyn_bytes[1] = number;
    hak_policy_publish_mt(&values);
}

uint32_t Read(uint32_t *version) {
    hak_policy_values_t values;
    hak_policy_read_mt(&values);
    for (uint32_t cap : values.cap) {
        HAK_SCHED_CHECK(cap == values.w_max_mid);
    }
    HAK_SCHED_CHECK(values.dyn_bytes[0] == values.w_max_mid);
    HAK_SCHED_CHECK(values.dyn_bytes[1] == values.w_max_mid);
    *version = values.version;
    return values.w_max_mid;
}

void PublishOne() { Publish(1); }

/* One publication beyond a whole round of places: the one that is read is written anew. */
void WriteOrRead(int self) {
    if (self == 0) {
        for (uint32_t number = 2; number <= 2 + HAK_POLICY_PLACES; number++) {
            Publish(number);
        }
        return;
    }
    uint32_t version;
    HAK_SCHED_CHECK(Read(&version) == version);
}
void LastIsInForce() {
    uint32_t version;
    HAK_SCHED_CHECK(Read(&version) == 2 + HAK_POLICY_PLACES && version == 2 + HAK_POLICY_PLACES);
}
hak_sched::Add policy_read({"policy_read", 2, {2, 2}, 500, PublishOne, WriteOrRead, LastIsInForce});

/* Two reads in a row. */
void WriteOrReadTwice(int self) {
    if (self == 0) {
        for (uint32_t number = 2; number <= 1 + HAK_POLICY_PLACES; number++) {
            Publish(number);
        }
        return;
    }
    uint32_t first, second;
    (void)Read(&first);
    (void)Read(&second);
    HAK_SCHED_CHECK(second >= first);
}
void Nothing() {}
hak_sched::Add
    policy_order({"policy_order", 2, {2, 1}, 500, PublishOne, WriteOrReadTwice, Nothing});

/* The first snapshot, by a reader who does not wait for it: its cap is the one that was set. */
void WriteOrLook(int self) {
    if (self == 0) {
        Publish(7);
        return;
    }
    uint32_t cap = hak_policy_cap(3);
    HAK_SCHED_CHECK(cap == 0 || cap == 7);
}
hak_sched::Add policy_first({"policy_first", 2, {2, 2}, 5, Nothing, WriteOrLook, Nothing});

/* Two who publish at a time: an option, and the learner. */
void PublishBoth(int self) { Publish(10 + static_cast<uint32_t>(self)); }
void OneIsLast() {
    uint32_t version, number = Read(&version);
    HAK_SCHED_CHECK(version == 2 && (number == 10 || number == 11));
}
hak_sched::Add policy_two({"policy_two", 2, {2, 1}, 10, Nothing, PublishBoth, OneIsLast});

} // namespace
