#!/usr/bin/env python3
"""Races allocators over benchmark rows, interleaved, and reports on it. See --help."""

import argparse
import csv
import json
import os
import shutil
import signal
import sys

# The sources lie beside this file also where Bazel links them into a test's own tree.
sys.dont_write_bytecode = True  # leave no cache in the source tree
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import allocators  # noqa: E402
import figures  # noqa: E402
import machine  # noqa: E402
import page  # noqa: E402
import rows  # noqa: E402
import runner  # noqa: E402
import tables  # noqa: E402

EXIT_RUN_FAILED = 1  # a program crashed, found a fault or took too long; its cells say "failed"
EXIT_USAGE = 2
EXIT_NOT_SERVED = 3  # another allocator than intended served a run: a table would be a lie
EXIT_INTERRUPTED = 130

DAY_S = 24 * 60 * 60  # what waits longer waits for ever, and the system's calls refuse some of it

FILES = ("race.csv", "race.json", "race.md", "race.html")
FORMAT = 1  # of the JSON file; a reader refuses another one

CSV_COLUMNS = ["round", "row", "behaviour", "allocator", figures.TIME, figures.PEAK]
CSV_COLUMNS += [figures.AFTER, "ops", "served_by", "seconds", "notes"]

HELP = """\
Races hakmem against glibc, the peers that Debian installed and any others, row by row,
interleaved, for so many rounds, each program pinned, and reports medians and ratios of time and
memory. tools/race.sh builds the programs and lib<NAME>.so unless --bin and --hakmem say where
they are."""

EPILOG = """\
only tools/race.sh itself takes
  --variant NAME       a variant of hakmem to build and race, by the name of its library; may be
                       repeated [hakmem]
  --config NAME        build with this configuration of .bazelrc

files in --out
  race.html            the report: plots and tables in one file that loads nothing else
  race.json            everything: machine, parameters, every run; --from reads it
  race.csv             a line for each run, written while the race goes on
  race.md              the tables that are also printed

exit status
  0                    every run went well
  1                    a run failed: its cells say "failed", the rest holds
  2                    wrong command line, or a file cannot be read or written
  3                    another allocator than intended served a run: there is no report
  130                  interrupted: the report holds the runs that were made

HAKMEM_* variables reach the programs and stand in the report; those of peers are taken out.
Below 1, a ratio is better than the best of the other allocators in its row."""


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="tools/race.sh",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=HELP,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add = parser.add_argument
    many = {"action": "append", "default": []}
    library = "library of hakmem to race; may be repeated"
    add("--hakmem", metavar="[NAME=]PATH", help=library, **many)
    add("--no-hakmem", action="store_true", help="race the others only")
    add("--peer", metavar="NAME=PATH", help="one more peer; may be repeated", **many)
    add("--no-peers", action="store_true", help="leave out the peers that Debian installed")
    add("--rows", metavar="LIST", help='"all", "quick", or names and globs with commas [all]')
    add("--rounds", type=int, metavar="N", help="runs of each row under each allocator [5]")
    add("--bin", metavar="DIR", help="folder of the programs, as DIR/pair/pair or DIR/pair")
    add("--flags", metavar="TEXT", help="how they were built, for the report [as .bazelrc says]")
    figure = {"choices": ["median", "min"], "default": "median"}
    add("--figure", help="what is shown of the rounds' times [median]", **figure)
    add("--cpus", metavar="LIST", help="CPUs to pin to, such as 2,3 or 4-7 [all that are allowed]")
    add("--timeout", type=float, default=120, metavar="S", help="a longer run has failed [120]")
    sample = {"type": float, "default": 10, "metavar": "MS"}
    add("--sample-ms", help="time between two looks at resident memory, 0: none [10]", **sample)
    add("--out", default="race", metavar="DIR", help="folder for the files [race]")
    add("--from", dest="source", metavar="JSON", help="report once more on a race that was run")
    add("--smoke", action="store_true", help="one tiny round: checks, measures nothing")
    add("--list", action="store_true", help="print the names of the rows and exit")
    options = parser.parse_args(argv)
    if options.rounds is None:
        options.rounds = 1 if options.smoke else 5
    if options.rounds < 1:
        parser.error("--rounds must be above 0")
    if not 0 < options.timeout <= DAY_S or not 0 <= options.sample_ms <= DAY_S * 1000:
        parser.error("--timeout must be above 0, --sample-ms not below, and both at most a day")
    try:
        options.rows = rows.select(options.rows, options.smoke)
        options.cpus = parse_cpus(options.cpus)
        options.hakmem = [allocators.given(text, "hakmem") for text in options.hakmem]
        options.peer = [allocators.given(text, "peer") for text in options.peer]
    except ValueError as error:
        parser.error(str(error))
    if not options.list and not options.source and not options.bin:
        parser.error("--bin is missing (tools/race.sh builds the programs and sets it)")
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
        numbers = ()
        if first.isdigit() and (last or first).isdigit():
            numbers = range(int(first), int(last or first) + 1)
        if not numbers:
            raise ValueError("'%s' is no list of CPUs" % text)
        wanted.update(numbers)
    if not wanted <= set(allowed):
        raise ValueError("of CPUs %s only %s may be used" % (text, ",".join(map(str, allowed))))
    return sorted(wanted)


