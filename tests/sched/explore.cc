/* Depth first over the choices of a schedule. A schedule is the list of options taken; the next one
 * repeats it up to the last choice that has an option left. Nothing is kept but that list: state is
 * put back by shadow.cc and kernel.cc, so that a schedule costs microseconds and no process.
 *
 * The search is in a child, because a schedule may crash; list and counts are in shared memory, so
 * that they survive it.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sched/runtime.h"

namespace hak_sched {

namespace {

enum { MAX_STEPS = 20000, MAX_SECONDS = 600 };

struct Taken {
    uint8_t option, options, kind;
    uint32_t step;
};

struct Shared {
    uint64_t schedules;
    bool exhausted, failed;
    uint32_t choices;
    char failure[1024];
    uint8_t reached[MAX_SITES];
    Taken taken[MAX_CHOICES];
};

Shared *shared;
Bounds bounds;
uint32_t made;   /* choices made in this schedule */
uint32_t prefix; /* choices that are given */
unsigned preemptions, weak, steps;
bool tracing; /* one schedule, given by `taken`, whose options are found by step and kind */

const char *const kind_names[] = {"thread", "value", "place", "failure", "wake"};

void BeginSchedule() {
    made = preemptions = weak = steps = 0;
    BeginShadow();
    BeginKernel();
}

void RunOne(const Scenario &scenario) {
    BeginSchedule();
    RunThreads(scenario);
    if (made < prefix && !tracing) {
        Fail("the scheduler lost its way: %u choices of %u", made, prefix);
    }
    RestoreKernel();
    RestoreShadow();
}

/* Sets the next schedule up. False if there is none. */
bool NextSchedule() {
    while (shared->choices > 0) {
        Taken &last = shared->taken[shared->choices - 1];
        if (last.option + 1 < last.options) {
            last.option++;
            prefix = shared->choices;
            return true;
        }
        shared->choices--;
    }
    return false;
}

void StartOver() {
    prefix = shared->choices = 0;
    shared->schedules = 0;
}

/* Which words are shared is learned on the way, and points of the schedule depend on it, so the
 * search begins again when something new is learned. */
void ExploreAll(const Scenario &scenario, uint64_t most) {
    bool more = true;
    StartOver();
    while (more && shared->schedules < most) {
        RunOne(scenario);
        shared->schedules++;
        if (LearnedShared()) {
            StartOver();
        } else {
            more = NextSchedule();
        }
    }
    shared->exhausted = !more;
}

void SetUpChild(const Scenario &scenario, const Mutant &mutant) {
    alarm(MAX_SECONDS); /* code that loops without touching memory */
    InitSites();
    SwitchOn(mutant);
    InitThreads();
    InitKernel();
    scenario.setup();
}

/* Options that are not the plainest, as step, kind and option: "14t1 22v2". Steps are counted
 * whether there is a choice or not, so the text does not depend on bounds. */
std::string ScheduleText() {
    std::string text;
    for (uint32_t i = 0; i < shared->choices; i++) {
        const Taken &taken = shared->taken[i];
        if (taken.option != 0) {
            text += (text.empty() ? "" : " ") + std::to_string(taken.step) +
                    kind_names[taken.kind][0] + std::to_string(taken.option);
        }
    }
    return text;
}

void ReadSchedule(const std::string &text) {
    const char *at = text.c_str();
    unsigned step, option;
    char letter;
    int used;
    while (sscanf(at, "%u%c%u%n", &step, &letter, &option, &used) == 3 && prefix < MAX_CHOICES) {
        uint8_t kind = 0;
        while (kind < CHOOSE_WAKE && kind_names[kind][0] != letter) {
            kind++;
        }
        shared->taken[prefix++] = {(uint8_t)option, 0, kind, step};
        at += used;
    }
}

