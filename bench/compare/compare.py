#!/usr/bin/env python3
"""Runs benchmark rows under several allocators, interleaved, and prints tables. See --help."""

import argparse
import csv
import json
import os
import platform
import re
import shutil
import subprocess
import sys

# The sources lie beside this file also where Bazel links them into a test's own tree.
sys.dont_write_bytecode = True  # leave no cache in the source tree
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import allocators  # noqa: E402
import rows  # noqa: E402
import tables  # noqa: E402

EXIT_RUN_FAILED = 1  # a program crashed, found a fault or took too long; its cells say "failed"
EXIT_USAGE = 2
EXIT_NOT_SERVED = 3  # another allocator than intended served a run: a table would be a lie

TIME, PEAK, AFTER = "ns_per_op", "peak_rss_bytes", "at_end_bytes"


class NotServed(Exception):
    """An allocator did not serve the program it was preloaded into."""


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="compare.sh",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs benchmark rows under glibc, hakmem and the installed peers,\n"
        "interleaved, so many rounds, and prints medians and ratios of time and memory.\n"
        "tools/compare.sh builds the programs and libhakmem.so unless --bin and --hakmem say\n"
        "where they are; it also takes --config=NAME (of .bazelrc) and --variant=NAME\n"
        "(lib<NAME>.so).",
        epilog="Exit status: 0; 1 if a run failed (its cells say so); 2 for a wrong command line;\n"
        "3 if an allocator did not serve a run. HAKMEM_* variables reach the programs, those of\n"
        "peers do not.",
    )
    add = parser.add_argument
    many = {"action": "append", "default": []}
    add("--hakmem", metavar="[NAME=]PATH", help="library to compare; may be repeated", **many)
    add("--no-hakmem", action="store_true", help="compare the others only")
    add("--peer", metavar="NAME=PATH", help="one more peer; may be repeated", **many)
    add("--no-peers", action="store_true", help="leave out the peers that Debian installed")
    add("--rows", metavar="LIST", help='"all", "quick", or names and globs with commas [all]')
    add("--rounds", type=int, metavar="N", help="runs of each row under each allocator [5]")
    add("--bin", metavar="DIR", help="folder of the programs, as DIR/pair/pair or DIR/pair")
    figure = {"choices": ["median", "min"], "default": "median"}
    add("--figure", help="what is shown of the rounds' times [median]", **figure)
    add("--cpus", metavar="LIST", help="CPUs to pin to, such as 2,3 or 4-7 [all that are allowed]")
    add("--timeout", type=float, default=120, metavar="S", help="a longer run has failed [120]")
    add("--csv", default="compare.csv", metavar="FILE", help="every single run [compare.csv]")
    add("--markdown", metavar="FILE", help="write the report there too")
    add("--smoke", action="store_true", help="one tiny round of few rows: checks, measures nothing")
    add("--list", action="store_true", help="print the names of the rows and exit")
    options = parser.parse_args(argv)
    if options.rounds is None:
        options.rounds = 1 if options.smoke else 5
    if options.rounds < 1 or options.timeout <= 0:
        parser.error("--rounds and --timeout must be above 0")
    try:
        options.rows = rows.select(options.rows, options.smoke)
        options.cpus = parse_cpus(options.cpus)
        options.hakmem = [allocators.given(text, "hakmem") for text in options.hakmem]
        options.peer = [allocators.given(text, "peer") for text in options.peer]
    except ValueError as error:
        parser.error(str(error))
    if not options.list and not options.bin:
        parser.error("--bin is missing (tools/compare.sh builds the programs and sets it)")
    if options.no_hakmem and options.hakmem:
        parser.error("--hakmem and --no-hakmem exclude each other")
    return options


def parse_cpus(text):
    """The CPUs of a list such as 0,2-3 that this process may use; all of them for None."""
    allowed = sorted(os.sched_getaffinity(0))
    if text is None:
        return allowed
    wanted = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ValueError("'%s' is no list of CPUs" % text)
        wanted.update(range(int(first), int(last or first) + 1))
    if not wanted <= set(allowed):
        raise ValueError("of CPUs %s only %s may be used" % (text, ",".join(map(str, allowed))))
    return sorted(wanted)


