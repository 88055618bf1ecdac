"""The HTML report of a race: one file with style, script and plots inside, which loads nothing."""

import html
import os

import figures
import svg

MIB = 1 << 20
PARTS = [
    (figures.TIME, "time", "Time", "ns per operation", 1),
    (figures.PEAK, "peak", "Peak RSS", "MiB", MIB),
    (figures.AFTER, "after", "RSS at the end of the watch", "MiB", MIB),
]


def esc(text):
    return html.escape(str(text), quote=True)


def tag(name, content, kind="", extra=""):
    kind = ' class="%s"' % kind if kind else ""
    return "<%s%s%s>%s</%s>" % (name, kind, extra, content, name)


def figure_text(value):
    """Four digits at most, never an exponent: 3.58, 45.4, 1842287."""
    if value is None:
        return "–"
    return "%.2f" % value if value < 100 else "%.1f" % value if value < 1000 else "%.0f" % value


def cell(text, value, kind=""):
    """A cell that sorts by `value`; None goes last."""
    value = "" if value is None else value
    return tag("td", text, kind, ' data-v="%s"' % esc(value))


def table(heads, lines, kind=""):
    """A sortable table. lines: lists of cells."""
    head = ""
    for i, text in enumerate(heads):
        # A head stands over its figures: as far left or right as they do.
        side = "left" if lines and ' class="left"' in lines[0][i] else ""
        button = tag("button", esc(text), extra=' type="button"')
        head += tag("th", button, side, ' scope="col"')
    body = "\n".join(tag("tr", "".join(line)) for line in lines)
    inside = "<thead><tr>%s</tr></thead><tbody>%s</tbody>" % (head, body)
    return tag("div", tag("table", inside, kind), "wide")


