"""Counts the instructions of the hits of malloc, free, operator new and operator delete, of
malloc_usable_size and of a realloc that fits, under callgrind and compares them with a golden file.

usage: fast_path.py --library LIBRARY.so --program HIT_LOOP --golden FILE
                    [--budget malloc=N,free=N,new=N,delete=N,refill=N] [--update]

Each figure is the difference between a run with 2N and one with N operations, divided by N: start,
warm-up and exit cancel out, and what stays is exact. The hit must equal the golden file and stay
within the budget; `refill` is what a block costs more when it has come through a refill. Averages
over refills may differ by 2 %.

From the same runs comes the list of instructions that a hit executes; none of them may call, lock
or swap with memory, nor, on x86-64, read more than one byte of a block's mark (boxes/block/block.h
says why).

Exit status: 0 passed, 1 failed, 2 could not measure.
"""
import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile

N = 2000
# Rounds of hit_loop's burst mode, and mallocs per round.
ROUNDS, BURST = 5, 10000
# Name and size of the hits that are measured.
HITS = [("64", 64), ("2000", 2000)]
AVERAGE_TOLERANCE = 0.02


class Failure(Exception):
    """The measurement cannot be made; the message says why."""


def run_callgrind(library, program, mode, count, size, folder):
    """Returns (what the program printed, path of the profile)."""
    out = os.path.join(folder, "%s_%d_%d.out" % (mode, count, size))
    # Nothing of the environment may change what is executed.
    environment = {"PATH": os.environ["PATH"], "LD_PRELOAD": library, "LD_BIND_NOW": "1"}
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out,
               "--compress-strings=no", "--compress-pos=no", "--dump-instr=yes",
               program, mode, str(count), str(size)]
    try:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, timeout=120,
                              check=False)
    except FileNotFoundError:
        raise Failure("valgrind is not installed: tools/setup.sh test installs it")
    if done.returncode != 0:
        raise Failure("callgrind failed with %d:\n%s" % (done.returncode, done.stderr))
    return done.stdout, out


class Profile:
    """calls[function] is the inclusive cost of the calls that the function makes;
    executed[address] is the count of an instruction of the library."""

    def __init__(self, path, library):
        self.calls = {}
        self.executed = {}
        name = os.path.basename(library)
        function, in_library, inclusive = "", False, False
        with open(path) as lines:
            for line in lines:
                if line.startswith("fn="):
                    function = line[3:].strip()
                elif line.startswith("ob="):
                    in_library = os.path.basename(line[3:].strip()) == name
                elif line.startswith("calls="):
                    inclusive = True
                elif line.startswith("0x"):
                    words = line.split()
                    cost = int(words[2]) if len(words) > 2 else 0
                    if inclusive:
                        self.calls[function] = self.calls.get(function, 0) + cost
                    elif in_library:
                        address = int(words[0], 16)
                        self.executed[address] = self.executed.get(address, 0) + cost
                    inclusive = False


class Measurement:
    """Two profiles of one mode, the second with twice the operations."""

    def __init__(self, args, mode, count, size, folder):
        self.profiles = []
        self.count = count
        for count in (self.count, 2 * self.count):
            printed, path = run_callgrind(args.library, args.program, mode, count, size, folder)
            if printed.strip() != "registry_flat 1":
                raise Failure("these counts are for the flat registry map, but the program says: "
                              + printed.strip())
            self.profiles.append(Profile(path, args.library))

    def per_operation(self, function):
        low, high = (profile.calls.get(function, 0) for profile in self.profiles)
        return (high - low) / self.count

    def hit_addresses(self):
        """Instructions of the library that every operation executes."""
        low, high = (profile.executed for profile in self.profiles)
        return sorted(a for a, count in high.items() if count - low.get(a, 0) >= self.count)


def measure(args, folder):
    """Returns (name -> figure, addresses executed by hits)."""
    figures, addresses = {}, set()
    for name, size in HITS:
        pair = Measurement(args, "pair", N, size, folder)
        figures["malloc_" + name] = pair.per_operation("measured_malloc")
        figures["free_" + name] = pair.per_operation("measured_free")
        addresses.update(pair.hit_addresses())
    new = Measurement(args, "new", N, 64, folder)
    figures["new_64"] = new.per_operation("measured_new")
    figures["delete_64"] = new.per_operation("measured_delete")
    addresses.update(new.hit_addresses())
    known = Measurement(args, "size", N, 64, folder)
    figures["usable_64"] = known.per_operation("measured_usable")
    figures["realloc_64"] = known.per_operation("measured_realloc")
    addresses.update(known.hit_addresses())
    aligned = Measurement(args, "aligned", N, 64, folder)
    figures["new_aligned_64"] = aligned.per_operation("measured_new_aligned")
    addresses.update(aligned.hit_addresses())
    burst = Measurement(args, "burst", ROUNDS, 64, folder)
    figures["malloc_burst_64"] = burst.per_operation("measured_malloc") / BURST
    figures["free_burst_64"] = burst.per_operation("measured_free") / BURST
    fresh = Measurement(args, "fresh", N, 64, folder)
    figures["malloc_fresh_64"] = fresh.per_operation("measured_malloc")
    null = Measurement(args, "null", N, 64, folder)
    figures["free_null"] = null.per_operation("measured_free")
    return figures, sorted(addresses)