def find_allocators(options):
    """(the C library's first, peers, hakmems last; notes about what is missing)."""
    peers, notes = ([], []) if options.no_peers else allocators.installed_peers()
    chosen = [allocators.Allocator("glibc", None, "libc")] + peers + options.peer + options.hakmem
    names = [allocator.name for allocator in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ValueError("two allocators have the name %s" % name)
    return chosen, notes


def program_path(options, program):
    for path in (os.path.join(options.bin, program, program), os.path.join(options.bin, program)):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise ValueError("there is no program %s in %s" % (program, options.bin))


def command_of(options, allocator, row, smoke):
    """The command and the environment of one run.

    taskset and env run before LD_PRELOAD is set, so the allocator is in the measured program alone.
    One thread is pinned to the last CPU: the first one serves most interrupts.
    """
    environment, settings = allocators.environment_of(allocator)
    command = ["env"] + settings + [program_path(options, row.program)] + rows.args_of(row, smoke)
    if shutil.which("taskset"):
        cpus = options.cpus[-row.threads :]
        command = ["taskset", "-c", ",".join(map(str, cpus))] + command
    return command, environment


def run_once(options, allocator, row, smoke):
    """(report, None), or (None, what went wrong). Raises NotServed."""
    command, environment = command_of(options, allocator, row, smoke)
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=options.timeout,
        )
    except subprocess.TimeoutExpired:
        return None, "took longer than %g s" % options.timeout
    message = done.stderr.strip()
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = None
    if done.returncode != 0 or report is None:
        code = done.returncode
        how = "died of signal %d" % -code if code < 0 else "exit status %d" % code
        return None, how + (": " + message if message else "")
    why = allocators.why_not_served(allocator, report)
    if why:
        said = "\n" + message if message else ""
        raise NotServed("%s, row %s: %s%s" % (allocator.name, row.name, why, said))
    return report, None


