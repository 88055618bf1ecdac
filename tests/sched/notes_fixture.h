/* notes_fixture: the algorithms of the source notes that lose blocks, as the notes have them, so
 * that a test can show the schedules in which they do. Nothing here is shipped.
 *
 *   NotesList    the pool's lock-free list: a pop reads the successor through an untagged head. The
 *                notes call ABA harmless there: "still results in valid freelist state".
 *   NotesPage    an mf2 page: a free by its owner writes the free list without a lock, an adopter
 *                takes the page by a compare-and-swap of the owner's id, and an adoption that does
 *                not work out goes on to the next queue, whatever it has just taken off this one.
 *
 * The notes leave open whether links and free lists are atomic. As::PLAIN has them as written;
 * As::ATOMIC makes each access atomic, so that what fails then is the algorithm and no data race.
 *
 * Layer      tests only.
 */
#ifndef HAK_TESTS_SCHED_NOTES_FIXTURE_H_
#define HAK_TESTS_SCHED_NOTES_FIXTURE_H_

#include "base/atomic.h"

namespace notes {

/* Unnamed, because the records of base/atomic_hooks.h cannot be in functions that several object
 * files share. One test includes this header. */
namespace {

enum class As { PLAIN, ATOMIC };

template <As AS> uintptr_t Get(const hak_aptr_t *word) {
    return AS == As::PLAIN ? word->v : hak_load_rlx(word);
}
template <As AS> void Set(hak_aptr_t *word, uintptr_t value) {
    if (AS == As::PLAIN) {
        word->v = value;
    } else {
        hak_store_rlx(word, value);
    }
}

/* Once handed out, the word belongs to the block's user. */
struct Block {
    hak_aptr_t next;
};

/* freelist_pop_lockfree, freelist_push_lockfree. */
template <As AS> class NotesList {
  public:
    Block *Pop() {
        uintptr_t old;
        Block *block;
        do {
            old = hak_load_acq(&head_);
            if (old == 0) {
                return nullptr;
            }
            block = (Block *)old;
        } while (!hak_cas_weak_rel(&head_, &old, Get<AS>(&block->next)));
        return block;
    }
    void Push(Block *block) {
        uintptr_t old;
        do {
            old = hak_load_acq(&head_);
            Set<AS>(&block->next, old);
        } while (!hak_cas_weak_rel(&head_, &old, (uintptr_t)block));
    }

  private:
    hak_aptr_t head_;
};

struct NotesPage {
    hak_a64_t owner_tid;
    hak_aptr_t owner_tp; /* whose queue it is put on */
    hak_aptr_t free_list;
    hak_aptr_t remote_head;
    hak_a32_t in_remote_pending;
    hak_a64_t last_transfer_time;
    hak_aptr_t next_pending;
};

/* What a thread has: its id, its queue of pages with remote frees, its active page. */
struct NotesThread {
    uint64_t tid;
    hak_aptr_t pending;
    NotesPage *active;
};

constexpr uint64_t kNotesLease = 10;

/* With a single page, as in our scenarios, these two have no ABA of their own. */
inline void EnqueuePending(NotesThread *thread, NotesPage *page) {
    uintptr_t old;
    do {
        old = hak_load_acq(&thread->pending);
        hak_store_rlx(&page->next_pending, old);
    } while (!hak_cas_weak_acq_rel(&thread->pending, &old, (uintptr_t)page));
}
inline NotesPage *DequeuePending(NotesThread *thread) {
    uintptr_t old = hak_load_acq(&thread->pending);
    while (old != 0) {
        NotesPage *page = (NotesPage *)old;
        if (hak_cas_weak_acq_rel(&thread->pending, &old, hak_load_rlx(&page->next_pending))) {
            return page;
        }
    }
    return nullptr;
}

/* mid_free_slow, with the edge that enqueues the page. */
template <As AS> void FreeSlow(NotesPage *page, Block *block) {
    uintptr_t old;
    do {
        old = hak_load_acq(&page->remote_head);
        Set<AS>(&block->next, old);
    } while (!hak_cas_weak_rel(&page->remote_head, &old, (uintptr_t)block));
    uint32_t was_pending = 0;
    if (hak_cas_seq(&page->in_remote_pending, &was_pending, 1)) {
        EnqueuePending((NotesThread *)hak_load_acq(&page->owner_tp), page);
    }
}

/* mid_free_fast: between the look at the owner and the last write an adopter may come. */
template <As AS> void FreeFast(const NotesThread *me, NotesPage *page, Block *block) {
    if (hak_load_acq(&page->owner_tid) == me->tid) {
        Set<AS>(&block->next, Get<AS>(&page->free_list));
        Set<AS>(&page->free_list, (uintptr_t)block);
        return;
    }
    FreeSlow<AS>(page, block);
}

/* drain_remote_frees. The flag is cleared before the stack is taken, as the notes ask; what happens
 * to it when there is nothing to take they leave open, and here nothing does. */
template <As AS> void DrainRemoteFrees(NotesPage *page) {
    if (hak_load_acq(&page->remote_head) == 0) {
        return;
    }
    uint32_t was_pending = 1;
    (void)hak_cas_seq(&page->in_remote_pending, &was_pending, 0);
    Block *block = (Block *)hak_swap_acq_rel(&page->remote_head, 0);
    while (block != nullptr) {
        Block *next = (Block *)Get<AS>(&block->next);
        Set<AS>(&block->next, Get<AS>(&page->free_list));
        Set<AS>(&page->free_list, (uintptr_t)block);
        block = next;
    }
}

/* mf2_try_adopt_pending. A `continue` forgets the page: it is on no queue, and its flag says that
 * it is on one. */
template <As AS>
bool TryAdoptPending(NotesThread *me, NotesThread *threads, int count, uint64_t now) {
    for (int i = 0; i < count; i++) {
        NotesPage *page = DequeuePending(&threads[i]);
        if (page == nullptr) {
            continue;
        }
        uint64_t old_owner = hak_load_acq(&page->owner_tid);
        if (now - hak_load_rlx(&page->last_transfer_time) < kNotesLease) {
            continue;
        }
        if (!hak_cas_weak_acq_rel(&page->owner_tid, &old_owner, me->tid)) {
            continue;
        }
        hak_store_rel(&page->owner_tp, (uintptr_t)me);
        hak_store_rlx(&page->last_transfer_time, now);
        DrainRemoteFrees<AS>(page);
        if (Get<AS>(&page->free_list) != 0) {
            me->active = page;
            return true;
        }
    }
    return false;
}

} // namespace
} // namespace notes

#endif /* HAK_TESTS_SCHED_NOTES_FIXTURE_H_ */
