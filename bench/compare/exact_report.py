"""What do exact classes save? The memory and the time of 100,000 live blocks of one size.

usage: exact_report.py [--check] --bin DIR --hakmem PATH [--peer NAME=PATH]... [--rounds N]
                       [--ops N] [--sizes LIST] --out DIR

Runs liveset of DIR with blocks of each size: under hakmem as it is, with HAKMEM_EXACT_SIZES=<size>
and with HAKMEM_EXACT_AUTO=1, and under the peers, interleaved. Writes exact.csv, a line for each
run, exact.md, the medians, and exact.svg: resident memory for each byte that was asked for. With
--check the exit status is 1 if an exact class, given or found, saves less than 5 % for some size.
"""
import argparse
import csv
import html
import json
import math
import os
import statistics
import subprocess
import sys

SIZES = [272, 304, 336, 368, 400, 432, 464, 496, 528, 560, 592, 656, 720, 784, 848, 912, 976]
LIVE = 100000
COLOURS = ["#1f6fb4", "#c2410c", "#15803d", "#6b7280", "#a16207", "#7e22ce", "#0e7490", "#be185d"]
TIMEOUT_S = 60
LEAST_SAVED = 0.05


def configurations(args):
    """(name, function from size to environment)"""
    def own(more):  # without huge pages, which are resident as a whole
        return lambda size: dict(LD_PRELOAD=args.hakmem, HAKMEM_THP="0", **more(size))
    found = [("hakmem", own(lambda size: {})),
             ("exact_sizes", own(lambda size: {"HAKMEM_EXACT_SIZES": str(size)})),
             ("exact_auto", own(lambda size: {"HAKMEM_EXACT_AUTO": "1"}))]
    for peer in args.peer:
        name, path = peer.split("=", 1)
        found.append((name, lambda size, path=path: {"LD_PRELOAD": path}))
    return found


def run(args, environment, size):
    """Resident MiB at the peak, nanoseconds of an operation."""
    command = [os.path.join(args.bin, "liveset", "liveset"), "--rows=liveset_100k", "--rounds=1",
               "--ops=%d" % args.ops, "--min=%d" % size, "--max=%d" % size, "--json"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HAKMEM_")}
    done = subprocess.run(command, env=dict(clean, **environment), stdout=subprocess.PIPE,
                          timeout=TIMEOUT_S, check=True)
    report = json.loads(done.stdout)
    return report["peak_rss_bytes"] / 2**20, report["rows"][0]["median"]


def measure(args, sizes):
    """{(name, size): [(MiB, ns)]}, and a line of the CSV file for each run."""
    found = {}
    with open(os.path.join(args.out, "exact.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "allocator", "round", "peak_rss_mib", "ns_per_op"])
        for size in sizes:
            for number in range(args.rounds):
                for name, environment in configurations(args):
                    figures = run(args, environment(size), size)
                    found.setdefault((name, size), []).append(figures)
                    writer.writerow([size, name, number] + ["%.2f" % f for f in figures])
    return found


def middle(found, name, size, figure):
    return statistics.median(one[figure] for one in found[(name, size)])


def table(found, names, sizes):
    lines = ["| size | " + " | ".join("%s MiB, ns" % name for name in names) + " |",
             "|---" * (len(names) + 1) + "|"]
    for size in sizes:
        cells = ["%.1f, %.1f" % (middle(found, n, size, 0), middle(found, n, size, 1))
                 for n in names]
        lines.append("| %d | %s |" % (size, " | ".join(cells)))
    return "\n".join(lines) + "\n"


def plot(found, names, sizes):
    """Lines over the size, with a legend beside them; black on white or white on black."""
    width, height, left, top, right, bottom = 760, 340, 50, 40, 130, 40
    ratios = {n: [middle(found, n, s, 0) * 2**20 / (LIVE * s) for s in sizes] for n in names}
    low, step = 1.0, 0.05
    most = min(max(max(line) for line in ratios.values()), 1.6)
    steps = math.ceil((most - low) / step - 1e-9)
    high = low + steps * step
    first, last = sizes[0], sizes[-1]

    def at(size, ratio):
        x = left + (width - left - right) * (size - first) / (last - first)
        y = height - bottom - (height - top - bottom) * (min(ratio, high) - low) / (high - low)
        return "%.1f" % x, "%.1f" % y

    title = "Peak resident memory for each byte asked for, 100,000 live blocks of one size"
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" '
           'aria-label="%s">' % (width, height, title),
           "<style>text{font:12px sans-serif;fill:#111}line{stroke:#bbb}polyline{fill:none;"
           "stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#eee}line{stroke:#555}}"
           "</style>",
           '<text x="%d" y="18">%s</text>' % (left, title)]
    for i in range(steps + 1):
        ratio = low + i * step
        y = at(first, ratio)[1]
        out.append('<line x1="%d" y1="%s" x2="%d" y2="%s"/>' % (left, y, width - right, y))
        out.append('<text x="%d" y="%s" text-anchor="end">%.2f</text>' % (left - 6, y, ratio))
    for size in sizes[::2]:
        out.append('<text x="%s" y="%d" text-anchor="middle">%d</text>' % (
            at(size, low)[0], height - bottom + 18, size))
    out.append('<text x="%d" y="%d" text-anchor="end">bytes</text>' % (
        width - right, height - 6))
    order = sorted(names, key=lambda n: -ratios[n][-1])
    for place, name in enumerate(order):
        colour = COLOURS[names.index(name) % len(COLOURS)]
        dashes = ' stroke-dasharray="6 4"' if names.index(name) > 2 else ""
        points = " ".join("%s,%s" % at(s, r) for s, r in zip(sizes, ratios[name]))
        y = top + 14 + 20 * place
        out.append('<polyline points="%s" stroke="%s"%s/>' % (points, colour, dashes))
        out.append('<polyline points="%d,%d %d,%d" stroke="%s"%s/>' % (
            width - right + 10, y - 4, width - right + 34, y - 4, colour, dashes))
        out.append('<text x="%d" y="%d">%s</text>' % (width - right + 40, y, html.escape(name)))
    return "\n".join(out + ["</svg>\n"])


def savings_missed(found, sizes):
    """What --check finds."""
    for size in sizes:
        plain = middle(found, "hakmem", size, 0)
        for name in ("exact_sizes", "exact_auto"):
            saved = 1 - middle(found, name, size, 0) / plain
            if saved < LEAST_SAVED:
                yield "%s saves %.1f %% with blocks of %d bytes" % (name, 100 * saved, size)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--bin", required=True)
    parser.add_argument("--hakmem", required=True)
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ops", type=int, default=300000)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    names = [name for name, _ in configurations(args)]
    os.makedirs(args.out, exist_ok=True)
    try:
        found = measure(args, sizes)
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit("exact_report: %s" % error)
    for name, text in (("exact.md", table(found, names, sizes)),
                       ("exact.svg", plot(found, names, sizes))):
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as file:
            file.write(text)
    sys.stdout.write(table(found, names, sizes))
    if args.check:
        missed = list(savings_missed(found, sizes))
        sys.exit("\n".join("exact_report: " + line for line in missed) or 0)


if __name__ == "__main__":
    main()
