"""The rows that race.py can run: which program, with which arguments, on how many CPUs.

The arguments keep one run under about two seconds with most allocators, so that many rounds of all
rows are affordable. A row whose threads outnumber the machine's CPUs gets all there are.
"""

import collections
import fnmatch

# name: the row in tables. program: in bench/. args: of a full run; a smoke run has the program's
# own small defaults. threads: CPUs that it can use. quick: part of the short list.
Row = collections.namedtuple("Row", "name program args threads quick")


def _pair(name, quick=False):
    return Row(name, "pair", ["--rows=" + name, "--rounds=3"], 1, quick)


def _large(name, quick=False):
    return Row(name, "large", ["--rows=" + name, "--rounds=1", "--bytes=2g"], 1, quick)


ROWS = [
    _pair("pair_16"),
    _pair("pair_64", quick=True),
    _pair("pair_1k"),
    _pair("pair_4k"),
    _pair("pair_32k", quick=True),
    _pair("pair_mixed"),
    _pair("lifo_1k", quick=True),
    _pair("fifo_1k"),
    _pair("lifo_100k"),
    _pair("fifo_100k"),
    _pair("replace_10k", quick=True),
    _pair("replace_200k", quick=True),
    Row("random_mixed", "random_mixed", ["10000000", "4096", "42", "--rounds=1"], 1, True),
    # sleep min max chunks rounds seed threads
    Row("larson", "larson", ["1", "8", "1000", "5000", "100", "4141", "4"], 4, True),
    Row("larson_mid", "larson", ["1", "2048", "32768", "10000", "1", "12345", "4"], 4, False),
    # threads cycles ws seed
    Row("mid_large_mt", "mid_large_mt", ["4", "3000", "256", "1", "--rounds=1"], 4, True),
    Row("prodcons_64", "prodcons", ["--rows=prodcons_64", "--rounds=1"], 2, True),
    Row("prodcons_mixed", "prodcons", ["--rows=prodcons_mixed", "--rounds=1"], 2, False),
    Row("xthread_generations", "xthread", ["--rows=xthread_generations", "--rounds=1"], 4, True),
    Row("xthread_churn", "xthread", ["--rows=xthread_churn", "--rounds=1"], 4, True),
    _large("large_64k"),
    _large("large_256k"),
    _large("large_1m", quick=True),
    _large("large_8m"),
    _large("large_32m"),
    _large("large_replace", quick=True),
    _large("large_realloc", quick=True),
    _large("large_append"),
    # The program's default is a gigabyte; this fits small machines and shows the same shares.
    Row("spike", "spike", ["--mib=256", "--watch-ms=1500"], 4, True),
]

# Rows of a --smoke run: every program once.
SMOKE = [
    "pair_64",
    "random_mixed",
    "larson",
    "mid_large_mt",
    "prodcons_64",
    "xthread_churn",
    "large_1m",
    "spike",
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
