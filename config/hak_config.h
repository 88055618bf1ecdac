/* hak_config: the choices that Bazel made for this variant, as constants. The only reader of
 * HAK_CFG_* macros, so that every branch compiles in every build.
 *
 * Layer      0 (config). Uses nothing.
 */
#ifndef HAK_CONFIG_HAK_CONFIG_H_
#define HAK_CONFIG_HAK_CONFIG_H_

#if !defined(HAK_CFG_CHECK) || !defined(HAK_CFG_STATS) || !defined(HAK_CFG_DEBUG) ||               \
    !defined(HAK_CFG_CACHE_DRAIN) || !defined(HAK_CFG_POW2_ABOVE) ||                               \
    !defined(HAK_CFG_SLOT_POLICY) || !defined(HAK_CFG_POOL_REMOTE_MUTEX) ||                        \
    !defined(HAK_CFG_POOL_LOCKFREE) || !defined(HAK_CFG_POOL_SHARDS) ||                            \
    !defined(HAK_CFG_MF2_DRAIN) || !defined(HAK_CFG_MF2_HEADER) || !defined(HAK_CFG_MID_DYN) ||    \
    !defined(HAK_CFG_LEARN)
#error "HAK_CFG_* come from //config; include this header only in a box that depends on it"
#endif

/* What free checks on the hit path: 0 nothing but ownership, 1 double free, 2 also that the
 * pointer is a block's start. The slow path always checks all. */
enum {
    hak_cfg_check_double_free = HAK_CFG_CHECK >= 1,
    hak_cfg_check_interior = HAK_CFG_CHECK >= 2
};
/* The thread cache's policy is `drain`, not `bounded`: see boxes/cache_policy. Here because the hit
 * path of malloc differs. */
enum { hak_cfg_cache_drain = HAK_CFG_CACHE_DRAIN };
/* Sizes from here up to 32 KiB have the classes of a mid backend, which are powers of two; 32768:
 * none have. */
enum { hak_cfg_pow2_above_bytes = HAK_CFG_POW2_ABOVE };
/* Classes above 1 KiB come from a table that changes while the program runs, see core/dyn_class;
 * and some of them get their sizes then. */
enum { hak_cfg_mid_dyn = HAK_CFG_MID_DYN >= 1, hak_cfg_mid_ids = HAK_CFG_MID_DYN >= 2 };
/* The learner can run: its backends have something to tune, and slow steps may be sampled. */
enum { hak_cfg_learn = HAK_CFG_LEARN };
/* The queue of a thread pool has a lock: see boxes/pool_remote. */
enum { hak_cfg_pool_remote_mutex = HAK_CFG_POOL_REMOTE_MUTEX };
/* The mid pool: its free lists are lock-free; how many shards a class has. */
enum { hak_cfg_pool_lockfree = HAK_CFG_POOL_LOCKFREE, hak_cfg_pool_shards = HAK_CFG_POOL_SHARDS };
/* Policy of MF2: 0 adopt, 1 own, 2 rr, 3 hybrid, as in the words of HAKMEM_MF2_DRAIN; and whether
 * the sweeper runs unless told otherwise. */
enum { hak_cfg_mf2_drain = HAK_CFG_MF2_DRAIN % 4, hak_cfg_mf2_sweeper = HAK_CFG_MF2_DRAIN == 4 };
/* Bytes before each block of an mf2 page. With some, those blocks are aligned to no more. */
enum { hak_cfg_mf2_header = HAK_CFG_MF2_HEADER };
/* Counts every call, also on the hit path. */
enum { hak_cfg_stats = HAK_CFG_STATS };
/* Assertions at box borders and lock ranks. Never depends on NDEBUG. */
enum { hak_cfg_debug = HAK_CFG_DEBUG };

/* Which library answers for boxes/slot_policy. */
enum { hak_cfg_slot_policy = HAK_CFG_SLOT_POLICY };

/* Name of the variant, for hak_version(). */
extern const char hak_config_variant[];

#endif /* HAK_CONFIG_HAK_CONFIG_H_ */
