/* owner_lock_inl: the owner's two sides. */
#ifndef HAK_CORE_OWNER_LOCK_OWNER_LOCK_INL_H_
#define HAK_CORE_OWNER_LOCK_OWNER_LOCK_INL_H_

#include "base/attr.h"
#include "base/lock_rank.h"
#include "config/hak_config.h"
#include "core/lock/lock.h"
#include "core/owner_lock/owner_lock.h"

enum {
    HAK_BARRIER_NONE,  /* both sides use sequentially consistent operations */
    HAK_BARRIER_WORKS, /* guests use membarrier, owners plain stores */
    HAK_BARRIER_LOST,  /* it worked once; owners change to sequentially consistent stores */
};
extern hak_local hak_a32_t hak_owner_lock_barrier;

/* A guest is inside or waits: lets it go first. */
void hak_owner_lock_wait(hak_owner_lock_t *lock);

/* Raises `busy`, then reads `revoke`, and no processor may swap the two. */
hak_inline bool hak_owner_lock_enter(hak_owner_lock_t *lock) {
    /* relaxed: set before there is a second thread; once lost it stays lost, and `seq` is what
     * tells a guest that this owner knows */
    if (hak_likely(hak_load_rlx(&hak_owner_lock_barrier) == HAK_BARRIER_WORKS)) {
        /* relaxed: the guest's membarrier orders it before our load below */
        hak_store_rlx(&lock->busy, 1);
        hak_compiler_fence();
    } else {
        hak_store_rel(&lock->seq, 1);  /* pairs with the acquire in hak_owner_shows */
        hak_store_seq(&lock->busy, 1); /* pairs with the cas_seq in hak_raise */
    }
    return hak_load_seq(&lock->revoke) == 0; /* acquire part pairs with the release in drop_guest */
}

hak_inline void hak_owner_lock_take_owner(hak_owner_lock_t *lock) {
    if (hak_cfg_debug) {
        hak_lock_rank_enter(HAK_RANK_HEAP);
    }
    if (hak_unlikely(!hak_owner_lock_enter(lock))) {
        hak_owner_lock_wait(lock);
    }
}

hak_inline void hak_owner_lock_drop_owner(hak_owner_lock_t *lock) {
    if (hak_cfg_debug) {
        hak_lock_rank_leave(HAK_RANK_HEAP);
    }
    hak_store_rel(&lock->busy, 0); /* pairs with the acquire in hak_owner_is_out */
}

#endif /* HAK_CORE_OWNER_LOCK_OWNER_LOCK_INL_H_ */
