"""T-19: counts instructions of the same work with few and with many live slabs under callgrind.

usage: work_bound.py LIBRARY.so PROGRAM

The difference between a long and a short run is the work; what sets up the slabs cancels out. With
a scan over slabs anywhere on the way, 10,000 of them cost far more than 100. Exit status: 0 within
1.5 times, 1 not, 2 not measured.
"""
import os
import re
import subprocess
import sys
import tempfile

FEW, MANY = 100, 10000
SHORT, LONG = 1, 11
LIMIT = 1.5


def instructions(library, program, slabs, rounds):
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": os.environ["PATH"], "LD_PRELOAD": library}
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + folder + "/out",
                   program, str(slabs), str(rounds)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, timeout=280,
                              check=False)
    found = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode != 0 or found is None:
        print(done.stdout)
        sys.exit(2)
    return int(found.group(1))


def main():
    library, program = os.path.abspath(sys.argv[1]), sys.argv[2]
    cost = {}
    for slabs in (FEW, MANY):
        long_run = instructions(library, program, slabs, LONG)
        cost[slabs] = long_run - instructions(library, program, slabs, SHORT)
        operations = (LONG - SHORT) * 2000 * 2
        print("%5d live slabs: %.1f instructions per call" % (slabs, cost[slabs] / operations))
    ratio = cost[MANY] / cost[FEW]
    print("ratio %.2f, limit %.2f" % (ratio, LIMIT))
    sys.exit(0 if ratio <= LIMIT else 1)


main()
