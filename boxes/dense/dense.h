/* dense: whether large blocks are written from end to end, and huge pages so pay for them.
 *
 * A huge page saves 512 page faults where all of it gets used, and costs 2 MiB where one byte is.
 * What the program does with a block shows when the next one is asked for, or when it comes back: a
 * few OS pages of it are looked at then. Only blocks tell that were handed out without a page of
 * memory and, in part at least, without huge pages.
 *
 * Owns       the score, and which block was the last one.
 * Threads    any. No lock: threads that mix things up only choose the slower way.
 * Errors     none. Where the kernel does not tell what is resident nothing ever pays.
 * Layer      4 (boxes). Uses registry, core, backends/os.
 */
#ifndef HAK_BOXES_DENSE_DENSE_H_
#define HAK_BOXES_DENSE_DENSE_H_

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_DENSE_LOOKS = 4 }; /* windows of one block that tell enough */

/* Windows of 2 MiB of one block that have small pages, the last one first. */
typedef struct {
    const void *block;
    unsigned count; /* 0: the block tells nothing */
    char *window[HAK_DENSE_LOOKS];
    size_t bytes; /* length of the block, where one may be of more than 256 MiB */
} hak_dense_t;

/* A block was made; it is looked at when the next one is asked for. */
void hak_dense_made(const hak_dense_t *block);
/* A block is asked for. */
void hak_dense_asked(void);
/* A block is freed. */
void hak_dense_freed(const hak_dense_t *block);
/* A block gets another size or place: it is not looked at any more until it is freed. */
void hak_dense_forget(const void *block);
/* True if huge pages pay for the next large blocks. Never, but with HAKMEM_THP=dense. */
bool hak_dense_pays(void);
/* The same for a block of `bytes`. One of more than 256 MiB must not be longer than 8 times the
 * longest that was full: it may be a table of which little is used, and last for good. */
bool hak_dense_pays_for(size_t bytes);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_DENSE_DENSE_H_ */
