/* What instrumented code calls: base/atomic_hooks.h for atomic operations, and for plain accesses
 * the functions that the compiler names under -fsanitize=thread.
 */
#include "tests/sched/runtime.h"

namespace hak_sched {

namespace {

const hak_site_t *last_site[MAX_THREADS];

/* Before each operation: others may go first, then it is on record. */
void Begin(const void *word, unsigned bytes, const hak_site_t *site, const void *pc) {
    Point(word);
    if (CurrentPhase() == RUN) {
        last_site[Self()] = site;
        NoteReached(site->group, 1);
    }
    AtomicAccess(word, bytes, site->kind == HAK_SITE_STORE, pc);
}

void TraceOperation(const char *name, const hak_site_t *site, uint64_t seen, uint64_t now) {
    if (Tracing() && CurrentPhase() == RUN) {
        Trace("%s:%u %s: %s %s %s: saw %#llx, now %#llx", site->file, site->line, site->function,
              name, site->word, OrderName(MutatedOrder(site)), (unsigned long long)seen,
              (unsigned long long)now);
    }
}

/* The part of an order that a load or a store alone can have. */
int LoadOrder(int order) {
    return order == __ATOMIC_RELEASE   ? __ATOMIC_RELAXED
           : order == __ATOMIC_ACQ_REL ? __ATOMIC_ACQUIRE
                                       : order;
}
int StoreOrder(int order) {
    return order == __ATOMIC_ACQUIRE   ? __ATOMIC_RELAXED
           : order == __ATOMIC_ACQ_REL ? __ATOMIC_RELEASE
                                       : order;
}

/* A mutant: a read-modify-write in two steps. */
bool ModifyInTwo(void *word, unsigned bytes, const Change &change, uint64_t *seen) {
    *seen = Load(word, bytes, LoadOrder(change.order));
    if (change.expected != nullptr && *seen != *change.expected) {
        return false;
    }
    Point(word);
    Store(word, bytes, change.add ? *seen + change.value : change.value, StoreOrder(change.order));
    return true;
}

bool ModifyAt(void *word, unsigned bytes, Change change, uint64_t *seen, const char *name,
              const hak_site_t *site, const void *pc) {
    Begin(word, bytes, site, pc);
    change.order = MutatedOrder(site);
    bool done = IsSplit(site) && CurrentPhase() == RUN ? ModifyInTwo(word, bytes, change, seen)
                                                       : Modify(word, bytes, change, seen);
    if (done) {
        AtomicAccess(word, bytes, true, pc);
    }
    TraceOperation(name, site, *seen, done ? change.value : *seen);
    return done;
}

} // namespace

const hak_site_t *LastSite() { return CurrentPhase() == RUN ? last_site[Self()] : nullptr; }

} // namespace hak_sched

using namespace hak_sched;

#define PC __builtin_return_address(0)

extern "C" {

uint64_t hak_hook_load(const void *word, unsigned bytes, hak_site_t *site) {
    Begin(word, bytes, site, PC);
    uint64_t value = Load(word, bytes, MutatedOrder(site));
    TraceOperation("load", site, value, value);
    return value;
}

void hak_hook_store(void *word, unsigned bytes, uint64_t value, hak_site_t *site) {
    Begin(word, bytes, site, PC);
    Store(word, bytes, value, MutatedOrder(site));
    TraceOperation("store", site, 0, value);
}

uint64_t hak_hook_swap(void *word, unsigned bytes, uint64_t value, hak_site_t *site) {
    uint64_t seen;
    ModifyAt(word, bytes, {value, false, nullptr, false, 0}, &seen, "swap", site, PC);
    return seen;
}

uint64_t hak_hook_add(void *word, unsigned bytes, uint64_t value, hak_site_t *site) {
    uint64_t seen;
    ModifyAt(word, bytes, {value, true, nullptr, false, 0}, &seen, "add", site, PC);
    return seen;
}

bool hak_hook_cas(void *word, unsigned bytes, uint64_t *expected, uint64_t value, bool weak,
                  hak_site_t *site) {
    uint64_t wanted = *expected;
    return ModifyAt(word, bytes, {value, false, &wanted, weak, 0}, expected, "cas", site, PC);
}

void __tsan_init(void) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}

void __tsan_atomic_signal_fence(int) {}
/* What C++ itself needs: guards of local statics, counts of references. */
uint8_t __tsan_atomic8_load(const volatile uint8_t *word, int) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
uint32_t __tsan_atomic32_fetch_add(volatile uint32_t *word, uint32_t value, int) {
    return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}

#define PLAIN(bytes)                                                                               \
    void __tsan_read##bytes(void *address) { PlainAccess(address, bytes, false, PC); }             \
    void __tsan_write##bytes(void *address) { PlainAccess(address, bytes, true, PC); }             \
    void __tsan_unaligned_read##bytes(void *address) { PlainAccess(address, bytes, false, PC); }   \
    void __tsan_unaligned_write##bytes(void *address) { PlainAccess(address, bytes, true, PC); }   \
    void __tsan_volatile_read##bytes(void *address) { PlainAccess(address, bytes, false, PC); }    \
    void __tsan_volatile_write##bytes(void *address) { PlainAccess(address, bytes, true, PC); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *address, size_t bytes) { PlainAccess(address, bytes, false, PC); }
void __tsan_write_range(void *address, size_t bytes) { PlainAccess(address, bytes, true, PC); }
void __tsan_vptr_update(void *address, void *) { PlainAccess(address, 8, true, PC); }
void __tsan_vptr_read(void *address) { PlainAccess(address, 8, false, PC); }

} // extern "C"
