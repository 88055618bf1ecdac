#include "tools/learner_sim/streams.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum { SECOND_MS = 1000, SWING = 240, PHASE_SECONDS = 100 };

static uint32_t random_below(stream_t *stream, uint32_t bound) {
    stream->random = stream->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((stream->random >> 33) % bound);
}

/* 240 allocations, then as many frees, of two sizes in turn. */
static void swing(uint64_t n, uint32_t first, uint32_t second, event_t *out) {
    uint64_t place = n / 2 % (uint64_t)(2 * SWING);
    *out = (event_t){place < SWING ? EVENT_ALLOC : EVENT_FREE, n % 2 == 0 ? first : second};
}

static void make_swing(stream_t *stream, uint64_t n, event_t *out) {
    (void)stream;
    swing(n, 32768, 4096, out);
}

static void make_phases(stream_t *stream, uint64_t n, event_t *out) {
    static const uint32_t sizes[] = {32768, 16384, 8192};
    (void)stream;
    uint64_t phase = n / STREAM_EVENTS / PHASE_SECONDS;
    swing(n, sizes[phase % 3], 4096, out);
}

/* Replaces one of the live blocks. */
static void replace(stream_t *stream, uint32_t size, event_t *out) {
    uint32_t *place = &stream->live[random_below(stream, STREAM_LIVE)];
    *out = *place == 0 ? (event_t){EVENT_ALLOC, size} : (event_t){EVENT_FREE, *place};
    *place = *place == 0 ? size : 0;
}

static void make_hot(stream_t *stream, uint64_t n, event_t *out) {
    uint32_t hot = n / STREAM_EVENTS < stream->seconds / 2 ? 14000 : 10000;
    replace(stream, random_below(stream, 4) != 0 ? hot : 2049 + random_below(stream, 30000), out);
}

static void make_uniform(stream_t *stream, uint64_t n, event_t *out) {
    (void)n;
    replace(stream, 1025 + random_below(stream, 31000), out);
}

bool stream_open(stream_t *stream, const char *name, const char *path, unsigned seconds) {
    static const struct {
        const char *name;
        void (*make)(stream_t *stream, uint64_t n, event_t *out);
    } streams[] = {{"swing", make_swing},
                   {"phases", make_phases},
                   {"hot", make_hot},
                   {"uniform", make_uniform}};
    *stream = (stream_t){.seconds = seconds, .random = 1};
    if (path != NULL) {
        stream->file = fopen(path, "r");
        return stream->file != NULL;
    }
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        if (strcmp(streams[i].name, name) == 0) {
            stream->make = streams[i].make;
        }
    }
    return stream->make != NULL;
}

/* A line that is no event ends the stream, as the file's end does. */
static bool read_ahead(stream_t *stream) {
    char sign;
    if (!stream->has_ahead) {
        stream->has_ahead = fscanf(stream->file, "%" SCNu64 " %c %" SCNu32, &stream->at_ms, &sign,
                                   &stream->ahead.size) == 3;
        stream->ahead.kind = sign == '+' ? EVENT_ALLOC : EVENT_FREE;
    }
    return stream->has_ahead;
}

bool stream_next(stream_t *stream, uint64_t end_ms, event_t *out) {
    *out = (event_t){EVENT_LATER, 0};
    if (stream->file != NULL) {
        if (!read_ahead(stream)) {
            return false;
        }
        if (stream->at_ms < end_ms) {
            *out = stream->ahead;
            stream->has_ahead = false;
        }
        return true;
    }
    if (stream->events < end_ms * STREAM_EVENTS / SECOND_MS) {
        stream->make(stream, stream->events++, out);
        return true;
    }
    return stream->events < stream->seconds * STREAM_EVENTS;
}

void stream_close(stream_t *stream) {
    if (stream->file != NULL) {
        (void)fclose(stream->file);
    }
}
