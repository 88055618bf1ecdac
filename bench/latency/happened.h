/* happened: what the kernel, or the host of a virtual machine, did to a thread in an interval.
 *
 * Owns       the file descriptor of /proc/self/statm, never closed.
 * Threads    any; a state belongs to one thread. hak_bench_happened_open comes first, in one.
 * Layer      bench. Used by bench/latency.
 */
#ifndef HAK_BENCH_LATENCY_HAPPENED_H_
#define HAK_BENCH_LATENCY_HAPPENED_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sums since the thread or the process began. */
typedef struct {
    uint64_t wall_ns;
    uint64_t cpu_ns; /* the thread's, without what a host took, if the kernel knows that */
    uint64_t switches;
    uint64_t faults;
    uint64_t mapped_os_pages; /* of the process, as `resident_os_pages` */
    uint64_t resident_os_pages;
    uint64_t waits; /* switches by the thread's own will */
} hak_bench_state_t;

typedef struct {
    bool switched; /* the thread was switched out, by its own will or not */
    bool stolen;  /* its CPU clock stood still for half of the time, and 20 microseconds, or more */
    bool faulted; /* OS pages were faulted in: a first touch */
    bool mapped;  /* the process has more or less memory mapped than before */
    bool purged;  /* 128 OS pages less of it are resident; the kernel counts hardly closer */
    bool waited;  /* the thread was switched out by its own will: for a lock, also the kernel's */
} hak_bench_happened_t;

/* Without /proc nothing is ever mapped or purged. */
void hak_bench_happened_open(void);
/* The calling thread's. False with errno if getrusage fails. */
bool hak_bench_state_read(hak_bench_state_t *state);
/* From one state to a later one of the same thread, whose last `ns` nanoseconds are what is asked
 * about. Before them, since `from`, nothing took long: what adds up there is allowed for as far as
 * clocks go (a thousandth), and the rest may count as theirs. */
hak_bench_happened_t hak_bench_happened(const hak_bench_state_t *from, const hak_bench_state_t *to,
                                        uint64_t ns);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BENCH_LATENCY_HAPPENED_H_ */