/* The option that the text has for this choice. */
unsigned ReplayedOption(unsigned options, ChoiceKind kind) {
    for (uint32_t i = 0; i < prefix; i++) {
        const Taken &taken = shared->taken[i];
        if (taken.step == steps && taken.kind == kind && taken.option < options) {
            Trace("takes option %u of %u, %s", taken.option, options, kind_names[kind]);
            return taken.option;
        }
    }
    return 0;
}

Shared *MapShared() {
    void *memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        abort();
    }
    return static_cast<Shared *>(memory);
}

/* Runs `body` in a child and notes how it ended. */
template <typename Body> void InChild(const Body &body, bool quiet) {
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == nullptr) {
            _exit(1);
        }
        body();
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        abort();
    }
    if (status != 0 && !shared->failed) {
        shared->failed = true;
        snprintf(shared->failure, sizeof shared->failure, "ended with %s %d",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

} // namespace

unsigned Choose(unsigned options, ChoiceKind kind) {
    if (options <= 1) {
        return 0;
    }
    if (tracing) {
        return ReplayedOption(options, kind);
    }
    if (made == MAX_CHOICES || options > UINT8_MAX) {
        Fail("more choices than the scheduler has room for");
    }
    Taken &taken = shared->taken[made];
    bool replayed = made < prefix;
    if (replayed && (taken.options != options || taken.kind != kind || taken.step != steps)) {
        Fail("the scenario is not repeatable: at step %u, %u options of %s, now step %u, %u of %s",
             taken.step, taken.options, kind_names[taken.kind], steps, options, kind_names[kind]);
    }
    taken = {replayed ? taken.option : (uint8_t)0, (uint8_t)options, kind, steps};
    made++;
    if (!replayed) {
        shared->choices = made;
    }
    return taken.option;
}

unsigned ChooseWeak(unsigned options, ChoiceKind kind) {
    if (weak >= bounds.weak) {
        return 0;
    }
    unsigned option = Choose(options, kind);
    weak += option != 0;
    return option;
}

bool MayPreempt() { return preemptions < bounds.preemptions; }
void CountPreemption() { preemptions++; }

void CountStep() {
    if (++steps > MAX_STEPS) {
        Fail("livelock: the threads do not come to an end");
    }
}

void NoteReached(uint32_t group, uint8_t bits) { shared->reached[group] |= bits; }

void Fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(shared->failure, sizeof shared->failure, format, args);
    va_end(args);
    shared->failed = true;
    if (tracing) {
        Trace("%s", shared->failure);
    }
    _exit(1);
}

void CheckFailed(const char *condition, const char *file, int line) {
    Fail("%s:%d: not true: %s", file, line, condition);
}

bool Tracing() { return tracing; }

void Trace(const char *format, ...) {
    if (!tracing) {
        return;
    }
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    const char *who = Self() == MAIN ? "main" : "thread";
    fprintf(stderr, "%*s%s %d: %s\n", Self() * 2, "", who, Self() - 1, line);
}

Result Explore(const Scenario &scenario, const Bounds &limits, const Mutant &mutant,
               uint64_t most) {
    shared = MapShared();
    bounds = limits;
    InChild(
        [&] {
            SetUpChild(scenario, mutant);
            ExploreAll(scenario, most);
        },
        true);
    Result result;
    result.schedules = shared->schedules + (shared->failed ? 1 : 0);
    result.exhausted = shared->exhausted;
    result.failed = shared->failed;
    result.failure = shared->failure;
    result.schedule = ScheduleText();
    result.reached.assign(shared->reached, shared->reached + MAX_SITES);
    munmap(shared, sizeof *shared);
    return result;
}

void Replay(const Scenario &scenario, const std::string &schedule, const Mutant &mutant) {
    shared = MapShared();
    bounds = {UINT32_MAX, UINT32_MAX};
    InChild(
        [&] {
            SetUpChild(scenario, mutant);
            ReadSchedule(schedule);
            tracing = true;
            RunOne(scenario);
        },
        false);
    fprintf(stderr, "%s\n", shared->failed ? shared->failure : "no failure");
    munmap(shared, sizeof *shared);
}

} // namespace hak_sched
