/* mutants: every fault that the scheduler can put into the shipped code without changing it.
 *
 * A mutant has one line of text, without line numbers, so that a list of them is stable:
 *   core/lock/lock.c hak_lock_take cas &lock->state: acq -> rlx
 *   core/lock/lock.c hak_lock_take cas &lock->state: split        a load, and later a store
 *   core/lock/lock.c hak_lock_drop swap &lock->state: no wake     the system call after it is lost
 * Orders are weakened by one step: acq and rel to rlx, acq_rel to acq and to rel, seq to acq_rel,
 * acq or rel. Relaxed operations are no mutants, as there is nothing to weaken; relaxed additions
 * are statistics and are not split.
 *
 * Layer      tests only.
 */
#ifndef HAK_TESTS_SCHED_MUTANTS_H_
#define HAK_TESTS_SCHED_MUTANTS_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace hak_sched {

struct ListedMutant {
    std::string key;
    uint32_t group; /* site group, index of Result::reached */
    uint8_t bit;    /* of Result::reached: a scenario that has it set may show the fault */
};

/* All mutants of sites in files that begin with one of `prefixes`. `reached`: what scenarios
 * together reached; calls of the kernel are known from there alone. */
std::vector<ListedMutant> ListMutants(const std::vector<std::string> &prefixes,
                                      const std::vector<uint8_t> &reached);

} // namespace hak_sched

#endif /* HAK_TESTS_SCHED_MUTANTS_H_ */
