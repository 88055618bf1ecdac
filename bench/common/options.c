/* options: getopt_long over a table made of the fixed options and the program's parameters, so that
 * each parameter can be given by name, and by position as in the published command lines. */
#include "bench/common/options.h"

#include "bench/common/machine.h"
#include "bench/common/stats.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_HELP = 256,
    OPT_LIST,
    OPT_JSON,
    OPT_SMOKE,
    OPT_ROUNDS,
    OPT_ROWS,
    OPT_L3,
    OPT_PARAM, /* OPT_PARAM + i is parameter i */
};

static const struct option fixed_options[] = {
    {"help", no_argument, NULL, OPT_HELP},         {"list", no_argument, NULL, OPT_LIST},
    {"json", no_argument, NULL, OPT_JSON},         {"smoke", no_argument, NULL, OPT_SMOKE},
    {"rounds", required_argument, NULL, OPT_ROUNDS}, {"rows", required_argument, NULL, OPT_ROWS},
    {"l3-bytes", required_argument, NULL, OPT_L3},
};
enum { FIXED_COUNT = sizeof fixed_options / sizeof fixed_options[0] };

static void print_help(const hak_bench_program_t *program) {
    printf("Usage: %s [OPTION]...", program->name);
    for (size_t i = 0; i < program->param_count; i++) {
        printf(" [%s]", program->params[i].name);
    }
    printf("\n%s\n\nParameters, by position or by name:\n", program->summary);
    for (size_t i = 0; i < program->param_count; i++) {
        const hak_bench_param_t *param = &program->params[i];
        int width = 18 - (int)strlen(param->name);
        printf("  --%s=N%*s%s [%llu]\n", param->name, width > 1 ? width : 1, "", param->help,
               (unsigned long long)param->normal);
    }
    printf("\nRows:\n");
    for (size_t i = 0; i < program->row_count; i++) {
        printf("  %-20s %s\n", program->rows[i].name, program->rows[i].help);
    }
    printf("\nOptions:\n"
           "  --rows=NAME,...      run these rows only [all]\n"
           "  --rounds=N           measure each row N times [%u], 1 with --smoke\n"
           "  --l3-bytes=N         compare working sets with N bytes, not with this machine's L3\n"
           "  --json               print one JSON object\n"
           "  --smoke              small defaults: check the program in less than a second\n"
           "  --list               print the names of the rows and exit\n"
           "  --help               print this and exit\n\n"
           "Run it under any allocator with LD_PRELOAD; the report says who served malloc.\n"
           "Exit status: 0, 1 if a check failed or memory ran out, 2 for a wrong command line.\n",
           program->rounds);
}

/* A whole number with an optional suffix k, m or g (powers of 1024). */
static bool parse_number(const char *text, uint64_t *value) {
    char *end;

    if (!isdigit((unsigned char)text[0])) {
        return false; /* strtoull takes signs and leading blanks */
    }
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (*end != '\0') {
        const char *suffix = strchr("kmg", tolower((unsigned char)*end));
        if (suffix == NULL || end[1] != '\0') {
            return false;
        }
        shift = *suffix == 'k' ? 10 : *suffix == 'm' ? 20 : 30;
    }
    *value = (uint64_t)number << shift;
    return errno == 0 && *value >> shift == number;
}

static bool set_number(const hak_bench_program_t *program, const char *name, const char *text,
                       uint64_t min, uint64_t max, uint64_t *value) {
    uint64_t number;

    if (!parse_number(text, &number) || number < min || number > max) {
        fprintf(stderr, "%s: %s must be a whole number from %llu to %llu, not '%s'\n",
                program->name, name, (unsigned long long)min, (unsigned long long)max, text);
        return false;
    }
    *value = number;
    return true;
}

static bool set_param(const hak_bench_program_t *program, size_t index, const char *text,
                      hak_bench_options_t *options) {
    const hak_bench_param_t *param = &program->params[index];
    return set_number(program, param->name, text, param->min, param->max, &options->param[index]);
}

static bool select_rows(const hak_bench_program_t *program, const char *list, uint64_t *selected) {
    *selected = 0;
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        size_t i = 0;
        while (i < program->row_count && (strlen(program->rows[i].name) != length ||
                                          strncmp(program->rows[i].name, list, length) != 0)) {
            i++;
        }
        if (i == program->row_count) {
            fprintf(stderr, "%s: there is no row '%.*s'; --list names them\n", program->name,
                    (int)length, list);
            return false;
        }
        *selected |= (uint64_t)1 << i;
        list += length + (list[length] == ',');
    }
    if (*selected == 0) {
        fprintf(stderr, "%s: --rows needs at least one name\n", program->name);
    }
    return *selected != 0;
}

