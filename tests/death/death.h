/* death: one misuse of the allocator per file in cases/, with the error line that it must cause.
 *
 * A case says in hak_death_expect() which address and block the line must name, then does its
 * misuse.
 * The driver, death_test.cc, runs each case in a process of its own, once for each HAKMEM_ON_ERROR.
 *
 * Owns       the list of cases.
 * Threads    cases run on one thread unless they start others.
 */
#ifndef HAK_TESTS_DEATH_DEATH_H_
#define HAK_TESTS_DEATH_DEATH_H_

#include <stdbool.h>
#include <stddef.h>

#include "tests/support/api_table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hak_death_case {
    const char *name;        /* of the file */
    const char *what;        /* the misuse in words, as in docs/ERRORS.md */
    const char *call;        /* the function that is misused, under its C library name */
    const char *error;       /* what the line says is wrong */
    bool names_block;        /* the line ends with the block and its size */
    const char *environment; /* one NAME=value that the case needs, or NULL */
    void (*misuse)(void);
    struct hak_death_case *next; /* death.c */
} hak_death_case_t;

#define HAK_DEATH_WILD "invalid pointer: not a block of hakmem"
#define HAK_DEATH_INTERIOR "invalid pointer: inside a block, not at its start"
#define HAK_DEATH_DOUBLE "double free: the block is free already"
#define HAK_DEATH_FREED "double free or invalid pointer: no block lives there any more"
#define HAK_DEATH_UNALLOCATED "invalid pointer: in a slab, at a place that was never handed out"
#define HAK_DEATH_SIZE "wrong size: the block cannot have been allocated with this size"
#define HAK_DEATH_ALIGNMENT                                                                        \
    "wrong alignment: the block cannot have been allocated with this alignment"

/* Defines and registers the case of this file; the arguments are initialisers of hak_death_case_t.
 * */
#define HAK_DEATH_CASE(...)                                                                        \
    static void misuse(void);                                                                      \
    static hak_death_case_t hak_death_self = {__VA_ARGS__, .misuse = misuse};                      \
    __attribute__((constructor)) static void hak_death_register_self(void) {                       \
        hak_death_register(&hak_death_self);                                                       \
    }                                                                                              \
    static void misuse(void)

void hak_death_register(hak_death_case_t *one);
const hak_death_case_t *hak_death_first(void);

/* Announces what the error line must name; the last word before the misuse. `block` may be NULL. */
void hak_death_expect(const void *address, const void *block, size_t block_bytes);

/* Ends the process with a message and status 3 unless `condition` holds. */
void hak_death_require(bool condition, const char *message);

/* Runs `work` on another thread and waits for its end. */
void hak_death_in_thread(void *(*work)(void *), void *argument);

/* Runs the case `name`, then proves that the process can go on. Returns the exit status. */
int hak_death_run(const char *name);

#ifdef __cplusplus
}
#endif
#endif /* HAK_TESTS_DEATH_DEATH_H_ */
