/* huge_cost: how long the kernel takes for a huge page, and so whether to go on asking for them.
 *
 * A huge page takes 0.05 to 0.3 ms, and the small pages in its place three times as long or more.
 * If the kernel has to move other memory to make room, or the guest's host has to find it first,
 * a huge page takes 4 ms and more, while small ones may be at hand.
 *
 * Owns       until when none is asked for.
 * Threads    any. No lock: threads that mix things up only choose the slower way.
 * Errors     none.
 * Layer      4 (boxes). Uses registry, backends/os, base.
 */
#ifndef HAK_BOXES_HUGE_COST_HUGE_COST_H_
#define HAK_BOXES_HUGE_COST_HUGE_COST_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* True if huge pages may be asked for. */
bool hak_huge_cost_is_fine(void);
/* Touches some of `windows` of 2 MiB, which are fresh, in which huge pages were asked for, and
 * which will all be used: the first ones, `*touched` of them. False if a huge page did not come or
 * took long. */
bool hak_huge_cost_try(char *window, size_t windows, size_t *touched);
/* A huge page was asked for. `took_us`: the processor time of the thread until it was there, or
 * until it was not. */
void hak_huge_cost_note(bool came, uint64_t took_us);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_HUGE_COST_HUGE_COST_H_ */
