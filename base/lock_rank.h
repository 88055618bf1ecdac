/* lock_rank: the order in which a thread may take locks, lowest first.
 *
 * A thread that holds a lock takes only locks of higher rank. Debug builds check this at every
 * lock (core/lock, core/owner_lock). Locks of equal rank are never held together, but for the
 * heaps in a fork, which are taken in the order of the heap list.
 *
 * Layer      0 (base). Uses nothing.
 */
#ifndef HAK_BASE_LOCK_RANK_H_
#define HAK_BASE_LOCK_RANK_H_

typedef enum {
    HAK_RANK_NONE,
    HAK_RANK_FORK,         /* one fork at a time */
    HAK_RANK_MF2_SWEEP,    /* a tick of the sweeper */
    HAK_RANK_HEAPS,        /* the lists of heaps */
    HAK_RANK_HEAP,         /* a heap's slab lists: an owner lock */
    HAK_RANK_HUGE,         /* huge mappings and their cache */
    HAK_RANK_EXTENT,       /* tracts of large blocks */
    HAK_RANK_TRANSFER,     /* lists between thread caches that go home */
    HAK_RANK_EXACT_SIZES,  /* who chooses sizes with a class of their own */
    HAK_RANK_POOL,         /* superslabs and slots */
    HAK_RANK_MID_SUPPLY,   /* spare chunks of Mid MT */
    HAK_RANK_MID_REGISTRY, /* the sorted list of those chunks */
    HAK_RANK_POOL_REMOTE,  /* the queue of a thread pool, as mutex */
    HAK_RANK_PAGES,        /* shelves of the page arena */
    HAK_RANK_MID_COLLECT,  /* who looks for free pages of the mid pool */
    HAK_RANK_MID_SHARD,    /* a shard of its free blocks */
    HAK_RANK_MID_PAGES,    /* its pages */
    HAK_RANK_MF2_ORPHANS,  /* pages that no thread owns */
    HAK_RANK_MF2_POOL,     /* regions of mf2 pages */
    HAK_RANK_POLICY,       /* figures that the learner sets */
    HAK_RANK_DYN_CLASS,    /* sizes that are chosen at run time */
    HAK_RANK_LEARN_LOG,    /* and what the learner did last */
    HAK_RANK_REGISTRY,     /* leaves of the registry */
    HAK_RANK_META,         /* metadata arena */
    HAK_RANK_COUNT
} hak_lock_rank_t;

#endif /* HAK_BASE_LOCK_RANK_H_ */
