"""How many superslabs do the slot policies create for the same work, and what does it cost?

usage: superslab_report.py [--check] --bin DIR --lib DIR [ITERS WS SEED]

Runs random_mixed of DIR under each policy's library with the thread cache drained and not, and
prints a table in Markdown. --check also runs the two command lines that once crashed under every
policy, with the thread cache on and off, drained and not, and compares the counts with what the
policies promise; then the exit status is 1 if one does not hold. 2: a wrong command line.
"""
import argparse
import json
import os
import subprocess
import sys

# Variant, what its ss_policy and cache_policy must be.
VARIANTS = (
    ("hakmem_per_class_ss", "per_class", "drain"),
    ("hakmem_shared_ss", "shared", "drain"),
    ("hakmem_sp_slot", "sp_slot", "drain"),
    ("hakmem", "any", "bounded"),
)
# The notes' crashing command lines.
CRASHES = (("1000", "256", "42"), ("200000", "4096", "1234567"))
SLOTS = 32  # in a superslab
TIMEOUT_S = 300

COLUMNS = (
    ("variant", lambda r: r["variant"]),
    ("drain", lambda r: "on" if r["drain"] else "off"),
    ("tiny superslabs", lambda r: r["h"]["tiny_superslabs_made"]),
    ("all superslabs", lambda r: r["h"]["superslabs_made"]),
    ("peak tiny slabs", lambda r: r["h"]["tiny_slabs_peak"]),
    ("classes", lambda r: r["h"]["tiny_classes_used"]),
    ("stage 1 / 1b / 2 / 3", lambda r: "%s / %s / %s / %s" % tuple(
        r["h"]["tiny_from_" + stage] for stage in ("empty", "cross", "unused", "new"))),
    ("LRU hits / misses", lambda r: "%s / %s" % (r["h"]["lru_hits"], r["h"]["lru_misses"])),
    ("mmap", lambda r: r["h"]["mmap_calls"]),
    ("munmap", lambda r: r["h"]["munmap_calls"]),
    ("madvise", lambda r: r["h"]["madvise_calls"]),
    ("drains", lambda r: r["h"]["cache_drains"]),
    ("ns/call", lambda r: "%.1f" % r["ns"]),
)


def run(options, variant, parameters, drain, sll=True):
    library = os.path.join(options.lib, "lib%s.so" % variant[0])
    environment = dict(os.environ, LD_PRELOAD=os.path.abspath(library),
                       HAKMEM_TINY_SLL_DRAIN_ENABLE="01"[drain], HAKMEM_TINY_TLS_SLL="01"[sll])
    program = os.path.join(options.bin, "random_mixed", "random_mixed")
    command = [program, *parameters, "--json"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=TIMEOUT_S, check=False)
    where = "%s, drain %s, SLL %s" % (" ".join([variant[0], *parameters]), "off on".split()[drain],
                                      "off on".split()[sll])
    if done.returncode != 0:
        sys.exit("%s: exit status %d\n%s" % (where, done.returncode, done.stderr))
    report = json.loads(done.stdout)
    # The library that was meant must be the one that served the calls.
    made_of = report["hakmem_options"]
    if (report["variant"], made_of["ss_policy"], made_of["cache_policy"]) != variant:
        sys.exit("%s: served by %s, made of %s" % (where, report["variant"], made_of))
    return {"variant": variant[0], "policy": variant[1], "drain": drain, "h": report["hakmem"],
            "ns": report["rows"][0]["median"], "served_by": report["served_by_malloc"]}


def show(results, parameters):
    print("random_mixed %s\n" % " ".join(parameters))
    print("| " + " | ".join(name for name, _ in COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|")
    for result in results:
        print("| " + " | ".join(str(value(result)) for _, value in COLUMNS) + " |")
    print("\nserved by: " + ", ".join(
        sorted({"%s %s" % (r["variant"], os.path.basename(r["served_by"])) for r in results})))


def check(results):
    """The promises of docs/tiny.md, as lines that do not hold."""
    made = {(r["policy"], r["drain"]): r["h"]["tiny_superslabs_made"] for r in results}
    peak = {(r["policy"], r["drain"]): r["h"]["tiny_slabs_peak"] for r in results}
    wrong = []
    if made["per_class", False] < 8 * made["sp_slot", False]:
        wrong.append("drain off: per_class made %d superslabs, less than 8 times sp_slot's %d"
                     % (made["per_class", False], made["sp_slot", False]))
    most = -(-peak["sp_slot", True] // SLOTS) + 1
    if made["sp_slot", True] > most:
        wrong.append("drain on: sp_slot made %d superslabs for a peak of %d slabs, more than %d"
                     % (made["sp_slot", True], peak["sp_slot", True], most))
    for drain in (False, True):
        if not made["sp_slot", drain] <= made["shared", drain] <= made["per_class", drain]:
            wrong.append("shared made %d superslabs, not between sp_slot's %d and per_class's %d"
                         % tuple(made[policy, drain]
                                 for policy in ("shared", "sp_slot", "per_class")))
        if peak["sp_slot", drain] < SLOTS:
            wrong.append("a peak of %d slabs shows nothing" % peak["sp_slot", drain])
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a promise is broken")
    parser.add_argument("--bin", required=True, help="folder of the benchmark programs")
    parser.add_argument("--lib", required=True, help="folder of the libraries")
    parser.add_argument("iters", nargs="?", default="200000")
    parser.add_argument("ws", nargs="?", default="4096")
    parser.add_argument("seed", nargs="?", default="1234567")
    options = parser.parse_args()
    parameters = (options.iters, options.ws, options.seed)

    results = [run(options, variant, parameters, drain)
               for variant in VARIANTS for drain in (False, True)]
    show(results, parameters)
    if not options.check:
        return 0
    wrong = check(results)
    runs = 0
    for variant in VARIANTS:
        for crash in CRASHES:
            for sll in (False, True):
                for drain in (False, True):
                    run(options, variant, (*crash, "--rounds=1"), drain, sll)
                    runs += 1
    print("%d runs of the command lines that once crashed ended well" % runs)
    for line in wrong:
        print("BROKEN: " + line)
    return 1 if wrong else 0


sys.exit(main())
