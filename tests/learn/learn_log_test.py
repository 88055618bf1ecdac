"""The learner's log: lines in a file or on a descriptor, and the same in each format of the
statistics. usage: learn_log_test.py PROGRAM

PROGRAM runs a load under which the learner decides; the environment says the rest.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

LINE = re.compile(r"\[Learner\] (CAP mid \d+: \d+ -> \d+ \(hit \d\.\d{3} (below|above) \d\.\d{3} "
                  r"of \d+\)|W_MAX mid .*|DYN[12]: .*)")
FAST = {"HAKMEM_LEARN": "1", "HAKMEM_LEARN_WINDOW_MS": "10", "HAKMEM_CAP_DWELL_SEC_MID": "0"}
faults = []


def check(condition, what):
    if not condition:
        faults.append(what)
        sys.stderr.write("learn_log_test: %s\n" % what)


def run(program, **options):
    environment = {key: value for key, value in os.environ.items() if "HAKMEM" not in key}
    environment.update(FAST)
    environment.update({"HAKMEM_" + key: value for key, value in options.items()})
    done = subprocess.run([program], env=environment, stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, timeout=120, check=True)
    return done.stderr.decode()


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        told = run(program, LEARN_LOG=path, STATS="json")
        with open(path) as log:
            lines = log.read().splitlines()
        stats = json.loads(told)
        check(len(lines) > 0, "no line in the file")
        check(all(LINE.fullmatch(line) for line in lines), "a line of another form: %s" % lines[:3])
        check(stats["learn_changes"] == len(lines), "%d lines for %d decisions" % (
            len(lines), stats["learn_changes"]))
        check([entry["text"] for entry in stats["learn_log"]] == lines[-64:],
              "the statistics' log differs from the file")
        check(all(entry["reason"] in ("hit_low", "hit_high") and entry["before"] != entry["after"]
                  for entry in stats["learn_log"]), "a decision without a reason")
        check(sum(stats["learn_sizes"].values()) > 0, "no size was counted")
        caps = sum(stats[name] for name in ("learn_cap_raises", "learn_cap_cuts"))
        check(caps == len(lines), "counters and log differ")
        run(program, LEARN_LOG=path)
        with open(path) as log:
            check(len(log.read().splitlines()) > len(lines), "the file is not added to")

    told = run(program, LEARN_LOG="2")
    check(told != "" and all(LINE.fullmatch(line) for line in told.splitlines()),
          "descriptor 2: %s" % told[:200])
    check(run(program) == "", "a line that nobody asked for")
    told = run(program, STATS="text")
    check(any(LINE.search(line) for line in told.splitlines()), "no decision in the text")
    told = run(program, STATS="openmetrics")
    check(re.search(r'^hakmem_learn_decision\{what="cap_32768",reason="hit_low"\} \d+$', told,
                    re.M), "no decision among the metrics")
    check(re.search(r'^hakmem_learn_sizes_total\{bytes="32768"\} \d+$', told, re.M),
          "no size among the metrics")
    check(told.endswith("# EOF\n"), "the metrics have no end")
    samples = [line.rsplit(" ", 1)[0] for line in told.splitlines() if not line.startswith("#")]
    check(len(samples) == len(set(samples)), "a metric has two samples")
    told = run(program, LEARN_LOG="/nosuch/folder/log")
    check(told.count("\n") == 1 and "HAKMEM_LEARN_LOG" in told, "a bad path: %s" % told[:200])
    told = run(program, LEARN_LOG="987")
    check("HAKMEM_LEARN_LOG" in told, "a descriptor that is not open: %s" % told[:200])
    told = run(program, CAP_MIN_MID="100", CAP_MAX_MID="50")
    check("HAKMEM_CAP_MIN_MID=100: the least cap is above the greatest; using 16" in told and
          "HAKMEM_CAP_MAX_MID=50: the least cap is above the greatest; using 512" in told,
          "swapped bounds: %s" % told[:200])
    check(told.count("\n") == 2, "one line for each of them: %s" % told[:200])
    told = run(program, CAP_MIN_MID="999")
    check("HAKMEM_CAP_MIN_MID=999: the least cap is above the greatest; using 16" in told and
          told.count("\n") == 1, "a least cap above the default: %s" % told[:200])
    told = run(program, CAP_MAX_MID="1")
    check("HAKMEM_CAP_MAX_MID=1: the least cap is above the greatest; using 512" in told and
          told.count("\n") == 1, "a greatest cap below the default: %s" % told[:200])
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