def find_allocators(options):
    """(the C library's first, peers, hakmems last; notes about what is missing)."""
    peers, notes = ([], []) if options.no_peers else allocators.installed_peers()
    given = {allocator.name for allocator in options.peer}
    # One that is given takes the place of the installed one of that name.
    peers = [peer for peer in peers if peer.name not in given]
    chosen = [allocators.Allocator("glibc", None, "libc")] + peers + options.peer + options.hakmem
    names = [allocator.name for allocator in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ValueError("two allocators have the name %s" % name)
    return chosen, notes


def tell(text):
    """On stderr. A terminal that is gone, or a full disk, is no reason to end a race."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass


def say(text):
    tell("race: " + text + "\n")


def progress(text):
    """One line on stderr that the next one replaces, or a line each where nobody watches."""
    if sys.stderr.isatty():
        tell("\r\033[K" + text)
    elif text:
        tell(text + "\n")


def seconds_left(taken, todo):
    """What the runs in `todo` will take, or None before the first has ended.

    taken: {(row, allocator): [seconds]}. todo: the same keys, once per run. A run that has been
    made before will take as long again; one that has not, as long as the mean of all.
    """
    every = [seconds for runs in taken.values() for seconds in runs]
    if not every:
        return None
    mean = sum(every) / len(every)
    known = {key: sum(runs) / len(runs) for key, runs in taken.items()}
    return sum(known.get(key, mean) for key in todo)


def duration(seconds):
    """For people: 40 s, 12 min, 3 h 05 min."""
    if seconds is None:
        return "?"
    if seconds < 100:
        return "%d s" % round(seconds)
    minutes = round(seconds / 60)
    return "%d min" % minutes if minutes < 100 else "%d h %02d min" % divmod(minutes, 60)


def schedule(rounds, race_rows, chosen):
    """[(round, row, allocator)] in order: the allocators take turns in being the first of a row."""
    order = []
    for number in range(rounds):
        for place, row in enumerate(race_rows):
            turn = (number + place) % len(chosen)
            order += [(number + 1, row, who) for who in chosen[turn:] + chosen[:turn]]
    return order


def preflight(options, chosen):
    """Asks each allocator for one tiny run before hours are spent. Returns {name: version}."""
    versions = {}
    row = rows.select("pair_64", True)[0]
    for allocator in chosen:
        outcome = runner.run_once(options, allocator, row, True)
        if outcome.report is None:
            why = "%s cannot run the smallest program: %s" % (allocator.name, outcome.failure)
            raise runner.NotServed(why)
        version = outcome.report["version"]
        versions[allocator.name] = "" if version == "unknown" else version
    return versions


def measure(options, chosen, document, sink):
    """Makes the runs and puts them into document["runs"] and the CSV file."""
    order = schedule(options.rounds, options.rows, chosen)
    keys = [(row.name, allocator.name) for _, row, allocator in order]
    taken = {}
    for count, (number, row, allocator) in enumerate(order):
        where = (count + 1, len(order), number, options.rounds, row.name, allocator.name)
        left = duration(seconds_left(taken, keys[count:]))
        progress("[%d/%d] round %d/%d %s %s" % where + ", %s left" % left)
        outcome = runner.run_once(options, allocator, row, options.smoke)
        taken.setdefault(keys[count], []).append(outcome.seconds)
        run = runner.record_of(options, number, row, allocator, outcome)
        document["runs"].append(run)
        line = [run.get(name, "") for name in CSV_COLUMNS]
        line[CSV_COLUMNS.index("behaviour")] = behaviour_of(row)
        notes = sorted(run["notes"].items())
        line[CSV_COLUMNS.index("notes")] = " ".join("%s=%s" % note for note in notes)
        if run["failure"]:
            line[CSV_COLUMNS.index("served_by")] = "failed"
        sink.writerow(line)
    progress("")


def behaviour_of(row):
    return getattr(row, "behaviour", None) or row.program


def new_document(options, chosen, notes):
    """The race as far as it is known before the first run."""
    pinned = shutil.which("taskset") is not None
    program = runner.program_path(options.bin, options.rows[0].program)
    versions = preflight(options, chosen)
    return {
        "format": FORMAT,
        "smoke": options.smoke,
        "interrupted": False,
        "figure": options.figure,
        "rounds": options.rounds,
        "sample_ms": options.sample_ms,
        "timeout_s": options.timeout,
        "facts": machine.facts(options, program, pinned),
        "load_before": machine.load(),
        "load_after": "",
        "notes": notes,
        "allocators": [machine.about(who, versions[who.name]) for who in chosen],
        "rows": [
            {
                "name": row.name,
                "behaviour": behaviour_of(row),
                "command": " ".join([row.program] + rows.args_of(row, options.smoke)),
                "threads": row.threads,
            }
            for row in options.rows
        ],
        "runs": [],
    }


def failures_of(document):
    return [
        "%s under %s, round %d: %s" % (run["row"], run["allocator"], run["round"], run["failure"])
        for run in document["runs"]
        if run["failure"]
    ]


def ratio_table(race, key, shown, chosen, table, form):
    def ratio(row, one, other):
        found = race.between(row, one, other, key)
        return found and found.middle

    def best(row):
        return race.best_peer(row, key)[0]

    return tables.ratio_table(shown, chosen, table, form, best, ratio, race.behaviour)


def markdown(document):
    """The tables as Markdown, with what the figures depend on."""
    race = figures.Race(document)
    lines = ["%s: %s" % (name, value) for name, value in document["facts"]]
    what = (document["rounds"], document["figure"])
    lines.append("rounds: %d, %s; allocators interleaved" % what)
    if document["figure"] == "median":
        lines.append("ratios: median of the rounds' ratios")
    for entry in document["allocators"]:
        known = [entry["file"]]
        known += ["version " + entry["version"]] if entry["version"] else []
        known += [entry["package"]] if entry["package"] else []
        lines.append("%s: %s" % (entry["name"], ", ".join(known)))
    lines = ["- " + line for line in lines]
    if document["smoke"]:
        lines += ["", "A smoke run: it checks the tool, its figures say nothing."]
    if document["interrupted"]:
        lines += ["", "Interrupted: only the runs that were made are here."]
    chosen = [allocators.Allocator(a["name"], None, a["kind"]) for a in document["allocators"]]
    parts = [
        ("Time, ns per operation", figures.TIME, "%.2f", 1),
        ("Peak RSS, MiB", figures.PEAK, "%.1f", 1 << 20),
        ("RSS at the end of the watch, MiB", figures.AFTER, "%.1f", 1 << 20),
    ]
    for title, key, form, unit in parts:
        # Most rows do not watch anything; but a row that failed must show in the other two tables.
        shown = race.watched(key) if key == figures.AFTER else race.rows
        if not shown:
            continue
        table = {row: {} for row in shown}
        for row in shown:
            for name in race.allocators:
                found = race.spread(row, name, key)
                if found or race.failed(row, name):
                    table[row][name] = found and found.middle / unit
        lines += ["", "## " + title, ""]
        lines += ratio_table(race, key, shown, chosen, table, form)
    return "\n".join(lines) + "\n"


def keep_median_curves(document):
    """Drops all curves but the one that is shown: they are most of the file."""
    race = figures.Race(document)
    for row in race.rows:
        for name in race.allocators:
            shown = race.median_run(row, name)
            for run in race.runs(row, name):
                if run is not shown:
                    run["curve"] = []


def write_file(folder, name, text):
    """A file of the report. Raises OSError and leaves no half of it."""
    path = os.path.join(folder, name)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        if os.path.isfile(path):
            os.unlink(path)
        raise OSError(error.errno, error.strerror, path) from error


def write_report(document, folder, anew):
    """race.json if the race is a new one, race.md, race.html and standard output."""
    text = markdown(document)
    try:
        if anew:
            write_file(folder, "race.json", json.dumps(document, ensure_ascii=False) + "\n")
        write_file(folder, "race.md", text)
        write_file(folder, "race.html", page.of(figures.Race(document)))
    finally:  # a full disk must not cost hours of runs
        sys.stdout.write(text)
        sys.stdout.flush()
    say("the report is %s" % os.path.join(folder, "race.html"))


def report_again(options):
    try:
        with open(options.source, encoding="utf-8") as file:
            document = json.load(file)
    except ValueError as error:
        raise ValueError("%s is no race.json: %s" % (options.source, error)) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError("%s is no race.json of this version" % options.source)
    os.makedirs(options.out, exist_ok=True)
    try:
        write_report(document, options.out, False)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("%s is damaged: %r" % (options.source, error)) from error
    return finish(document)


def finish(document):
    failures = failures_of(document)
    for failure in failures:
        say("FAILED: " + failure)
    if document["interrupted"]:
        return EXIT_INTERRUPTED
    return EXIT_RUN_FAILED if failures else 0


def stand_aside(cpus):
    """This process looks at memory while a row runs: not on the CPU of a row with one thread."""
    if shutil.which("taskset"):
        unused = os.sched_getaffinity(0) - set(cpus)
        os.sched_setaffinity(0, unused or cpus[:1])


def end_by_interrupt():
    """A race that is told to end, or whose terminal is gone, ends as by Control-C: with the program
    that runs, which is in a session of its own and would stay. Under nohup it goes on."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def run_race(options):
    chosen, notes = find_allocators(options)
    for row in options.rows:
        runner.program_path(options.bin, row.program)
    for note in notes:
        say(note)
    if not options.hakmem and not options.no_hakmem:
        say("no --hakmem: the others race among themselves")
    os.makedirs(options.out, exist_ok=True)
    # A race that stops must not leave the report of an earlier one behind.
    for name in FILES:
        if os.path.exists(os.path.join(options.out, name)):
            os.unlink(os.path.join(options.out, name))
    stand_aside(options.cpus)
    document = new_document(options, chosen, notes)
    path = os.path.join(options.out, "race.csv")
    with open(path, "w", newline="", encoding="utf-8", buffering=1) as file:
        sink = csv.writer(file, lineterminator="\n")
        sink.writerow(CSV_COLUMNS)
        try:
            measure(options, chosen, document, sink)
        except KeyboardInterrupt:
            progress("")
            document["interrupted"] = True
            say("interrupted: reporting on the runs that were made")
    document["load_after"] = machine.load()
    keep_median_curves(document)
    write_report(document, options.out, True)
    return finish(document)


def main(argv):
    options = parse_arguments(argv)
    end_by_interrupt()
    try:
        if options.list:
            print("\n".join(row.name for row in rows.ROWS), flush=True)
            return 0
        return report_again(options) if options.source else run_race(options)
    except runner.NotServed as error:
        progress("")
        say("NOT SERVED: %s" % error)
        return EXIT_NOT_SERVED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0 if options.list else EXIT_USAGE
    except (OSError, ValueError) as error:
        say("error: %s" % error)
        return EXIT_USAGE


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
