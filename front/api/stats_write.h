/* stats_write: a snapshot of the statistics as text for people, as JSON, as OpenMetrics, or as one
 * line.
 *
 * Owns       nothing.
 * Threads    any; each call writes through a buffer on its stack.
 * Errors     -1 with errno of write, EBADF for a negative descriptor, EINVAL for a format there is
 *            none of.
 * Layer      6 (front). Uses front/api:stats_table, core/text.
 */
#ifndef HAK_FRONT_API_STATS_WRITE_H_
#define HAK_FRONT_API_STATS_WRITE_H_

#include "include/hakmem.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes `*stats`, every field of it filled, with `version` as hak_version() gives it. */
int hak_stats_write_to(int fd, hak_stats_format_t format, const hak_stats_t *stats,
                       const char *version);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_API_STATS_WRITE_H_ */