static void fill_table(const hak_bench_program_t *program, struct option *table) {
    memcpy(table, fixed_options, sizeof fixed_options);
    for (size_t i = 0; i < program->param_count; i++) {
        table[FIXED_COUNT + i] = (struct option){program->params[i].name, required_argument, NULL,
                                                 OPT_PARAM + (int)i};
    }
}

/* Defaults come before the values that the user gave, so --smoke may stand anywhere. */
static void fill_defaults(const hak_bench_program_t *program, int argc, char **argv,
                          hak_bench_options_t *options) {
    memset(options, 0, sizeof *options);
    for (int i = 1; i < argc; i++) {
        options->smoke = options->smoke || strcmp(argv[i], "--smoke") == 0;
    }
    for (size_t i = 0; i < program->param_count; i++) {
        const hak_bench_param_t *param = &program->params[i];
        options->param[i] = options->smoke ? param->smoke : param->normal;
    }
    options->rounds = options->smoke ? 1 : program->rounds;
    options->l3_bytes = hak_bench_l3_bytes();
    options->selected = UINT64_MAX >> (64 - program->row_count);
}

/* Takes one option; HAK_BENCH_GO means: go on with the next. */
static hak_bench_verdict_t take_option(const hak_bench_program_t *program, int opt,
                                       hak_bench_options_t *options) {
    uint64_t number;

    switch (opt) {
    case OPT_HELP:
        print_help(program);
        return HAK_BENCH_DONE;
    case OPT_LIST:
        for (size_t i = 0; i < program->row_count; i++) {
            puts(program->rows[i].name);
        }
        return HAK_BENCH_DONE;
    case OPT_JSON:
        options->json = true;
        return HAK_BENCH_GO;
    case OPT_SMOKE:
        if (!options->smoke) { /* fill_defaults does not know getopt's abbreviations */
            fprintf(stderr, "%s: write --smoke in full\n", program->name);
            return HAK_BENCH_WRONG;
        }
        return HAK_BENCH_GO;
    case OPT_ROUNDS:
        if (!set_number(program, "rounds", optarg, 1, HAK_BENCH_ROUNDS_MAX, &number)) {
            return HAK_BENCH_WRONG;
        }
        options->rounds = (unsigned)number;
        return HAK_BENCH_GO;
    case OPT_ROWS:
        return select_rows(program, optarg, &options->selected) ? HAK_BENCH_GO : HAK_BENCH_WRONG;
    case OPT_L3:
        return set_number(program, "l3-bytes", optarg, 0, UINT64_MAX / 2, &options->l3_bytes)
                   ? HAK_BENCH_GO
                   : HAK_BENCH_WRONG;
    default:
        if (opt < OPT_PARAM) {
            fprintf(stderr, "Try '%s --help'.\n", program->name);
            return HAK_BENCH_WRONG; /* getopt_long has said what is wrong */
        }
        return set_param(program, (size_t)(opt - OPT_PARAM), optarg, options) ? HAK_BENCH_GO
                                                                              : HAK_BENCH_WRONG;
    }
}

hak_bench_verdict_t hak_bench_options_parse(const hak_bench_program_t *program, int argc,
                                            char **argv, hak_bench_options_t *options) {
    struct option table[FIXED_COUNT + HAK_BENCH_PARAMS_MAX + 1] = {0};
    int opt;

    fill_table(program, table);
    fill_defaults(program, argc, argv, options);
    while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1) {
        hak_bench_verdict_t verdict = take_option(program, opt, options);
        if (verdict != HAK_BENCH_GO) {
            return verdict;
        }
    }
    for (int i = optind; i < argc; i++) {
        size_t index = (size_t)(i - optind);
        if (index >= program->param_count) {
            fprintf(stderr, "%s: '%s' is one argument too many\nTry '%s --help'.\n", program->name,
                    argv[i], program->name);
            return HAK_BENCH_WRONG;
        }
        if (!set_param(program, index, argv[i], options)) {
            return HAK_BENCH_WRONG;
        }
    }
    const char *why = program->refuse != NULL ? program->refuse(options->param) : NULL;
    if (why != NULL) {
        fprintf(stderr, "%s: %s\n", program->name, why);
        return HAK_BENCH_WRONG;
    }
    return HAK_BENCH_GO;
}
