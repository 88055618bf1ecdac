/* runtime: what the parts of the scheduler share.
 *
 *   explore.cc  goes through all choices, one schedule after another
 *   threads.cc  logical threads and whose turn it is
 *   memory.cc   atomic words: which values a load may see
 *   shadow.cc   plain words: who may touch them, and what they held before the schedule
 *   kernel.cc   backends/os as the boxes see it
 *   hooks.cc    what instrumented code calls
 *   mutants.cc  the list of sites and the one fault that is switched on
 */
#ifndef HAK_TESTS_SCHED_RUNTIME_H_
#define HAK_TESTS_SCHED_RUNTIME_H_

#include <stddef.h>
#include <stdint.h>

#include "base/atomic_hooks.h"
#include "tests/sched/sched.h"

namespace hak_sched {

enum { MAIN, MAX_THREADS = 5 }; /* main is the thread that runs `setup` and `after` */
enum { MAX_CHOICES = 1 << 14, MAX_SITES = 2048 };

/* explore.cc: picks one of `options`, of which 0 is the plainest. */
enum ChoiceKind : uint8_t {
    CHOOSE_THREAD,
    CHOOSE_VALUE,
    CHOOSE_PLACE,
    CHOOSE_FAILURE,
    CHOOSE_WAKE
};
unsigned Choose(unsigned options, ChoiceKind kind);
/* Like Choose, but anything but 0 counts as one weak step, of which there are few. */
unsigned ChooseWeak(unsigned options, ChoiceKind kind);
bool MayPreempt();
void CountPreemption();
[[noreturn]] void Fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void CountStep();
/* True in Replay; Trace prints a line that begins with the thread. */
bool Tracing();
void Trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void NoteReached(uint32_t group, uint8_t bits);

/* threads.cc */
enum Phase { SETUP, RUN, AFTER };
Phase CurrentPhase();
int Self();
int ThreadCount();
bool OnStack(const void *address); /* of a logical thread: nobody else's business */
void InitThreads();
/* Runs all threads to their end, then `after`. */
void RunThreads(const Scenario &scenario);
/* Others may go first. `word` is what the next step touches; NULL: always a point. */
void Point(const void *word);
void YieldNow();
/* Sleeps until WakeWaiters names the word. */
void WaitOn(const void *word);
int WakeWaiters(const void *word, int count);

/* memory.cc */
struct Clock {
    uint16_t at[MAX_THREADS];
};
const Clock &ClockOf(int thread);
void BeginMemory(int threads);
/* True if two threads used the word and one wrote, as far as it was known at the last call of
 * LearnedShared, which is true if there was something new. */
bool IsShared(const void *word);
bool LearnedShared();
uint64_t Load(const void *word, unsigned bytes, int order);
void Store(void *word, unsigned bytes, uint64_t value, int order);
/* A read-modify-write. `expected` != NULL: only if the word holds it, else it gets what was seen
 * and the result is false. `add`: value is added. `seen` gets the old value. */
struct Change {
    uint64_t value;
    bool add;
    const uint64_t *expected;
    bool weak;
    int order;
};
bool Modify(void *word, unsigned bytes, const Change &change, uint64_t *seen);
/* What membarrier does: every thread has seen all that any has seen or written. */
void Barrier();
/* The kernel orders the munmap of a range before the mmap that gives it out again. */
enum { MAX_RANGES = 64 };
void LeaveRange(size_t range);
void EnterRange(size_t range);

/* shadow.cc */
void BeginShadow();
void RestoreShadow();
void SaveWord(void *word); /* before it changes */
void PlainAccess(const void *address, size_t bytes, bool write, const void *pc);
void AtomicAccess(const void *address, unsigned bytes, bool write, const void *pc);
/* A slot for the history of an atomic word; 0: none yet. */
uint16_t &HistoryOf(const void *word);
/* The caller owns the range; words of it that the schedule touched read as zero from now on.
 * `forget`: who accessed them is no longer of interest, the kernel orders it. */
void ClearRange(void *base, size_t bytes, bool forget, const void *pc);

/* kernel.cc */
void InitKernel();
void BeginKernel();
void RestoreKernel();
bool IsMappable(const void *address); /* in the arena */
bool IsUnmapped(const void *address);

/* mutants.cc */
void InitSites();
int MutatedOrder(const hak_site_t *site);
bool IsSplit(const hak_site_t *site);
/* A call of the kernel ("wake", "barrier") after `site`, the last atomic operation of the thread.
 * True: it must do nothing. */
bool IsDropped(const char *call, const hak_site_t *site);
void SwitchOn(const Mutant &mutant);
const char *OrderName(int order);

/* hooks.cc */
const hak_site_t *LastSite();

} // namespace hak_sched

#endif /* HAK_TESTS_SCHED_RUNTIME_H_ */
