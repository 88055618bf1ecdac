/* sched: runs two to four threads of the shipped code under every order of events up to a bound.
 *
 * A scenario is plain functions. `setup` runs once. `thread` runs in logical threads, and `after`
 * follows when all have returned; both run again for every schedule, and between schedules every
 * word that they wrote is put back. So they must not allocate, print or keep anything outside plain
 * variables. docs/TESTING.md tells what is explored.
 *
 * Layer      tests only.
 */
#ifndef HAK_TESTS_SCHED_SCHED_H_
#define HAK_TESTS_SCHED_SCHED_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace hak_sched {

/* What limits the search. */
struct Bounds {
    unsigned preemptions; /* times that a thread which could go on is interrupted */
    unsigned weak;        /* times that memory or a call shows something but the plainest: a load of
                             an older value, a store that arrives late, a failure without cause */
};

struct Scenario {
    const char *name;
    int threads;
    Bounds bounds;
    uint64_t at_least; /* schedules; fewer mean that the scenario does not do what it says */
    void (*setup)();
    void (*thread)(int self); /* 0 .. threads - 1 */
    void (*after)();
};

/* Makes a scenario known: `static hak_sched::Add lock({...});`. */
struct Add {
    explicit Add(const Scenario &scenario);
};
const std::vector<Scenario> &Scenarios();
const Scenario *FindScenario(const std::string &name);

/* In a scenario: the schedule fails if `condition` is false. */
#define HAK_SCHED_CHECK(condition)                                                                 \
    ((condition) ? (void)0 : hak_sched::CheckFailed(#condition, __FILE__, __LINE__))
[[noreturn]] void CheckFailed(const char *condition, const char *file, int line);
/* In a scenario: the fake clock goes on. */
void AdvanceMs(uint64_t ms);
/* In a scenario: lets others go on; a loop that waits for another thread must call it. */
void Yield();

/* One deliberate fault, by its line in the list; see mutants.h. Empty: none. */
using Mutant = std::string;

struct Result {
    uint64_t schedules = 0;
    bool exhausted = false; /* the whole bounded space was explored */
    bool failed = false;
    std::string failure;  /* what went wrong */
    std::string schedule; /* for Replay: "choice:option ..." */
    /* By site group, while threads ran: bits 1 the operation, 2 os_wake and 4 os_barrier after it.
     */
    std::vector<uint8_t> reached;
};
/* Explores in a child process, so a crash is a result like any other. Stops at the first failure or
 * after `most` schedules. */
Result Explore(const Scenario &scenario, const Bounds &bounds, const Mutant &mutant = {},
               uint64_t most = UINT64_MAX);
/* Runs one schedule and prints every step on stderr. */
void Replay(const Scenario &scenario, const std::string &schedule, const Mutant &mutant = {});

} // namespace hak_sched

#endif /* HAK_TESTS_SCHED_SCHED_H_ */
