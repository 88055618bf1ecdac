"""Runs one row under one allocator: pinned, its memory sampled, its server verified."""

import collections
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import allocators
import figures
import rows

# Points of one curve of resident memory: as many as a plot can show.
CURVE_POINTS = 120

# One run. report: what the program printed, or None. failure: None, or what went wrong.
# curve: [[milliseconds, resident bytes], ...]. seconds: of the whole process.
Outcome = collections.namedtuple("Outcome", "report failure curve seconds")


class NotServed(Exception):
    """An allocator did not serve the program it was preloaded into."""


class Sampler(threading.Thread):
    """Notes how much of a process is resident until it ends.

    statm and not smaps_rollup: the kernel answers it from counters, while smaps_rollup walks the
    page tables under the lock that the mmap and munmap of the program wait for.
    """

    def __init__(self, pid, every_ms):
        super().__init__(daemon=True)
        self.samples = []
        self._path = "/proc/%d/statm" % pid
        self._every = every_ms / 1000
        self._ended = threading.Event()

    def run(self):
        os_page = os.sysconf("SC_PAGE_SIZE")
        begin = time.monotonic()
        try:
            with open(self._path, "rb", buffering=0) as file:
                while True:
                    file.seek(0)
                    resident = int(file.read(128).split()[1])
                    if resident > 0:  # a process that has ended and waits for its parent has none
                        now = (time.monotonic() - begin) * 1000
                        self.samples.append((now, resident * os_page))
                    if self._ended.wait(self._every):
                        return
        except (OSError, IndexError, ValueError):
            return  # the process is gone

    def end(self):
        self._ended.set()
        self.join()


def thin(samples, most=CURVE_POINTS):
    """At most so many of the samples, in order: of neighbours the highest, so that peaks stay."""
    if len(samples) <= most:
        kept = samples
    else:
        edges = [len(samples) * i // most for i in range(most + 1)]
        parts = [samples[low:high] for low, high in zip(edges, edges[1:])]
        kept = [max(part, key=lambda sample: sample[1]) for part in parts]
    return [[round(at, 1), resident] for at, resident in kept]


def program_path(folder, program):
    """The program's file in the folder of the build. Raises ValueError."""
    for path in (os.path.join(folder, program, program), os.path.join(folder, program)):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise ValueError("there is no program %s in %s" % (program, folder))


def command_of(options, allocator, row, smoke):
    """The command and the environment of one run.

    taskset and env run before LD_PRELOAD is set, so the allocator is in the measured program alone.
    One thread is pinned to the last CPU: the first one serves most interrupts.
    """
    environment, settings = allocators.environment_of(allocator)
    program = program_path(options.bin, row.program)
    command = ["env"] + settings + [program] + rows.args_of(row, smoke)
    if shutil.which("taskset"):
        cpus = options.cpus[-row.threads :]
        command = ["taskset", "-c", ",".join(map(str, cpus))] + command
    return command, environment


def _kill(process):
    """Ends a program and its children, which may be what hangs and hold its output open."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _execute(options, command, environment):
    """(exit status or None for a time-out, stdout, stderr, samples)."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # so that its children can be ended with it
    )
    # taskset and env replace themselves by the program: its process is the one started here.
    sampler, status = None, None
    try:
        if options.sample_ms > 0:
            sampler = Sampler(process.pid, options.sample_ms)
            sampler.start()
        out, err = process.communicate(timeout=options.timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        _kill(process)
        out, err = process.communicate()
    except BaseException:
        _kill(process)
        process.wait()
        raise
    finally:
        if sampler:
            sampler.end()
    return status, out, err.strip(), sampler.samples if sampler else []


def run_once(options, allocator, row, smoke):
    """The Outcome of one run. Raises NotServed."""
    command, environment = command_of(options, allocator, row, smoke)
    begin = time.monotonic()
    status, out, message, samples = _execute(options, command, environment)
    seconds = time.monotonic() - begin
    if status is None:
        return Outcome(None, "took longer than %g s" % options.timeout, [], seconds)
    try:
        report = json.loads(out)
    except ValueError:
        report = None
    if status != 0 or report is None:
        how = "died of signal %d" % -status if status < 0 else "exit status %d" % status
        # Such as a library that prints a line of its own.
        how += ", but what it printed is no report" if status == 0 else ""
        return Outcome(None, how + (": " + message if message else ""), [], seconds)
    why = allocators.why_not_served(allocator, report)
    if why:
        said = "\n" + message if message else ""
        raise NotServed("%s, row %s: %s%s" % (allocator.name, row.name, why, said))
    return Outcome(report, None, thin(samples), seconds)


def record_of(options, number, row, allocator, outcome):
    """The run as it stands in the JSON file."""
    record = {
        "round": number,
        "row": row.name,
        "allocator": allocator.name,
        "failure": outcome.failure,
        "seconds": round(outcome.seconds, 3),
        figures.TIME: None,
        figures.PEAK: None,
        figures.AFTER: None,
        "ops": None,
        "served_by": None,
        "notes": {},
        "latency": {},
        "curve": outcome.curve,
    }
    if outcome.report is None:
        return record
    result = outcome.report["rows"][0]
    notes = result.get("notes", {})
    record[figures.TIME] = result[options.figure]
    # A row of short processes is about them, and not about the one that starts them.
    record[figures.PEAK] = notes.get("child_" + figures.PEAK, outcome.report[figures.PEAK])
    record[figures.AFTER] = notes.get(figures.AFTER)
    record["ops"] = result["ops"]
    # The name alone: a path would tell of one machine.
    record["served_by"] = os.path.basename(outcome.report["served_by_malloc"])
    record["notes"] = notes
    record["latency"] = figures.latencies(dict(result, **notes))
    return record
