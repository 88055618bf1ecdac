/* streams: where the simulator's events come from: a file, or one of four loads.
 *
 *   swing     32 KiB and 4 KiB blocks, a live set that swings by 240 of each
 *   phases    the same with another class every 100 seconds
 *   hot       14,000 bytes most of the time among other sizes; 10,000 in the second half
 *   uniform   all sizes from 1 to 32 KiB, of which 500 live
 */
#ifndef HAK_TOOLS_LEARNER_SIM_STREAMS_H_
#define HAK_TOOLS_LEARNER_SIM_STREAMS_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { EVENT_ALLOC, EVENT_FREE, EVENT_LATER } event_kind_t;

typedef struct {
    event_kind_t kind;
    uint32_t size;
} event_t;

enum { STREAM_LIVE = 512, STREAM_EVENTS = 8192 /* in a second */ };

typedef struct stream {
    void (*make)(struct stream *stream, uint64_t n, event_t *out);
    FILE *file;
    uint64_t seconds, events; /* of a synthetic one: its length, events so far */
    uint64_t at_ms;           /* of the event that was read ahead */
    event_t ahead;
    bool has_ahead;
    uint64_t random;
    uint32_t live[STREAM_LIVE]; /* sizes; 0: none */
} stream_t;

/* A file if `path` is not NULL. False: there is none, or no stream of that name. */
bool stream_open(stream_t *stream, const char *name, const char *path, unsigned seconds);
/* The next event before `end_ms`; EVENT_LATER: there is none, but there are later ones. False: the
 * stream has ended. */
bool stream_next(stream_t *stream, uint64_t end_ms, event_t *out);
void stream_close(stream_t *stream);

#ifdef __cplusplus
}
#endif
#endif /* HAK_TOOLS_LEARNER_SIM_STREAMS_H_ */
