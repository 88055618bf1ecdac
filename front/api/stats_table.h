/* stats_table: the statistics as rows, so that every writer names, explains and orders them alike.
 *
 * Owns       nothing; the rows are constant.
 * Layer      6 (front). Uses include/hakmem.h. Used by front/api and by malloc_info in front/libc.
 */
#ifndef HAK_FRONT_API_STATS_TABLE_H_
#define HAK_FRONT_API_STATS_TABLE_H_

#include <stddef.h>
#include <stdint.h>

#include "include/hakmem.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    HAK_STAT_IS_GAUGE,  /* what is now */
    HAK_STAT_IS_COUNTER /* what was since the start, never falls */
} hak_stat_kind_t;

typedef struct {
    const char *name; /* the field's; a name that ends in _bytes counts bytes */
    const char *help;
    size_t offset; /* of the field in hak_stats_t */
    hak_stat_kind_t kind;
} hak_stat_row_t;

enum {
    HAK_STAT_ROWS = (sizeof(hak_stats_t) - offsetof(hak_stats_t, live_bytes)) / sizeof(uint64_t)
};

/* In the order of the fields. */
extern const hak_stat_row_t hak_stat_rows[HAK_STAT_ROWS];

/* The row's field, or HAK_STAT_DISABLED. */
uint64_t hak_stats_table_value(const hak_stats_t *stats, const hak_stat_row_t *row);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_API_STATS_TABLE_H_ */
