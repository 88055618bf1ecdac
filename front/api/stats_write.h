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

#include "core/text/text.h"
#include "include/hakmem.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a format has behind its rows: more lines, more members of the JSON object, each with a comma
 * in front, more metric families. */
typedef void hak_stats_more_fn(hak_text_t *text, hak_stats_format_t format);

/* Writes `*stats`, every field of it filled, with `version` as hak_version() gives it, and what
 * `more` adds if it is not NULL. */
int hak_stats_write_to(int fd, hak_stats_format_t format, const hak_stats_t *stats,
                       const char *version, hak_stats_more_fn *more);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_API_STATS_WRITE_H_ */
