/* A cell for each word of 8 bytes that a schedule touches: what it held before, and who accessed
 * which of its bytes when, by the clocks of memory.cc. Two accesses of which one writes and one is
 * plain must be ordered by them, as in C11; that finds a missing acquire or release however the
 * threads happen to run.
 */
#include <string.h>

#include <vector>

#include "tests/sched/runtime.h"

extern "C" const char __executable_start[]; /* by the linker */

namespace hak_sched {

namespace {

enum { CELLS = 1 << 15, MAX_PLAIN = 4000000 };
enum Use { PLAIN_READ, PLAIN_WRITE, ATOMIC_READ, ATOMIC_WRITE, USES };

/* Accesses to one set of bytes of a word; each set has a record of its own. */
struct Record {
    uint8_t mask;
    uint16_t at[USES][MAX_THREADS]; /* clock of the thread's last such access; 0: none */
    const void *pc[MAX_THREADS];
    Record *next;
};

struct Cell {
    uintptr_t word; /* address / 8 */
    uint64_t schedule;
    bool saved;
    uint64_t before;
    uint16_t history[2];
    Record *records;
};

Cell cells[CELLS];
std::vector<Cell *> touched;
std::vector<Record *> records;
size_t records_used;
uint64_t schedule;
uint64_t plain_accesses;
std::vector<uintptr_t> set_up; /* words that `setup` wrote in memory that may be cleared */

Cell &Find(uintptr_t word) {
    for (size_t i = word * 0x9e3779b97f4a7c15ull >> 49;; i = (i + 1) % CELLS) {
        Cell &cell = cells[i];
        if (cell.schedule != schedule) {
            if (touched.size() > CELLS / 2) {
                Fail("more words than the scheduler has room for");
            }
            cell = {word, schedule, false, 0, {0, 0}, nullptr};
            touched.push_back(&cell);
            return cell;
        }
        if (cell.word == word) {
            return cell;
        }
    }
}

Record &RecordOf(Cell &cell, uint8_t mask) {
    for (Record *record = cell.records; record != nullptr; record = record->next) {
        if (record->mask == mask) {
            return *record;
        }
    }
    if (records_used == records.size()) {
        records.push_back(new Record);
    }
    Record *record = records[records_used++];
    memset(record, 0, sizeof *record);
    record->mask = mask;
    record->next = cell.records;
    cell.records = record;
    return *record;
}

/* As addr2line takes it: from the start of the program. */
const void *Place(const void *pc) {
    return reinterpret_cast<const void *>((uintptr_t)pc - (uintptr_t)__executable_start);
}

const char *const use_names[] = {"plain read", "plain write", "atomic read", "atomic write"};

/* True if the two may not meet without order. */
bool Conflict(int a, int b) {
    bool writes = a == PLAIN_WRITE || a == ATOMIC_WRITE || b == PLAIN_WRITE || b == ATOMIC_WRITE;
    bool plain = a <= PLAIN_WRITE || b <= PLAIN_WRITE;
    return writes && plain;
}

void CheckRecord(const Record &record, int use, uintptr_t word, const void *pc) {
    const Clock &now = ClockOf(Self());
    for (int thread = 1; thread <= ThreadCount(); thread++) {
        for (int other = 0; thread != Self() && other < USES; other++) {
            if (record.at[other][thread] > now.at[thread] && Conflict(use, other)) {
                Fail("race on %p: %s of thread %d at %p, %s of thread %d at %p, without order",
                     (void *)(word * 8), use_names[use], Self() - 1, Place(pc), use_names[other],
                     thread - 1, Place(record.pc[thread]));
            }
        }
    }
}

void Access(uintptr_t word, uint8_t mask, int use, const void *pc) {
    Cell &cell = Find(word);
    bool write = use == PLAIN_WRITE || use == ATOMIC_WRITE;
    if (write && !cell.saved) {
        cell.saved = true;
        memcpy(&cell.before, reinterpret_cast<void *>(word * 8), 8);
    }
    if (CurrentPhase() != RUN) {
        return;
    }
    for (const Record *record = cell.records; record != nullptr; record = record->next) {
        if ((record->mask & mask) != 0) {
            CheckRecord(*record, use, word, pc);
        }
    }
    Record &record = RecordOf(cell, mask);
    record.at[use][Self()] = ClockOf(Self()).at[Self()];
    record.pc[Self()] = pc;
}

} // namespace

void BeginShadow() {
    schedule++;
    touched.clear();
    records_used = 0;
    plain_accesses = 0;
}

void RestoreShadow() {
    for (const Cell *cell : touched) {
        if (cell->saved) {
            memcpy(reinterpret_cast<void *>(cell->word * 8), &cell->before, 8);
        }
    }
}

void SaveWord(void *word) {
    if (schedule != 0 && !OnStack(word)) {
        Cell &cell = Find((uintptr_t)word / 8);
        if (!cell.saved) {
            cell.saved = true;
            memcpy(&cell.before, reinterpret_cast<void *>(cell.word * 8), 8);
        }
    }
}

void PlainAccess(const void *address, size_t bytes, bool write, const void *pc) {
    if (schedule == 0) {
        if (write && IsMappable(address)) {
            set_up.push_back((uintptr_t)address / 8);
        }
        return;
    }
    if (OnStack(address)) {
        return;
    }
    if (++plain_accesses > MAX_PLAIN) {
        Fail("livelock: a loop that has no atomic operation, at %p", Place(pc));
    }
    if (IsUnmapped(address)) {
        Fail("access to unmapped memory %p, by thread %d at %p", address, Self() - 1, Place(pc));
    }
    if (!write && CurrentPhase() != RUN) {
        return;
    }
    uintptr_t from = (uintptr_t)address, end = from + bytes;
    while (from < end) {
        uintptr_t word = from / 8, first = from % 8;
        uintptr_t last = end - word * 8 < 8 ? end - word * 8 : 8;
        auto mask = (uint8_t)((1u << last) - (1u << first));
        Access(word, mask, write ? PLAIN_WRITE : PLAIN_READ, pc);
        from = (word + 1) * 8;
    }
}

void AtomicAccess(const void *address, unsigned bytes, bool write, const void *pc) {
    if (schedule == 0 || CurrentPhase() != RUN) {
        return;
    }
    auto mask = (uint8_t)((bytes == 8 ? 0xffu : 0x0fu) << (uintptr_t)address % 8);
    Access((uintptr_t)address / 8, mask, write ? ATOMIC_WRITE : ATOMIC_READ, pc);
}

uint16_t &HistoryOf(const void *word) {
    return Find((uintptr_t)word / 8).history[(uintptr_t)word / 4 % 2];
}

void ClearRange(void *base, size_t bytes, bool forget, const void *pc) {
    uintptr_t low = (uintptr_t)base / 8, n = bytes / 8;
    for (uintptr_t word : set_up) {
        if (schedule != 0 && word - low < n) {
            (void)Find(word);
        }
    }
    for (Cell *cell : touched) {
        if (schedule != 0 && cell->word - low < n) {
            Access(cell->word, 0xff, PLAIN_WRITE, pc);
            memset(reinterpret_cast<void *>(cell->word * 8), 0, 8);
            cell->records = forget ? nullptr : cell->records;
        }
    }
}

} // namespace hak_sched
