"""What does HAKMEM_LEARN=1 cost? Instructions of rows with one thread, CPU time of those with more.

usage: learn_cost.py [--check PERCENT] --bin DIR --library NAME=PATH... [--off ENV] [--on ENV]
                     [--rows LIST] [--also ROW] [--scale N] [--time ROUNDS] [--out FILE]

Without --time each row runs under callgrind, with a part of the operations that bench/rows.txt
gives it (--scale, one in so many), once with --off (default nothing) and once with --on (default
HAKMEM_LEARN=1). What starting the learner costs is the difference of a program that does next to
nothing; it is named apart and left out of the ratios. With --check the exit status is 1 if a ratio
is above 1 by more than so many percent.

Rows are those with one thread, with --time those with more, unless --rows names them; --also adds
one that is written as in bench/rows.txt.

With --time N each row runs N times, on and off in turn, and a second time off as control: the
ratios are of CPU time per operation, of the medians and of the minima; that of the control says how
much of a difference is noise. These runs are in full unless --scale says otherwise.

Exit status: 0, 1 as said, 2 could not measure.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rows  # noqa: E402

TIMEOUT_S = 600
# Arguments that say how much a program does, with the least that makes sense.
AMOUNTS = {"ops": 1000, "iters": 1000, "cycles": 50, "generations": 4, "steps": 2, "bytes": 1 << 24,
           "mib": 16, "processes": 1}
UNITS = {"k": 1000, "m": 1000 ** 2, "g": 1000 ** 3}
# Rows that callgrind cannot compare: larson runs for a given time, and startup's work is done by
# processes that it starts. liveset_10m alone would take as long as all others.
NOT_COUNTED = ("larson", "larson_t1", "larson_mid_t1", "startup_*", "liveset_10m")
START = rows.Row("start", "pair", ["--rows=pair_16", "--rounds=1", "--ops=1000"], 1, False, "")


class Failure(Exception):
    """The measurement cannot be made; the message says why."""


def scaled(args, scale):
    found = []
    for arg in args:
        name, _, value = arg.lstrip("-").partition("=")
        if name in AMOUNTS:
            number = int(value.rstrip("kmg")) * UNITS.get(value[-1], 1)
            arg = "--%s=%d" % (name, max(number // scale, AMOUNTS[name]))
        elif name == "watch-ms":
            arg = "--watch-ms=100"
        elif name == "rounds":
            arg = "--rounds=1"
        found.append(arg)
    return found


def program(args, row):
    beside = os.path.join(args.bin, row.program)
    return os.path.join(beside, row.program) if os.path.isdir(beside) else beside


def environment(library, text):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HAKMEM_")}
    clean.update(pair.split("=", 1) for pair in text.split())
    return dict(clean, LD_PRELOAD=os.path.abspath(library))


def count(args, row, library, text, scale):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               program(args, row)] + scaled(row.args, scale)
    try:
        done = subprocess.run(command, env=environment(library, text), stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, universal_newlines=True, timeout=TIMEOUT_S,
                              check=False)
    except FileNotFoundError:
        raise Failure("valgrind is not installed: tools/setup.sh test installs it")
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise Failure("%s failed with %d:\n%s" % (" ".join(command), done.returncode, done.stderr))
    return int(found.group(1))


def cpu_ns(args, row, library, text):
    """CPU time of the process for each operation."""
    command = [program(args, row)] + scaled(row.args, args.scale) + ["--json"]
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as output:
        pid = os.posix_spawn(command[0], command, environment(library, text),
                             file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
        os.close(writing)
        printed = output.read()
        _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise Failure("%s ended with status %d" % (" ".join(command), status))
    ops = sum(found["ops"] for found in json.loads(printed)["rows"])
    return (usage.ru_utime + usage.ru_stime) * 1e9 / max(ops, 1)


def count_rows(args, name, path, chosen):
    """Yields (row, ratio, cells)."""
    start = count(args, START, path, args.on, 1) - count(args, START, path, args.off, 1)
    yield "start", 1.0, ["start", name, "%d instructions more" % start]
    for row in chosen:
        off = count(args, row, path, args.off, args.scale)
        on = count(args, row, path, args.on, args.scale) - start
        yield row.name, on / off, [row.name, name, "%.1f" % (off / 1e6), "%.4f" % (on / off)]


def time_rows(args, name, path, chosen):
    for row in chosen:
        runs = {"off": [], "on": [], "control": []}
        for number in range(args.time):
            order = list(runs)[number % 3:] + list(runs)[:number % 3]
            for kind in order:
                text = args.on if kind == "on" else args.off
                runs[kind].append(cpu_ns(args, row, path, text))
        cells = [row.name, name, "%.1f" % statistics.median(runs["off"])]
        for kind in ("on", "control"):
            for figure in (statistics.median, min):
                cells.append("%.3f" % (figure(runs[kind]) / figure(runs["off"])))
        yield row.name, 1.0, cells


def choose(args):
    if args.rows:
        return rows.select(args.rows, False) + rows.parse(args.also)
    left_out = rows.select(",".join(NOT_COUNTED), False)
    found = [row for row in rows.ROWS
             if (row.threads > 1 if args.time else row.threads == 1 and row not in left_out)]
    return found + rows.parse(args.also)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--library", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--off", default="")
    parser.add_argument("--on", default="HAKMEM_LEARN=1")
    parser.add_argument("--rows")
    parser.add_argument("--also", action="append", default=[])
    parser.add_argument("--scale", type=int)
    parser.add_argument("--time", type=int, metavar="ROUNDS")
    parser.add_argument("--check", type=float, metavar="PERCENT")
    parser.add_argument("--out", type=argparse.FileType("w"), default=sys.stdout)
    args = parser.parse_args()
    args.scale = args.scale or (1 if args.time else 20)
    return args


def main():
    args = parse_arguments()
    head = ["row", "library"]
    head += ["ns off", "on, median", "on, least", "control, median", "control, least"] \
        if args.time else ["million instructions off", "on"]
    args.out.write("| %s |\n%s|\n" % (" | ".join(head), "|---" * len(head)))
    worst = []
    for library in args.library:
        name, _, path = library.partition("=")
        measure = time_rows if args.time else count_rows
        for row, ratio, cells in measure(args, name, path, choose(args)):
            args.out.write("| %s |\n" % " | ".join(cells))
            args.out.flush()
            worst.append((ratio, row, name))
    if args.check is not None and max(worst)[0] > 1 + args.check / 100:
        sys.exit("%s of %s takes %.2f %% more instructions than it may"
                 % (max(worst)[1], max(worst)[2], (max(worst)[0] - 1) * 100 - args.check))


if __name__ == "__main__":
    try:
        main()
    except (Failure, ValueError, OSError, subprocess.TimeoutExpired) as failure:
        print("learn_cost.py: %s" % failure, file=sys.stderr)
        sys.exit(2)