def progress(text):
    """One line on stderr that the next one replaces, or a line each where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
    elif text:
        sys.stderr.write(text + "\n")
    sys.stderr.flush()


def preflight(options, chosen):
    """Asks each allocator for one tiny run before hours are spent. Returns {name: version}."""
    versions = {}
    row = rows.select("pair_64", True)[0]
    for allocator in chosen:
        report, why = run_once(options, allocator, row, True)
        if report is None:
            raise NotServed("%s cannot run the smallest program: %s" % (allocator.name, why))
        versions[allocator.name] = report["version"]
    return versions


def measure(options, chosen, sink):
    """({(row, allocator, figure): [values]}, [failures]).

    The allocators take turns in being the first of a row.
    """
    figures, failures = {}, []
    total = options.rounds * len(options.rows) * len(chosen)
    count = 0
    for number in range(options.rounds):
        for place, row in enumerate(options.rows):
            turn = (number + place) % len(chosen)
            for allocator in chosen[turn:] + chosen[:turn]:
                count += 1
                where = (count, total, number + 1, options.rounds, row.name, allocator.name)
                progress("[%d/%d] round %d/%d %s %s" % where)
                report, why = run_once(options, allocator, row, options.smoke)
                if report is None:
                    where = (row.name, allocator.name, number + 1, why)
                    failures.append("%s under %s, round %d: %s" % where)
                    sink.writerow([number + 1, row.name, allocator.name, "", "", "", "", "failed"])
                    continue
                result = report["rows"][0]
                after = result["notes"].get(AFTER)
                time = result[options.figure]
                for key, value in ((TIME, time), (PEAK, report[PEAK]), (AFTER, after)):
                    if value is not None:
                        figures.setdefault((row.name, allocator.name, key), []).append(value)
                # The name alone: a path would tell of one machine.
                served = os.path.basename(report["served_by_malloc"])
                rest = [time, report[PEAK], after, result["ops"], served]
                sink.writerow([number + 1, row.name, allocator.name] + rest)
    progress("")
    return figures, failures


def machine_lines(options, chosen, versions):
    """What the figures depend on, as a Markdown list."""

    def ask(*command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return done.stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    found = re.search(r"^Model name:\s*(.*)$", ask("lscpu"), re.MULTILINE)
    model = found.group(1) if found else platform.machine()
    here = os.path.dirname(os.path.realpath(__file__))
    commit = ask("git", "-C", here, "rev-parse", "--short", "HEAD") or "unknown"
    dirty = " with local changes" if ask("git", "-C", here, "status", "--porcelain") else ""
    ours = sorted(item for item in os.environ.items() if item[0].startswith("HAKMEM_"))
    pinned = "" if shutil.which("taskset") else ", not pinned"
    lines = [
        "machine: %s, CPUs %s" % (model, ",".join(map(str, options.cpus))),
        "C library: %s" % " ".join(platform.libc_ver()),
        "kernel: %s" % platform.release(),
        "commit: %s%s" % (commit, dirty),
        "rounds: %d, %s; allocators interleaved%s" % (options.rounds, options.figure, pinned),
    ]
    if ours:
        lines.append("settings: " + " ".join("%s=%s" % item for item in ours))
    for allocator in chosen:
        version = versions[allocator.name]
        name = os.path.basename(allocator.path) if allocator.path else "the C library's own"
        said = "" if version == "unknown" else ", version " + version
        lines.append("%s: %s%s" % (allocator.name, name, said))
    return ["- " + line for line in lines]


def report_lines(options, chosen, versions, figures):
    """The whole report as Markdown."""
    lines = machine_lines(options, chosen, versions)
    if options.smoke:
        lines += ["", "A smoke run: it checks the tool, its figures say nothing."]
    names = [row.name for row in options.rows]
    watched = {(name, key) for name, _, key in figures}
    parts = [
        ("Time, ns per operation", TIME, "%.2f", 1),
        ("Peak RSS, MiB", PEAK, "%.1f", 1 << 20),
        ("RSS at the end of the watch, MiB", AFTER, "%.1f", 1 << 20),
    ]
    for title, key, form, unit in parts:
        # Most rows do not watch anything; but a row that failed must show in the other two tables.
        shown = names if key != AFTER else [n for n in names if (n, AFTER) in watched]
        if not shown:
            continue
        table = {}
        for name in shown:
            table[name] = {}
            for allocator in chosen:
                summary = tables.least if key == TIME and options.figure == "min" else tables.median
                value = summary(figures.get((name, allocator.name, key), []))
                table[name][allocator.name] = None if value is None else value / unit
        lines += ["", "## " + title, ""] + tables.ratio_table(shown, chosen, table, form)
    return lines


def main(argv):
    options = parse_arguments(argv)
    if options.list:
        print("\n".join(row.name for row in rows.ROWS))
        return 0
    try:
        chosen, notes = find_allocators(options)
        for row in options.rows:
            program_path(options, row.program)
    except ValueError as error:
        print("compare: error: %s" % error, file=sys.stderr)
        return EXIT_USAGE
    for note in notes:
        print("compare: " + note, file=sys.stderr)
    if not options.hakmem and not options.no_hakmem:
        print("compare: no --hakmem: the others are compared among themselves", file=sys.stderr)
    try:
        versions = preflight(options, chosen)
        with open(options.csv, "w", newline="") as file:
            sink = csv.writer(file)
            sink.writerow(["round", "row", "allocator", TIME, PEAK, AFTER, "ops", "served_by"])
            figures, failures = measure(options, chosen, sink)
    except NotServed as error:
        progress("")
        print("compare: NOT SERVED: %s" % error, file=sys.stderr)
        return EXIT_NOT_SERVED
    except OSError as error:
        print("compare: error: %s" % error, file=sys.stderr)
        return EXIT_USAGE
    text = "\n".join(report_lines(options, chosen, versions, figures)) + "\n"
    sys.stdout.write(text)
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(text)
    print("compare: every run is in %s" % options.csv, file=sys.stderr)
    for failure in failures:
        print("compare: FAILED: " + failure, file=sys.stderr)
    return EXIT_RUN_FAILED if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
