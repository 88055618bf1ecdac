/* machine: who serves malloc in this process, how large the last cache is, how much is resident.
 *
 * Owns       nothing.
 * Threads    any.
 * Layer      bench. Uses the dynamic linker, /proc and /sys; allocates nothing.
 */
#ifndef HAK_BENCH_COMMON_MACHINE_H_
#define HAK_BENCH_COMMON_MACHINE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_BENCH_PATH_BYTES = 512, HAK_BENCH_NAME_BYTES = 64 };

/* Which loaded object provides the allocator. The addresses come from the dynamic linker's global
 * scope, so a preloaded library, a linked-in one and libc are told apart by fact, not by intent. */
typedef struct {
    char malloc_path[HAK_BENCH_PATH_BYTES];
    char free_path[HAK_BENCH_PATH_BYTES];
    char name[HAK_BENCH_NAME_BYTES];    /* "glibc", "hakmem", "mimalloc" ... or the file's name */
    char version[HAK_BENCH_NAME_BYTES]; /* what hak_version() says; "" for other allocators */
    char variant[HAK_BENCH_NAME_BYTES]; /* the name in brackets at the end of version, or "" */
    bool split;                         /* malloc and free come from two objects: nothing holds */
} hak_bench_server_t;

void hak_bench_server_get(hak_bench_server_t *server);

/* The file of the loaded object that provides a function, or "unknown". */
void hak_bench_object_of(const char *symbol, char *path, size_t bytes);

/* Bytes of the last-level cache that the first CPU sees; 0 if the machine does not say. */
uint64_t hak_bench_l3_bytes(void);

/* CPUs that this process may run on. */
unsigned hak_bench_cpu_count(void);

/* Resident set now and the highest so far, in bytes; 0 if /proc is not mounted. The kernel batches
 * its counts per thread, so a value may lag by some 64 OS pages per thread. */
uint64_t hak_bench_rss_bytes(void);
uint64_t hak_bench_peak_rss_bytes(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BENCH_COMMON_MACHINE_H_ */