class Page:
    def __init__(self, race):
        self.race = race
        self.document = race.document
        # hakmem first, then the C library and the peers: a colour and a line pattern each.
        order = race.subjects[:1] + race.peers + race.subjects[1:]
        self.slot = {name: i % svg.SLOTS for i, name in enumerate(order)}

    # Words

    def lead(self, subject):
        """What came out, in words; the lost rows as plainly as the won ones."""
        said = []
        for key, word in ((figures.TIME, "time"), (figures.PEAK, "peak memory")):
            score = self.race.score(subject, key)
            if score.mean is None:
                continue
            ratio, worst = score.worst
            text = (
                "%s: <b>%s×</b> the best of the others (geometric mean over %d behaviours),"
                " ahead or level in <b>%d of %d</b> rows, behind in <b>%d</b>; the worst row is"
                " %s with %s×"
            )
            behind = score.counted - score.ahead
            values = (word, svg.ratio_text(score.mean), len(score.behaviours), score.ahead)
            text %= values + (score.counted, behind, esc(worst), svg.ratio_text(ratio))
            if score.counted < score.rows:
                text += "; %d rows have no figure" % (score.rows - score.counted)
            said.append(tag("li", text))
        return tag("p", "<b>%s</b>, against the best other allocator of each row:" % esc(subject),
                   "lead") + tag("ul", "".join(said))

    def warnings(self):
        out = []
        if self.document["smoke"]:
            out.append("A smoke run: it checks the tool, its figures say nothing.")
        if self.document["interrupted"]:
            out.append("The race was interrupted: only the runs that were made are here.")
        failures = {}
        for run in self.document["runs"]:
            if run["failure"]:
                key = (run["row"], run["allocator"], run["failure"])
                failures.setdefault(key, []).append(str(run["round"]))
        for (row, name, why), rounds in failures.items():
            out.append("Failed: %s under %s, round %s: %s" % (row, name, ", ".join(rounds), why))
        if self.document["rounds"] < 3 and not self.document["smoke"]:
            out.append("Fewer than three rounds: the ranges say little about chance.")
        return "".join(tag("p", esc(text), "warning") for text in out)

    # Plots

    def best_bars(self, subject, key, title, unit):
        """A bar per row, the worst first."""
        bars = []
        for row in self.race.rows:
            found = self.race.ratio(row, subject, key)
            name, best = self.race.best_peer(row, key)
            if found is None:
                bars.append(self.missing(row, row, "", self.race.failed(row, subject)))
                continue
            unclear = found.count > 1 and figures.crosses_one(found)
            kind = "winning" if found.middle <= 1 else "losing"
            value = "%s× %s%s" % (svg.ratio_text(found.middle), name, " ≈" if unclear else "")
            own = self.race.spread(row, subject, key)
            tip = "%s: %s %s %s, %s %s (%s to %s)" % (
                row, subject, figure_text(own.middle / unit[1]), unit[0], name,
                figure_text(best.middle / unit[1]), svg.ratio_text(found.least),
                svg.ratio_text(found.greatest))
            kind += " unclear" if unclear else ""
            bars.append(self.bar(row, kind, found, value, tip))
        bars.sort(key=lambda bar: -1e9 if bar["ratio"] is None else -bar["ratio"])
        return svg.ratio_bars("%s: %s to the best other allocator" % (title, subject), [("", bars)])

    @staticmethod
    def bar(label, kind, found, value, tip):
        return {"label": label, "kind": kind, "ratio": found.middle, "least": found.least,
                "greatest": found.greatest, "value": value, "tip": tip}

    @staticmethod
    def missing(label, row, kind, failed):
        word = "failed" if failed else "no figure"
        return {"label": label, "kind": kind, "ratio": None, "least": None, "greatest": None,
                "value": word, "tip": "%s, %s: %s" % (row, label, word)}

    def all_bars(self, key, title, unit, divisor):
        """A group per row, a bar per allocator; as one chart per behaviour, so that it folds."""
        out = []
        for behaviour in dict.fromkeys(self.race.behaviour.values()):
            groups = []
            for row in self.race.rows:
                if self.race.behaviour[row] == behaviour:
                    groups.append((row, [self.row_bar(row, name, key, unit, divisor)
                                         for name in self.slot]))
            chart = svg.ratio_bars("%s, %s" % (title, behaviour), groups)
            out.append(tag("div", tag("h3", esc(behaviour)) + chart))
        return tag("div", "".join(out), "flow")

    def row_bar(self, row, name, key, unit, divisor):
        found, own = self.race.ratio(row, name, key), self.race.spread(row, name, key)
        kind = "s%d" % self.slot[name]
        if found is None:
            return self.missing(name, row, kind, self.race.failed(row, name))
        value = figure_text(own.middle / divisor)
        value = "%s× %s %s" % (svg.ratio_text(found.middle), value, unit)
        tip = "%s, %s: %s %s, %s to %s in %d rounds" % (
            row, name, figure_text(own.middle / divisor), unit, figure_text(own.least / divisor),
            figure_text(own.greatest / divisor), own.count)
        return self.bar(name, kind, found, value.replace("ns per operation", "ns"), tip)

    def mean_bars(self, key, title):
        """A group per behaviour and one over all of them."""
        scores = {name: self.race.score(name, key) for name in self.slot}
        groups = []
        for behaviour in ["all behaviours", *dict.fromkeys(self.race.behaviour.values())]:
            bars = []
            for name, score in scores.items():  # in the order of the legend
                mean = score.behaviours.get(behaviour)
                mean = score.mean if behaviour == "all behaviours" else mean
                kind = "s%d" % self.slot[name]
                if mean is None:
                    bars.append(self.missing(name, behaviour, kind, False))
                    continue
                found = figures.Spread(mean, mean, mean, 1)
                text = svg.ratio_text(mean) + "×"
                tip = "%s, %s: %s" % (behaviour, name, text)
                bars.append(self.bar(name, kind, found, text, tip))
            groups.append((behaviour, bars))
        return svg.ratio_bars("%s: geometric means to the best other allocator" % title, groups)

    def legend(self):
        out = []
        for name, slot in self.slot.items():
            parts = ['<line x1="0" y1="6" x2="44" y2="6" class="line s%d"/>' % slot]
            out.append(tag("li", svg.picture(44, 12, name, parts) + esc(name)))
        return tag("ul", "".join(out), "legend")

    def curve_charts(self):
        charts, short = [], []
        for row in self.race.rows:
            lines = []
            for name in self.slot:
                run = self.race.median_run(row, name)
                if run and len(run["curve"]) > 1:
                    points = [(at / 1000, resident / MIB) for at, resident in run["curve"]]
                    lines.append((name, self.slot[name], points))
            if lines:
                charts.append(svg.curves(row, lines, "s", "MiB"))
            else:
                short.append(row)
        out = tag("div", "".join(charts), "charts") if charts else ""
        if short:
            why = "not sampled" if self.document["sample_ms"] == 0 else "too short to be sampled"
            out += tag("p", "Rows without a curve (%s): %s." % (why, esc(", ".join(short))), "note")
        return out

    def latency_part(self):
        charts, lines = [], []
        for row in self.race.rows:
            found = {name: self.race.latency(row, name) for name in self.slot}
            kinds = dict.fromkeys(kind for value in found.values() for kind in value)
            for kind in kinds:
                told = [(n, self.slot[n], v[kind]) for n, v in found.items() if kind in v]
                charts.append(svg.percentiles("%s, %s" % (row, kind), [
                    (n, slot, {k: v for k, v in values.items() if k in figures.PERCENTILES})
                    for n, slot, values in told]))
                lines += [self.latency_line(row, kind, name, values) for name, _, values in told]
        if not charts:
            return tag("p", "No program of this race reported latencies of single calls.", "note")
        words = (
            "Circle p50, square p99, diamond p99.9, bar the slowest call; medians of the rounds. "
            "Reading the clock is part of each figure; <i>nothing</i> is an empty loop beside, so "
            "what it shows is the noise of the machine. Samples in which the thread was switched "
            "out, or the host of a virtual machine ran something else, stand apart. In those "
            "<i>waiting</i> the thread gave its CPU up itself, for a lock."
        )
        heads = ["row", "call", "allocator", "p50", "p99", "p99.9", "max", "above 1 ms",
                 "of these first touches", "mappings", "purges", "switched out",
                 "of these waiting", "by the host", "slowest"]
        return tag("p", words, "note") + tag("div", "".join(charts), "two") + table(heads, lines)

    @staticmethod
    def latency_line(row, kind, name, values):
        line = [cell(esc(text), text, "left") for text in (row, kind, name)]
        counts = ["over_1ms", "over_1ms_faults", "over_1ms_mappings", "over_1ms_purges",
                  "switched", "waited", "stolen"]
        for key in [*figures.PERCENTILES, *counts, "switched_max"]:
            value = values.get(key)
            form = "%g".__mod__ if key in counts else svg.nanoseconds
            line.append(cell("–" if value is None else form(value), value))
        return line

    # Tables

    def scoreboard(self, key, title):
        heads = [title, "mean ratio", "ahead or level", "behind", "in each round", "worst row"]
        lines = []
        for name in self.slot:
            score = self.race.score(name, key)
            behind = score.counted - score.ahead
            # One round has no range.
            apart = behind - score.unclear if self.document["rounds"] > 1 else None
            worst = ("–", None)
            if score.worst:
                ratio, row = score.worst
                worst = ("%s× %s" % (svg.ratio_text(ratio), row), ratio)
            lines.append([
                cell(esc(name), name, "best" if name in self.race.subjects else ""),
                cell(svg.ratio_text(score.mean), score.mean),
                cell("%d of %d" % (score.ahead, score.counted), score.ahead),
                cell(behind, behind),
                cell("–" if apart is None else apart, apart),
                cell(esc(worst[0]), worst[1], "left"),
            ])
        return table(heads, lines)

    def pairs(self, subject):
        heads = ["%s against" % subject, "time, mean ratio", "rows ahead or level",
                 "peak RSS, mean ratio", "rows ahead or level"]
        lines = []
        for other in self.slot:
            if other == subject:
                continue
            line = [cell(esc(other), other)]
            for key in (figures.TIME, figures.PEAK):
                mean, _, counted, ahead = self.race.against(subject, other, key)
                kind = "" if mean is None else "win" if mean <= 1 else "loss"
                line.append(cell(svg.ratio_text(mean), mean, kind))
                line.append(cell("%d of %d" % (ahead, counted), ahead))
            lines.append(line)
        return table(heads, lines)

    def figures_table(self, key, divisor):
        names = list(self.slot)
        heads = ["row", "behaviour", *names, "best other"]
        heads += ["%s / best" % subject for subject in self.race.subjects]
        lines = []
        shown = self.race.watched(key) if key == figures.AFTER else self.race.rows
        for row in shown:
            behaviour = self.race.behaviour[row]
            line = [cell(esc(row), row), cell(esc(behaviour), behaviour, "left")]
            values = {name: self.race.spread(row, name, key) for name in names}
            least = min((v.middle for v in values.values() if v is not None), default=None)
            for name in names:
                line.append(self.figure_cell(values[name], least, divisor,
                                             self.race.failed(row, name)))
            best, _ = self.race.best_peer(row, key)
            line.append(cell(esc(best or "–"), best, "left"))
            for subject in self.race.subjects:
                found = self.race.ratio(row, subject, key)
                middle = found and found.middle
                kind = "" if middle is None else "win" if middle <= 1 else "loss"
                line.append(cell(svg.ratio_text(middle), middle, kind))
            lines.append(line)
        return table(heads, lines)

    @staticmethod
    def figure_cell(value, least, divisor, failed):
        if value is None:
            return cell("failed" if failed else "–", None, "failed" if failed else "")
        text = figure_text(value.middle / divisor)
        low, high = figure_text(value.least / divisor), figure_text(value.greatest / divisor)
        small = tag("small", "%s – %s" % (low, high)) if value.count > 1 else ""
        return cell(text + small, value.middle, "best" if value.middle == least else "")

    def provenance(self):
        known = list(self.document["facts"])
        figure = {"median": "medians", "min": "least of each run and of the rounds"}
        known += [
            ["rounds", "%d, allocators interleaved, each first in turn" % self.document["rounds"]],
            ["times shown", figure[self.document["figure"]]],
            ["memory sampled every", "%g ms" % self.document["sample_ms"]],
            ["time-out of a run", "%g s" % self.document["timeout_s"]],
            ["load average before", self.document["load_before"]],
            ["load average after", self.document["load_after"]],
        ]
        known += [["left out", note] for note in self.document["notes"]]
        facts = tag("table", "".join(
            tag("tr", tag("td", esc(name)) + tag("td", esc(value), "command"))
            for name, value in known))
        heads = ["allocator", "file", "version", "package", "compiler", "SHA-256"]
        lines = []
        for entry in self.document["allocators"]:
            keys = ("name", "file", "version", "package", "compiler", "sha256")
            lines.append([cell(esc(entry[key]) or "–", entry[key], "command") for key in keys])
        rows = [[cell(esc(row[key]), row[key], "command")
                 for key in ("name", "behaviour", "threads", "command")]
                for row in self.document["rows"]]
        return (tag("div", facts, "wide") + tag("h3", "Allocators") + table(heads, lines, "words")
                + tag("details", tag("summary", "Commands of the rows")
                      + table(["row", "behaviour", "CPUs", "command"], rows, "words")))

    # The page

    def sections(self):
        """[(anchor, heading, content)]"""
        race = self.race
        yield "score", "Score", (
            tag("p", "Ratios are to the best allocator of each row that is no hakmem; below 1 is"
                " better. Means are geometric, per behaviour first, then over behaviours."
                " <i>In each round</i>: in so many of the rows behind, every round was slower or"
                " larger than that round of the best.", "note")
            + "".join(self.scoreboard(key, title) for key, _, title, _, _ in PARTS[:2])
            + "".join(self.pairs(subject) for subject in race.subjects))
        for subject in race.subjects:
            charts = "".join(
                tag("div", tag("h3", title) + self.best_bars(subject, key, title, (unit, divisor)))
                for key, _, title, unit, divisor in PARTS[:2])
            words = (
                "Every row, the worst first: the ratio to the best other allocator, which is named"
                " at the right. Whiskers reach from the least to the greatest round; a pale bar and"
                " ≈ mark a row in which one round was ahead and another behind.")
            yield ("rows-" + subject, "%s, row by row" % subject,
                   tag("p", words, "note") + tag("div", charts, "two"))
        yield "means", "Behaviours", tag("div", "".join(
            tag("div", tag("h3", title) + self.mean_bars(key, title))
            for key, _, title, _, _ in PARTS[:2]), "two")
        for key, anchor, title, unit, divisor in PARTS:
            if race.watched(key):
                yield anchor, title, (
                    tag("p", "%s: median, and least to greatest of the rounds. The best is bold."
                        " A click on a head sorts." % esc(unit), "note")
                    + self.figures_table(key, divisor))
        for key, anchor, title, unit, divisor in PARTS[:2]:
            yield "bars-" + anchor, title + " of all allocators", tag(
                "details", tag("summary", "Bars of every row and allocator")
                + self.all_bars(key, title, unit, divisor), extra=" open=\"open\"")
        yield "curves", "Resident memory over time", (
            tag("p", "The run whose time is the median, from the start of the process to its end.",
                "note") + self.legend() + self.curve_charts())
        yield "latency", "Latency of single calls", self.latency_part()
        yield "how", "How this was measured", (
            tag("p", "A run is one process with one row. Each is pinned, and each report names the"
                " file that served malloc and free: a run that another one served ends the race.")
            + self.provenance())

    def render(self):
        here = os.path.dirname(os.path.abspath(__file__))
        inside = {}
        for name in ("page.css", "page.js"):
            with open(os.path.join(here, name), encoding="utf-8") as file:
                inside[name] = file.read()
        sections = list(self.sections())
        links = ['<a href="#%s">%s</a>' % (esc(to), esc(heading)) for to, heading, _ in sections]
        body = tag("h1", "Allocators in a race over %d rows" % len(self.race.rows))
        body += self.warnings()
        body += "".join(self.lead(subject) for subject in self.race.subjects)
        body += tag("nav", "".join(links))
        for anchor, heading, content in sections:
            body += "\n" + tag("section", tag("h2", esc(heading)) + content,
                               extra=' id="%s"' % esc(anchor))
        return "\n".join([
            "<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            "<title>hakmem: a race of allocators</title>",
            "<style>\n%s</style>" % inside["page.css"], "</head>", "<body>", body,
            "<script>\n%s</script>" % inside["page.js"], "</body>", "</html>", ""])


def of(race):
    """The whole page as text."""
    return Page(race).render()
