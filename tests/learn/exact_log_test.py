"""Exact sizes in the learner's log: in a file, on a descriptor and in each format of the
statistics; and which options turn them on. usage: exact_log_test.py PROGRAM

PROGRAM is tests/learn/odd.c.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

ADDED = re.compile(r"\[Learner\] EXACT: \+ 528 \((\d+) of (\d+) new slabs, saves 48 bytes each\)")
DROPPED = re.compile(r"\[Learner\] EXACT: - 528 \(cold for 64 windows, [0-2] slabs left\)")
REFUSED = re.compile(r"\[Learner\] EXACT: refused 528 \((\d+) of (\d+) new slabs, would save 48 "
                     r"bytes each, no spare class\)")
faults = []


def check(condition, what):
    if not condition:
        faults.append(what)
        sys.stderr.write("exact_log_test: %s\n" % what)


def run(program, *args, **options):
    environment = {key: value for key, value in os.environ.items() if "HAKMEM" not in key}
    environment.update({"HAKMEM_" + key: value for key, value in options.items()})
    done = subprocess.run([program, *args], env=environment, stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, timeout=120, check=True)
    return done.stderr.decode()


def decisions(told):
    return [entry for entry in json.loads(told)["learn_log"] if entry["what"] == "exact_528"]


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        told = run(program, LEARN="1", LEARN_LOG=path, STATS="json")
        with open(path) as log:
            lines = log.read().splitlines()
        stats = json.loads(told)
        check(len(lines) == 2 and ADDED.fullmatch(lines[0]) and DROPPED.fullmatch(lines[1]),
              "lines of the file: %s" % lines)
        check([entry["text"] for entry in stats["learn_log"]] == lines, "file and log differ")
        check((stats["exact_added"], stats["exact_dropped"], stats["exact_sizes"]) == (1, 1, 0),
              "counters and log differ")
        added, dropped = decisions(told)
        check((added["reason"], added["before"], added["after"]) == ("hot_size", 0, 528) and
              added["seen"] * 4 >= added["limit"] * 3 >= 24, "not for being hot: %s" % added)
        check((dropped["reason"], dropped["before"], dropped["after"]) == ("cold_size", 528, 0),
              "not for being cold: %s" % dropped)

    told = run(program, "full", LEARN="1", LEARN_LOG="2").splitlines()
    check(told != [] and all(REFUSED.fullmatch(line) for line in told), "refusals: %s" % told[:3])
    stats = json.loads(run(program, "full", LEARN="1", STATS="json"))
    check(stats["exact_added"] == 0 and stats["exact_refused"] == len(told),
          "refusals are counted otherwise")

    told = run(program, LEARN="1", STATS="openmetrics")
    check('\nhakmem_learn_decision{what="exact_528",reason="hot_size"} 528\n' in told and
          '\nhakmem_learn_decision{what="exact_528",reason="cold_size"} 0\n' in told,
          "not among the metrics")
    samples = [line.rsplit(" ", 1)[0] for line in told.splitlines() if not line.startswith("#")]
    check(len(samples) == len(set(samples)), "a metric has two samples")
    told = run(program, LEARN="1", STATS="text")
    check(any(ADDED.search(line) for line in told.splitlines()), "no decision in the text")

    check(run(program, LEARN="1") == "", "a line that nobody asked for")
    for options, wanted in (({}, 0), ({"LEARN": "0"}, 0), ({"LEARN": "1", "EXACT_AUTO": "0"}, 0),
                            ({"EXACT_AUTO": "1"}, 2), ({"LEARN": "0", "EXACT_AUTO": "on"}, 2),
                            ({"LEARN": "1", "EXACT_AUTO": "learn"}, 2)):
        found = len(decisions(run(program, STATS="json", **options)))
        check(found == wanted, "%d decisions with %s" % (found, options))
    told = run(program, LEARN="1", LEARN_LOG="/nosuch/folder/log")
    check(told.count("\n") == 1 and "HAKMEM_LEARN_LOG" in told, "a bad path: %s" % told[:200])
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
