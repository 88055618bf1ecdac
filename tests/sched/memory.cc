/* Atomic words under C11's rules, as an operational model: a word is the list of its writes in
 * modification order, each with a time stamp; a thread has a view, for each word the oldest write
 * that it may still see. A load may see any write from its view on. A store may be placed before
 * writes that its thread has not seen, as if it had been delayed; a read-modify-write stands right
 * behind the write that it read. A release stores the writer's view and clock with the write, an
 * acquire takes them over, a read-modify-write hands those of the write that it read on (release
 * sequence). Sequentially consistent operations share one more view, so they agree on an order;
 * they are no fences. Only their writes enter it: a processor may forward a weaker store to its
 * own thread's load before others see it, so such a load proves nothing about them. This is the
 * "promising" semantics without promises (Kang et al., POPL 2017): everything but a load that sees
 * a store which its own thread's later steps caused.
 */
#include <algorithm>
#include <unordered_map>
#include <vector>

#include <string.h>

#include "tests/sched/runtime.h"

namespace hak_sched {

namespace {

enum { MAX_WORDS = 256, GAP = 1 << 16 };

struct View {
    Clock clock;
    uint32_t at[MAX_WORDS];
};

struct Write {
    uint64_t value;
    uint32_t stamp;
    int thread;
    bool released; /* has a view */
    bool glued;    /* a read-modify-write: nothing may come between it and the one before */
    View view;
};

struct History {
    void *word;
    std::vector<Write> writes;
    size_t used; /* of `writes`; the rest is kept for its memory */
};

/* What is known of a word from all schedules so far. */
struct Use {
    unsigned threads;
    bool written, shared, learned;
};

View views[MAX_THREADS], sequential, ranges[MAX_RANGES];
bool left_ranges[MAX_RANGES]; /* in this schedule */
History histories[MAX_WORDS];
unsigned words; /* histories in use; the first stands for none */
std::unordered_map<const void *, Use> uses;
bool learned;

void Learn(const void *word, bool write) {
    Use &use = uses[word];
    use.threads |= 1u << Self();
    use.written |= write;
    if (!use.shared && use.written && (use.threads & (use.threads - 1)) != 0) {
        use.learned = learned = true;
    }
}

uint64_t ReadRaw(const void *word, unsigned bytes) {
    return bytes == 4 ? *static_cast<const uint32_t *>(word) : *static_cast<const uint64_t *>(word);
}

void WriteRaw(void *word, unsigned bytes, uint64_t value) {
    SaveWord(word);
    if (bytes == 4) {
        *static_cast<uint32_t *>(word) = (uint32_t)value;
    } else {
        *static_cast<uint64_t *>(word) = value;
    }
}

void Join(View &into, const View &from) {
    for (int i = 0; i < MAX_THREADS; i++) {
        into.clock.at[i] = std::max(into.clock.at[i], from.clock.at[i]);
    }
    for (unsigned i = 0; i < words; i++) {
        into.at[i] = std::max(into.at[i], from.at[i]);
    }
}

void Copy(View &into, const View &from) {
    into.clock = from.clock;
    memcpy(into.at, from.at, words * sizeof from.at[0]);
    /* Words that get a history later: nobody had seen more than their first content. */
    memset(into.at + words, 0, (MAX_WORDS - words) * sizeof from.at[0]);
}

bool Acquires(int order) {
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}
bool Releases(int order) {
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

/* The history of a word that is about to be written. */
History &Open(void *word, unsigned bytes) {
    uint16_t &slot = HistoryOf(word);
    if (slot == 0) {
        if (words == MAX_WORDS) {
            Fail("more atomic words than the scheduler has room for");
        }
        slot = (uint16_t)words++;
        History &history = histories[slot];
        history.word = word;
        history.used = 0;
        if (history.writes.empty()) {
            history.writes.resize(16);
        }
        Write &first = history.writes[history.used++];
        first.value = ReadRaw(word, bytes);
        first.stamp = 0;
        first.thread = MAIN;
        first.released = first.glued = false;
    }
    return histories[slot];
}

/* Index of the oldest write that the thread may see. */
size_t Oldest(const History &history, size_t slot, int order) {
    uint32_t seen = views[Self()].at[slot];
    if (order == __ATOMIC_SEQ_CST) {
        seen = std::max(seen, sequential.at[slot]);
    }
    size_t at = history.used - 1;
    while (history.writes[at].stamp > seen) {
        at--;
    }
    return at;
}

void See(size_t slot, const Write &write, int order) {
    View &mine = views[Self()];
    mine.at[slot] = std::max(mine.at[slot], write.stamp);
    if (Acquires(order) && write.released) {
        Join(mine, write.view);
    }
}

/* Makes room for a write behind index `at` and returns it. */
Write &Insert(History &history, size_t at) {
    if (history.used == history.writes.size()) {
        history.writes.resize(history.used * 2);
    }
    uint32_t before = history.writes[at].stamp;
    uint32_t stamp = before + GAP;
    if (at + 1 < history.used) {
        stamp = before + (history.writes[at + 1].stamp - before) / 2;
        if (stamp == before) {
            Fail("too many delayed stores to one word");
        }
        std::move_backward(history.writes.begin() + (long)at + 1,
                           history.writes.begin() + (long)history.used,
                           history.writes.begin() + (long)history.used + 1);
    }
    history.used++;
    Write &write = history.writes[at + 1];
    write.stamp = stamp;
    write.thread = Self();
    write.released = write.glued = false;
    return write;
}

/* Fills in what a release hands over. `read`: the write that a read-modify-write has read. */
void Publish(size_t slot, Write &write, int order, const Write *read) {
    View &mine = views[Self()];
    mine.at[slot] = write.stamp;
    if (order == __ATOMIC_SEQ_CST) {
        sequential.at[slot] = std::max(sequential.at[slot], write.stamp);
    }
    if (Releases(order)) {
        Copy(write.view, mine);
        write.released = true;
        mine.clock.at[Self()]++;
    }
    if (read != nullptr && read->released) {
        if (write.released) {
            Join(write.view, read->view);
        } else {
            Copy(write.view, read->view);
            write.released = true;
        }
    }
}

/* A read-modify-write may stand behind `at` if nobody else's does. */
bool MayFollow(const History &history, size_t at) {
    return at + 1 == history.used || !history.writes[at + 1].glued;
}

/* Picks what a read-modify-write reads, newest first. */
size_t PickRead(const History &history, size_t slot, const Change &change) {
    size_t list[UINT8_MAX];
    unsigned n = 0;
    size_t oldest = Oldest(history, slot, change.order);
    for (size_t at = history.used; at-- > oldest && n < UINT8_MAX;) {
        bool fails = change.expected != nullptr && history.writes[at].value != *change.expected;
        if (fails || MayFollow(history, at)) {
            list[n++] = at;
        }
    }
    return list[ChooseWeak(n, CHOOSE_VALUE)];
}

uint64_t Truncate(uint64_t value, unsigned bytes) { return bytes == 4 ? (uint32_t)value : value; }

bool ModifyAlone(void *word, unsigned bytes, const Change &change, uint64_t *seen) {
    *seen = ReadRaw(word, bytes);
    bool done = change.expected == nullptr || *seen == *change.expected;
    if (done) {
        WriteRaw(word, bytes, change.add ? *seen + change.value : change.value);
    }
    return done;
}

} // namespace

const Clock &ClockOf(int thread) { return views[thread].clock; }

bool IsShared(const void *word) {
    auto found = uses.find(word);
    return found != uses.end() && found->second.shared;
}

bool LearnedShared() {
    if (!learned) {
        return false;
    }
    for (auto &use : uses) {
        use.second.shared |= use.second.learned;
    }
    learned = false;
    return true;
}

void BeginMemory(int threads) {
    words = 1;
    memset(views, 0, sizeof views);
    memset(&sequential, 0, sizeof sequential);
    memset(left_ranges, 0, sizeof left_ranges);
    for (int i = 1; i <= threads; i++) {
        views[i].clock.at[i] = 1;
    }
}

uint64_t Load(const void *word, unsigned bytes, int order) {
    if (CurrentPhase() != RUN) {
        return ReadRaw(word, bytes);
    }
    Learn(word, false);
    size_t slot = HistoryOf(word);
    if (slot == 0) {
        return ReadRaw(word, bytes);
    }
    const History &history = histories[slot];
    size_t oldest = Oldest(history, slot, order);
    unsigned options = (unsigned)std::min<size_t>(history.used - oldest, UINT8_MAX);
    const Write &write = history.writes[history.used - 1 - ChooseWeak(options, CHOOSE_VALUE)];
    See(slot, write, order);
    return write.value;
}

void Store(void *word, unsigned bytes, uint64_t value, int order) {
    value = Truncate(value, bytes);
    if (CurrentPhase() != RUN) {
        WriteRaw(word, bytes, value);
        return;
    }
    Learn(word, true);
    History &history = Open(word, bytes);
    size_t slot = HistoryOf(word);
    size_t places[UINT8_MAX];
    unsigned n = 0;
    size_t oldest = Oldest(history, slot, order);
    for (size_t at = history.used; at-- > oldest && n < UINT8_MAX;) {
        if (MayFollow(history, at)) {
            places[n++] = at;
        }
    }
    Write &write = Insert(history, places[ChooseWeak(n, CHOOSE_PLACE)]);
    write.value = value;
    Publish(slot, write, order, nullptr);
    WriteRaw(word, bytes, history.writes[history.used - 1].value);
}

bool Modify(void *word, unsigned bytes, const Change &change, uint64_t *seen) {
    if (CurrentPhase() != RUN) {
        return ModifyAlone(word, bytes, change, seen);
    }
    Learn(word, true);
    History &history = Open(word, bytes);
    size_t slot = HistoryOf(word);
    size_t at = PickRead(history, slot, change);
    *seen = history.writes[at].value;
    bool differs = change.expected != nullptr && *seen != *change.expected;
    if (differs || (change.weak && ChooseWeak(2, CHOOSE_FAILURE) != 0)) {
        See(slot, history.writes[at],
            change.order == __ATOMIC_SEQ_CST ? __ATOMIC_SEQ_CST : __ATOMIC_RELAXED);
        return false;
    }
    See(slot, history.writes[at], change.order);
    Write &write = Insert(history, at);
    write.glued = true;
    write.value = Truncate(change.add ? *seen + change.value : change.value, bytes);
    Publish(slot, write, change.order, &history.writes[at]);
    WriteRaw(word, bytes, history.writes[history.used - 1].value);
    return true;
}

void LeaveRange(size_t range) {
    if (CurrentPhase() == RUN) {
        Copy(ranges[range], views[Self()]);
        views[Self()].clock.at[Self()]++;
        left_ranges[range] = true;
    }
}

void EnterRange(size_t range) {
    if (CurrentPhase() == RUN && left_ranges[range]) {
        Join(views[Self()], ranges[range]);
    }
}

void Barrier() {
    View all = sequential;
    for (int i = 1; i <= ThreadCount(); i++) {
        for (unsigned word = 0; word < words; word++) {
            all.at[word] = std::max(all.at[word], views[i].at[word]);
        }
    }
    sequential = all;
    for (int i = 1; i <= ThreadCount(); i++) {
        /* Clocks stay: a barrier is not an order of plain accesses that C11 knows. */
        memcpy(views[i].at, all.at, sizeof all.at);
    }
}

} // namespace hak_sched
