"""page_check.py FOLDER: does the report of a race hold what its JSON file says?

Looks at race.html as a parser sees it, at each plot as XML, and at race.csv.
"""

import csv
import html.parser
import json
import math
import os
import re
import sys
import xml.etree.ElementTree

VOID = {"meta", "br", "line", "rect", "polygon"}
NUMBERS = {"x", "y", "x1", "x2", "y1", "y2", "width", "height"}
faults = []


def expect(holds, what):
    if not holds:
        faults.append(what)


class Reader(html.parser.HTMLParser):
    """Checks that elements nest, keeps their text and what could load something."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.loads, self.ids, self.links = [], [], set(), set()
        self.cells, self.text = [], None

    def handle_starttag(self, name, attributes):
        given = dict(attributes)
        for key in ("src", "href", "data", "action", "xlink:href", "srcset"):
            value = given.get(key, "")
            if value.startswith("#"):
                self.links.add(value[1:])
            elif value:
                self.loads.append("%s %s=%s" % (name, key, value))
        expect(name not in ("link", "iframe", "img", "object"), "the page has a <%s>" % name)
        if "id" in given:
            expect(given["id"] not in self.ids, "the id %s stands twice" % given["id"])
            self.ids.add(given["id"])
        if name in ("td", "th"):
            self.text = ""
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        expect(bool(self.open) and self.open[-1] == name, "</%s> ends %s" % (name, self.open[-1:]))
        if self.open and self.open[-1] == name:
            self.open.pop()
        if name in ("td", "th") and self.text is not None:
            self.cells.append(self.text)
            self.text = None

    def handle_data(self, data):
        if self.text is not None:
            self.text += data


def check_plot(text):
    """The words of one <svg>. Every mark has a place, and the place is inside."""
    plot = xml.etree.ElementTree.fromstring(text)
    name = plot.get("aria-label")
    expect(bool(name), "a plot without a name")
    _, _, width, height = map(float, plot.get("viewBox").split())
    for element in plot.iter():
        values = {key: float(element.get(key)) for key in NUMBERS if key in element.attrib}
        expect(all(map(math.isfinite, values.values())), "%s: %s" % (name, element.attrib))
        points = [pair.split(",") for pair in element.get("points", "").split()]
        spots = [(float(x), float(y)) for x, y in points]
        spots += [(values[x], values[y]) for x, y in (("x", "y"), ("x1", "y1"), ("x2", "y2"))
                  if x in values]
        for x, y in spots:
            inside = -1 <= x <= width + 1 and -1 <= y <= height + 1
            expect(inside, "%s: a mark at %g, %g of %g, %g" % (name, x, y, width, height))
    words = [(element.text or "").strip() for element in plot.iter() if element.tag == "text"]
    return name, words


def check_page(page, document):
    rows = [row["name"] for row in document["rows"]]
    allocators = [allocator["name"] for allocator in document["allocators"]]
    expect("http" not in page.lower(), "the page names an address outside")
    expect(not re.search(r"@import|url\(", page), "the style sheet loads something")
    reader = Reader()
    reader.feed(page)
    reader.close()
    expect(not reader.open, "not closed: %s" % reader.open)
    expect(not reader.loads, "the page loads %s" % reader.loads)
    expect(reader.links <= reader.ids, "links to nowhere: %s" % (reader.links - reader.ids))
    cells = set(reader.cells)
    for name in rows + allocators:
        expect(name in cells, "%s is in no table" % name)
    plots = [check_plot(text) for text in re.findall(r"<svg .*?</svg>", page, re.S)]
    for title in ("Time", "Peak RSS"):
        ours = [w for n, w in plots if re.match(title + ": .* to the best other allocator$", n)]
        subjects = [a["name"] for a in document["allocators"] if a["kind"] == "hakmem"]
        # One with a bar for each row per hakmem, and one with the means of behaviours.
        expect(len(ours) == len(subjects) + 1, "%s: %d plots to the best" % (title, len(ours)))
        for words in ours[: len(subjects)]:
            for row in rows:
                expect(row in words, "%s: no bar for %s" % (title, row))
        bars = [words for name, words in plots if name.startswith(title + ", ")]
        for row in rows:
            found = [words for words in bars if row in words]
            expect(len(found) == 1, "%s: %s is in %d plots" % (title, row, len(found)))
            expect(not found or set(allocators) <= set(found[0]), "%s: %s" % (title, found))
    sampled = {row for row in rows
               if any(r["row"] == row and len(r["curve"]) > 1 for r in document["runs"])}
    curves = {name for name, _ in plots}
    expect(sampled <= curves, "no curve of %s" % sorted(sampled - curves))
    return len(plots)


def check_curves(runs):
    """The samples of memory agree with the peak that the kernel reports, in bytes and in order."""
    filled = 0
    for run in runs:
        if run["curve"] and not run["failure"]:
            peak, highest = run["peak_rss_bytes"], max(resident for _, resident in run["curve"])
            # The program reads its peak before it prints, and the kernel's counts lag.
            expect(highest <= 1.25 * peak + (1 << 20), "sampled above the peak: %s" % run)
            expect(run["curve"] == sorted(run["curve"]), "a curve runs backwards: %s" % run)
            filled += highest >= peak / 2
    return filled


def main(folder):
    def path(name):
        return os.path.join(folder, name)

    with open(path("race.json"), encoding="utf-8") as file:
        document = json.load(file)
    with open(path("race.html"), encoding="utf-8") as file:
        plots = check_page(file.read(), document)
    with open(path("race.csv"), encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    runs = document["runs"]
    wanted = {(n + 1, row["name"], who["name"]) for n in range(document["rounds"])
              for row in document["rows"] for who in document["allocators"]}
    made = {(r["round"], r["row"], r["allocator"]) for r in runs}
    expect(len(runs) == len(made), "a run stands twice")
    expect(made == wanted or (document["interrupted"] and made < wanted), "runs are missing")
    told = [(int(line["round"]), line["row"], line["allocator"]) for line in lines]
    expect(told == [(r["round"], r["row"], r["allocator"]) for r in runs], "race.csv differs")
    files = {who["name"]: who["file"] for who in document["allocators"] if who["kind"] != "libc"}
    for run in runs:
        good = run["failure"] or run["allocator"] not in files
        expect(good or run["served_by"] == files[run["allocator"]], "served by another: %s" % run)
    curves = check_curves(runs)
    # Others may be too short, and of a run that a busy machine made long the curve may be dropped.
    if any(run["row"] == "spike" for run in runs):
        expect(curves, "no run shows its memory")
    for key in ("machine", "kernel", "commit", "compiler of the programs", "C library"):
        expect(dict(document["facts"]).get(key), "the report does not know the " + key)
    for fault in faults[:20]:
        print("page_check: " + fault, file=sys.stderr)
    print("page_check: %d runs, %d plots, %d faults" % (len(runs), plots, len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
