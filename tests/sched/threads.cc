/* Logical threads are coroutines on one thread of the system, so that a switch costs nothing and
 * nothing runs that was not chosen. Each has its own copy of the program's thread-local variables,
 * which is swapped in and out.
 */
#undef _FORTIFY_SOURCE /* longjmp between stacks is what we want */
#include <errno.h>
#include <link.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/sched/runtime.h"

namespace hak_sched {

namespace {

enum { STACK_BYTES = 1 << 18, MAX_LOCALS = 1 << 14 };
enum State { READY, YIELDED, WAITING, DONE };

struct Coroutine {
    ucontext_t start;
    jmp_buf at;
    bool started;
    State state;
    const void *waits_on;
    uint64_t queued; /* order of arrival among waiters */
    char locals[MAX_LOCALS];
};

Coroutine threads[MAX_THREADS];
char *stacks;
int count, self;
Phase phase = SETUP;
const Scenario *running;
uint64_t arrivals;

/* The thread-local block of the program, and its first content. */
char *locals;
size_t local_bytes, image_bytes;
const char *image;

int FindLocals(dl_phdr_info *info, size_t, void *) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto &header = info->dlpi_phdr[i];
        if (header.p_type == PT_TLS) {
            locals = static_cast<char *>(info->dlpi_tls_data);
            local_bytes = header.p_memsz;
            image_bytes = header.p_filesz;
            image = reinterpret_cast<const char *>(info->dlpi_addr + header.p_vaddr);
        }
    }
    return 1; /* the program itself comes first */
}

void SwitchTo(int next) {
    if (next == self) {
        return;
    }
    memcpy(threads[self].locals, locals, local_bytes);
    memcpy(locals, threads[next].locals, local_bytes);
    int from = self;
    self = next;
    if (_setjmp(threads[from].at) == 0) {
        if (!threads[next].started) {
            threads[next].started = true;
            setcontext(&threads[next].start);
        }
        _longjmp(threads[next].at, 1);
    }
}

/* Threads that may run, the present one first. Who yielded waits until nobody else can. */
int Candidates(int *list) {
    for (State wanted : {READY, YIELDED}) {
        int n = 0;
        for (int i = 0; i <= count; i++) {
            int thread = i == 0 ? self : i;
            if (thread != MAIN && (i == 0 || i != self) && threads[thread].state == wanted) {
                list[n++] = thread;
            }
        }
        if (n != 0) {
            return n;
        }
    }
    return 0;
}

void CheckAllDone() {
    for (int i = 1; i <= count; i++) {
        if (threads[i].state != DONE) {
            Fail("deadlock: thread %d sleeps and nobody is left to wake it", i - 1);
        }
    }
}

/* The present thread cannot go on, or has yielded. */
void GoOn() {
    int list[MAX_THREADS];
    int n = Candidates(list);
    if (n == 0) {
        CheckAllDone();
        SwitchTo(MAIN);
        return;
    }
    int next = list[Choose((unsigned)n, CHOOSE_THREAD)];
    threads[next].state = READY;
    SwitchTo(next);
}

void Enter() {
    running->thread(self - 1);
    threads[self].state = DONE;
    Trace("returns");
    GoOn();
    abort();
}

void Prepare(int i) {
    Coroutine &thread = threads[i];
    getcontext(&thread.start);
    thread.start.uc_stack.ss_sp = stacks + (size_t)i * STACK_BYTES;
    thread.start.uc_stack.ss_size = STACK_BYTES;
    thread.start.uc_link = nullptr;
    makecontext(&thread.start, Enter, 0);
    thread.started = false;
    thread.state = READY;
    memcpy(thread.locals, image, image_bytes);
    memset(thread.locals + image_bytes, 0, local_bytes - image_bytes);
}

/* A step of this thread may be what others that yielded wait for. */
void ReleaseYielded() {
    for (int i = 1; i <= count; i++) {
        if (i != self && threads[i].state == YIELDED) {
            threads[i].state = READY;
        }
    }
}

} // namespace

Phase CurrentPhase() { return phase; }
int Self() { return self; }
int ThreadCount() { return count; }

bool OnStack(const void *address) {
    auto at = (uintptr_t)address, low = (uintptr_t)stacks, block = (uintptr_t)locals;
    return at - low < (uintptr_t)MAX_THREADS * STACK_BYTES || at - block < local_bytes ||
           address == &errno;
}

void InitThreads() {
    dl_iterate_phdr(FindLocals, nullptr);
    void *memory = mmap(nullptr, (size_t)MAX_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || local_bytes > MAX_LOCALS) {
        abort();
    }
    stacks = static_cast<char *>(memory);
}

void RunThreads(const Scenario &scenario) {
    static char before[MAX_LOCALS];
    memcpy(before, locals, local_bytes);
    running = &scenario;
    count = scenario.threads;
    arrivals = 0;
    threads[MAIN].started = true;
    for (int i = 1; i <= count; i++) {
        Prepare(i);
    }
    BeginMemory(count);
    phase = RUN;
    GoOn();
    phase = AFTER;
    self = MAIN;
    if (scenario.after != nullptr) {
        scenario.after();
    }
    phase = SETUP;
    memcpy(locals, before, local_bytes);
}

void Point(const void *word) {
    if (phase != RUN) {
        return;
    }
    CountStep();
    ReleaseYielded();
    if (!MayPreempt() || (word != nullptr && !Tracing() && !IsShared(word))) {
        return;
    }
    int list[MAX_THREADS];
    unsigned option = Choose((unsigned)Candidates(list), CHOOSE_THREAD);
    if (option != 0) {
        CountPreemption();
        SwitchTo(list[option]);
    }
}

void YieldNow() {
    if (phase != RUN) {
        Fail("it would wait for ever: nobody else runs");
    }
    CountStep();
    ReleaseYielded();
    threads[self].state = YIELDED;
    Trace("yields");
    GoOn();
}

void WaitOn(const void *word) {
    if (phase != RUN) {
        Fail("it would sleep for ever: nobody else runs");
    }
    CountStep();
    threads[self].state = WAITING;
    threads[self].waits_on = word;
    threads[self].queued = ++arrivals;
    Trace("sleeps");
    GoOn();
}

int WakeWaiters(const void *word, int wanted) {
    int woken = 0;
    while (woken < wanted) {
        int list[MAX_THREADS], n = 0;
        for (int i = 1; i <= count; i++) {
            if (threads[i].state == WAITING && threads[i].waits_on == word) {
                int at = n++;
                for (; at > 0 && threads[list[at - 1]].queued > threads[i].queued; at--) {
                    list[at] = list[at - 1];
                }
                list[at] = i;
            }
        }
        if (n == 0) {
            break;
        }
        unsigned option = wanted >= n ? 0 : Choose((unsigned)n, CHOOSE_WAKE);
        threads[list[option]].state = READY;
        woken++;
    }
    return woken;
}

} // namespace hak_sched
