/* mf2_sweeper: a thread that takes in remote frees while the program does nothing.
 *
 * Insurance, off by default: under the policy adopt whoever needs memory finds it, but a process
 * that has gone quiet would keep pending pages until somebody purges. The sweeper drains what no
 * thread owns into the orphans and gives wholly free pages to the pool; pages of a heap whose
 * thread is idle it drains as a guest. It never writes to a page of a thread that is at work.
 *
 * Owns       the thread, a lock that it holds while it is at work.
 * Threads    any; takes the lock of the orphans, and owner locks as a guest.
 * Layer      4 (boxes). Uses boxes/mf2_adopt, mf2_orphans, mf2_pending, mf2_pool, core/lock.
 */
#ifndef HAK_BOXES_MF2_SWEEPER_MF2_SWEEPER_H_
#define HAK_BOXES_MF2_SWEEPER_MF2_SWEEPER_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One tick at `now_ms`: up to `max_pages` of each stack. Returns how many pages were pending. Waits
 * while it is paused. */
unsigned hak_mf2_sweep_mt(uint64_t now_ms, unsigned max_pages);
/* Starts the thread if HAKMEM_MF2_SWEEPER says so and it does not run. Holds no lock; calls
 * pthread_create, which may call malloc. */
void hak_mf2_sweeper_start(void);
/* Waits until no tick has a page in hand, and keeps the next one from beginning until it may go on:
 * for those who want to find every page in its place. Called without any other lock. */
void hak_mf2_sweeper_pause(void);
void hak_mf2_sweeper_go_on(void);
/* In the child of a fork, where the thread is gone. */
void hak_mf2_sweeper_forget(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_SWEEPER_MF2_SWEEPER_H_ */
