"""Draws the CSV of learner_sim as one SVG: caps and pages, hit rates, W_MAX and sizes over time.

usage: plot.py FILE.csv FILE.svg

Needs nothing but Python: the curves are those of bench/compare/svg.py, with their colours written
into the file so that it stands alone.
"""

import csv
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench",
                                "compare"))
import svg  # noqa: E402  (found by the line above)

SIZES = (2048, 4096, 8192, 16384, 32768)
COLOURS = ("#0072b2", "#707070", "#b57a00", "#c24e00", "#00805c", "#b0568a", "#2f8fc4", "#857a00")
STYLE = (
    "<style>svg{background:#fff;font:12px sans-serif}text{fill:#1c1e21}.tick{fill:#5b6168;"
    "font-size:10px}.head{font-weight:bold}.grid{stroke:#d9dce0}.axis{stroke:#1c1e21}"
    ".line{fill:none;stroke-width:1.5}%s</style>" % "".join(
        ".s%d{stroke:%s}text.s%d{stroke:none;fill:%s}" % (i, colour, i, colour)
        for i, colour in enumerate(COLOURS)))


def column(rows, name):
    """(second, value) of the rows that have one."""
    return [(float(row["second"]), float(row[name])) for row in rows if row[name] != ""]


def panels(rows):
    used = [size for size in SIZES if column(rows, "hit_%d" % size)]
    slots = {size: SIZES.index(size) for size in SIZES}

    def of_classes(title, prefix, unit):
        lines = [("%s of %d" % (prefix, size), slots[size], column(rows, "%s_%d" % (prefix, size)))
                 for size in used]
        return svg.curves(title, lines, "s", unit)

    found = [of_classes("Hit rate", "hit", ""), of_classes("Cap", "cap", "pages"),
             of_classes("Pages in use", "pages", "pages")]
    if len(set(row["w_max"] for row in rows)) > 1:
        found.append(svg.curves("W_MAX", [("W_MAX", 5, column(rows, "w_max"))], "s", ""))
    dyn = [("DYN%d" % i, 5 + i, column(rows, "dyn%d" % i)) for i in (1, 2)]
    if any(value for _, _, points in dyn for _, value in points):
        found.append(svg.curves("Sizes with a class of their own", dyn, "s", "bytes"))
    return found, ["%d KiB" % (size // 1024) for size in used], [slots[size] for size in used]


def draw(rows):
    found, names, slots = panels(rows)
    parts = [STYLE]
    for i, picture in enumerate(found):
        inner = picture.replace("<svg ", '<svg x="%d" y="%d" ' % (i % 2 * 410, 24 + i // 2 * 200),
                                1)
        parts.append(inner)
    for i, (name, slot) in enumerate(zip(names, slots)):
        parts.append('<text x="%d" y="15" class="s%d">%s</text>' % (46 + 70 * i, slot, name))
    height = 24 + (len(found) + 1) // 2 * 200
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="820" height="%d" '
            'viewBox="0 0 820 %d">%s</svg>\n' % (height, height, "".join(parts)))


def main(arguments):
    if len(arguments) != 2:
        sys.stderr.write(__doc__)
        return 2
    with open(arguments[0], newline="") as source:
        rows = list(csv.DictReader(source))
    if not rows:
        sys.stderr.write("plot.py: %s holds no second\n" % arguments[0])
        return 1
    with open(arguments[1], "w") as target:
        target.write(draw(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