def read_golden(path):
    figures = {}
    with open(path) as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words:
                figures[words[0]] = float(words[1])
    return figures


def write_golden(path, figures):
    with open(path, "w") as file:
        file.write("# Instructions per call, gcc -O2, flat registry map; written by --update.\n"
                   "# *_burst: average over 10,000 mallocs and then 10,000 frees, with\n"
                   "# refills and flushes. *_fresh: blocks that stay.\n"
                   "# free_null: not a hit, but many programs free NULL all the time.\n")
        for name, figure in figures.items():
            file.write("%s %s\n" % (name, ("%.2f" % figure).rstrip("0").rstrip(".")))


def compare(figures, golden):
    """Returns a list of what is wrong."""
    wrong = []
    for name, figure in figures.items():
        want = golden.get(name)
        if want is None:
            wrong.append("%s: %g instructions, not in the golden file" % (name, figure))
        elif "burst" in name or "fresh" in name:
            if abs(figure - want) > want * AVERAGE_TOLERANCE:
                wrong.append("%s: %.2f instructions on average, golden %.2f" % (name, figure, want))
        elif figure != want:
            wrong.append("%s: %g instructions, golden %g" % (name, figure, want))
    wrong.extend("%s: in the golden file, but not measured" % name
                 for name in golden if name not in figures)
    return wrong


def check_budget(figures, budget):
    wrong = []
    for entry in filter(None, budget.split(",")):
        name, limit = entry.split("=")
        if name == "refill":
            figure = figures["malloc_burst_64"] - figures["malloc_64"]
        else:
            figure = figures[name + "_64"]
        if figure > int(limit):
            wrong.append("%s of 64 B: %g instructions, the budget is %s" % (name, figure, limit))
    return wrong


def disassemble(library):
    """address -> instruction text of the library."""
    try:
        text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library],
                              stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout
    except FileNotFoundError:
        raise Failure("objdump is not installed: tools/setup.sh test installs binutils")
    lines = re.finditer(r"^ +([0-9a-f]+):\t(.*)$", text, re.M)
    return {int(line.group(1), 16): line.group(2).strip() for line in lines}


# x86-64: free's argument is in rdi, the mark is in the block's second word.
MARK = re.compile(r"(?<![-\w])0x8\(%rdi\)")
STORES_MARK = re.compile(r"^mov +%r\w+,0x8\(%rdi\)$")
BYTE = r"%(?:[abcd]l|[sd]il|[sb]pl|r[0-9]+b)"
READS_BYTE = re.compile(r"^cmp +(?:{0},0x8\(%rdi\)|0x8\(%rdi\),{0})$|^movzbl +0x8\(%rdi\),"
                        .format(BYTE))


def check_mark(known, expected):
    """A hit must not wait for what the program wrote into a block's second word."""
    touching = [(a, text) for a, text in known if MARK.search(text)]
    stores = [text for _, text in touching if STORES_MARK.search(text)]
    reads = [text for _, text in touching if READS_BYTE.search(text)]
    bad = ["the hit reads more than a byte of the mark: %x: %s" % (a, text)
           for a, text in touching
           if not STORES_MARK.search(text) and not READS_BYTE.search(text)]
    if expected and not bad and not (stores and reads):
        raise Failure("how hits read and write marks is not to be seen")
    return bad


def check_instructions(library, addresses, marks):
    """No instruction of a hit may call, lock, or exchange with memory (which locks by itself)."""
    code = disassemble(library)
    known = [(a, code[a]) for a in addresses if a in code]
    if len(known) < 20:
        raise Failure("only %d of %d executed instructions are in the disassembly" %
                      (len(known), len(addresses)))
    bad = re.compile(r"^(call|lock|syscall|bl |blr |svc|ldaxr|stlxr|ldadd|swp|cas)|^xchg .*\(")
    return ["the hit executes: %x: %s" % (a, text) for a, text in known
            if bad.search(text)] + check_mark(known, marks)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help="the shared library to preload")
    parser.add_argument("--program", required=True, help="the program hit_loop")
    parser.add_argument("--golden", required=True, help="the file of expected figures")
    parser.add_argument("--budget", default="",
                        help="most instructions of a 64-byte hit, as malloc=15,free=20")
    parser.add_argument("--marks", action="store_true",
                        help="the library marks free blocks: on x86-64, see how hits read that")
    parser.add_argument("--update", action="store_true",
                        help="write the golden file instead of comparing")
    args = parser.parse_args()
    args.library = os.path.abspath(args.library)
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures, addresses = measure(args, folder)
        for name, figure in figures.items():
            print("%-16s %6.2f" % (name, figure))
        marks = args.marks and platform.machine() == "x86_64"
        wrong = check_budget(figures, args.budget)
        wrong += check_instructions(args.library, addresses, marks)
        if args.update:
            write_golden(args.golden, figures)
        else:
            wrong += compare(figures, read_golden(args.golden))
    except Failure as failure:
        print("fast_path: " + str(failure), file=sys.stderr)
        return 2
    for line in wrong:
        print("WRONG " + line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
