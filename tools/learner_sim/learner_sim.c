/* learner_sim: plays a stream of allocations and frees through the learner with a clock of its own,
 * and prints what it decided as CSV; docs/learner.md explains the columns.
 *
 * The step function is the shipped one. The pool around it is a model (model.h): it counts and
 * holds no memory, so an hour passes in a second and every run of a stream gives the same output.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boxes/learner/learner.h"
#include "boxes/learner/learner_text.h"
#include "tools/learner_sim/model.h"
#include "tools/learner_sim/streams.h"

enum { WINDOW_MS = 1000 };

typedef struct {
    const char *stream, *file;
    unsigned seconds;
    bool log;
    hak_learner_config_t config;
} sim_options_t;

static const char usage[] =
    "usage: learner_sim [OPTION]...\n"
    "Plays a stream through the learner and prints a line of CSV for each second.\n"
    "  --stream=NAME   swing, phases, hot or uniform (default swing)\n"
    "  --file=PATH     a recorded stream instead; lines \"MS + SIZE\" and \"MS - SIZE\"\n"
    "  --seconds=N     of a synthetic stream (default 300)\n"
    "  --target=N      hit rate in thousandths (default 650)\n"
    "  --step=N --min=N --max=N --dwell-ms=N --budget=N   of caps\n"
    "  --w-max         learns W_MAX;  --dyn  sizes of DYN1 and DYN2\n"
    "  --log           decisions on standard error\n";

static bool take_number(const char *argument, const char *name, uint32_t *out) {
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0 || argument[length] != '=') {
        return false;
    }
    *out = (uint32_t)strtoul(argument + length + 1, NULL, 10);
    return true;
}

static bool take_switch(const char *argument, sim_options_t *o) {
    if (strcmp(argument, "--w-max") == 0) {
        o->config.learn_w_max = true;
    } else if (strcmp(argument, "--dyn") == 0) {
        o->config.dyn_auto[0] = o->config.dyn_auto[1] = true;
    } else if (strcmp(argument, "--log") == 0) {
        o->log = true;
    } else if (strncmp(argument, "--stream=", 9) == 0) {
        o->stream = argument + 9;
    } else if (strncmp(argument, "--file=", 7) == 0) {
        o->file = argument + 7;
    } else {
        return false;
    }
    return true;
}

static bool take_option(const char *argument, sim_options_t *o) {
    hak_learner_config_t *c = &o->config;
    return take_switch(argument, o) || take_number(argument, "--seconds", &o->seconds) ||
           take_number(argument, "--target", &c->target_permille) ||
           take_number(argument, "--step", &c->cap_step) ||
           take_number(argument, "--min", &c->cap_min) ||
           take_number(argument, "--max", &c->cap_max) ||
           take_number(argument, "--dwell-ms", &c->cap_dwell_ms) ||
           take_number(argument, "--budget", &c->budget);
}

static void print_head(void) {
    printf("second");
    for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
        printf(",hit_%u,cap_%u,pages_%u", 2048u << ci, 2048u << ci, 2048u << ci);
    }
    printf(",w_max,dyn1,dyn2,waste_bytes,changes\n");
}

/* A class without requests in the second has an empty cell: it has no hit rate. */
static void print_second(uint64_t second, const model_t *model, const hak_learner_totals_t *before,
                         const hak_learner_decisions_t *decisions) {
    const hak_learner_totals_t *now = &model->totals;
    printf("%" PRIu64, second);
    for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
        uint64_t hits = now->hits[ci] - before->hits[ci];
        uint64_t all = hits + now->misses[ci] - before->misses[ci];
        if (all == 0) {
            printf(",");
        } else {
            printf(",%.3f", (double)hits / (double)all);
        }
        printf(",%" PRIu32 ",%" PRIu32, decisions->policy.cap[ci], model_pages(model, ci));
    }
    printf(",%" PRIu32 ".%02" PRIu32, decisions->policy.w_max_mid / 100,
           decisions->policy.w_max_mid % 100);
    printf(",%" PRIu32 ",%" PRIu32, decisions->policy.dyn_bytes[0], decisions->policy.dyn_bytes[1]);
    printf(",%" PRIu64 ",%" PRIu32 "\n", now->ace.waste_bytes - before->ace.waste_bytes,
           decisions->count);
}

static void print_decisions(const hak_learner_decisions_t *decisions, uint64_t second) {
    for (unsigned i = 0; i < decisions->count; i++) {
        hak_text_t text;
        hak_text_init(&text, -1);
        hak_learner_put_change(&text, &decisions->change[i]);
        fprintf(stderr, "%6" PRIu64 " s  %.*s\n", second, (int)text.length, text.buffer);
    }
}

int main(int argc, char **argv) {
    static sim_options_t options = {.stream = "swing", .seconds = 300};
    static model_t model;
    static hak_learner_t learner;
    static hak_learner_totals_t before;
    static hak_learner_decisions_t decisions;
    hak_learner_defaults(&options.config);
    for (int i = 1; i < argc; i++) {
        if (!take_option(argv[i], &options)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    stream_t stream;
    if (!stream_open(&stream, options.stream, options.file, options.seconds)) {
        fprintf(stderr, "learner_sim: no such stream\n");
        return 2;
    }
    model_init(&model);
    hak_learner_init(&learner, &options.config);
    hak_learner_step(&learner, &model.totals, &decisions);
    model_set(&model, &decisions.policy);
    print_head();
    event_t event;
    bool more = true;
    for (uint64_t end_ms = WINDOW_MS; more; end_ms += WINDOW_MS) {
        before = model.totals;
        while ((more = stream_next(&stream, end_ms, &event)) && event.kind != EVENT_LATER) {
            model_play(&model, event.kind == EVENT_ALLOC, event.size);
        }
        model_end_window(&model, end_ms);
        hak_learner_step(&learner, &model.totals, &decisions);
        print_second(end_ms / WINDOW_MS, &model, &before, &decisions);
        if (options.log) {
            print_decisions(&decisions, end_ms / WINDOW_MS);
        }
        model_begin_window(&model);
        model_set(&model, &decisions.policy);
    }
    stream_close(&stream);
    return 0;
}
