"""The rows that race.py can run: which program, with which arguments, on how many CPUs.

They stand in bench/rows.txt. A row whose threads outnumber the machine's CPUs gets all there are.
"""

import collections
import fnmatch
import os
import sys

# name: the row in tables. program: in bench/. args: of a full run; a smoke run has the program's
# own small defaults. threads: CPUs that it can use. quick: part of the short list. behaviour: the
# group of rows that counts as one in means.
Row = collections.namedtuple("Row", "name program args threads quick behaviour")

ROWS_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "rows.txt")

# The short list: each mechanism once.
QUICK = {
    "pair_64",
    "pair_32k",
    "lifo_1k",
    "replace_10k",
    "replace_200k",
    "random_mixed",
    "larson",
    "mid_large_mt",
    "prodcons_64",
    "xthread_generations",
    "xthread_churn",
    "large_1m",
    "large_replace",
    "large_realloc",
    "spike",
}

# Threads by the parameter that sets them: so many for each, and so many beside.
THREADS_BY = {"--threads": (1, 0), "--pairs": (2, 0), "--fan": (1, 1)}


def threads_of(args):
    """How many threads a program runs with `args`; 1 if they do not say."""
    for arg in args:
        name, _, value = arg.partition("=")
        if name in THREADS_BY:
            each, beside = THREADS_BY[name]
            return int(value) * each + beside
    return 1


def parse(lines):
    """The rows of a file such as rows.txt. Raises ValueError for a line that is none."""
    found = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) < 3 or any(row.name == words[1] for row in found):
            raise ValueError("line %d of the rows: too short or named twice" % number)
        behaviour, name, program = words[:3]
        args = words[3:]
        try:
            threads = threads_of(args)
        except ValueError as error:
            raise ValueError("line %d of the rows: %s" % (number, error)) from error
        found.append(Row(name, program, args, threads, name in QUICK, behaviour))
    return found


def _read():
    try:
        with open(ROWS_FILE) as file:
            return parse(file)
    except (OSError, ValueError) as error:
        print("error: %s" % error, file=sys.stderr)
        sys.exit(2)


ROWS = _read()

# Rows of a --smoke run: every program once.
SMOKE = [
    "pair_64",
    "liveset_1k",
    "random_mixed",
    "larson",
    "mid_large_mt",
    "prodcons_64",
    "pingpong_64_t2",
    "xthread_churn",
    "false_active_t2",
    "calloc_64",
    "aligned_64_t1",
    "large_1m",
    "spike",
    "phase_shift_t2",
    "startup_empty",
    "latency_larson_t2",
]


def args_of(row, smoke):
    """The command line of `row` after the program's name."""
    if not smoke:
        return row.args + ["--json"]
    return [arg for arg in row.args if arg.startswith("--rows=")] + ["--smoke", "--json"]


def select(text, smoke):
    """The rows that `text` names, in their own order: "all", "quick", or names and globs.

    Raises ValueError for a name that fits no row.
    """
    if text is None:
        text = ",".join(SMOKE) if smoke else "all"
    if text == "all":
        return list(ROWS)
    if text == "quick":
        return [row for row in ROWS if row.quick]
    wanted = set()
    for pattern in text.split(","):
        found = [row.name for row in ROWS if fnmatch.fnmatchcase(row.name, pattern)]
        if not found:
            raise ValueError("there is no row '%s'; --list names them" % pattern)
        wanted.update(found)
    return [row for row in ROWS if row.name in wanted]
