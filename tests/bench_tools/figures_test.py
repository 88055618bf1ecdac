"""What a race's runs come to, on runs that are written down here; the order and the plots."""

import csv
import io
import os
import re
import sys
import types
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "bench", "compare"))
import allocators  # noqa: E402
import figures  # noqa: E402
import page  # noqa: E402
import race  # noqa: E402
import rows  # noqa: E402
import runner  # noqa: E402
import svg  # noqa: E402
import tables  # noqa: E402

# Behaviour A has two rows, B and C have one. fast crashes once in c1.
RUNS = """\
round,row,behaviour,allocator,ns_per_op,peak_rss_bytes,at_end_bytes,ops,served_by
1,a1,A,glibc,10,3000,,7,libc.so.6
1,a1,A,fast,4,2000,,7,fast.so
1,a1,A,hakmem,2,1000,,7,hakmem.so
1,a2,A,glibc,6,1000,,7,libc.so.6
1,a2,A,fast,12,2000,,7,fast.so
1,a2,A,hakmem,12,2000,,7,hakmem.so
1,b1,B,glibc,100,4000,500,7,libc.so.6
1,b1,B,fast,50,2000,400,7,fast.so
1,b1,B,hakmem,60,4000,200,7,hakmem.so
1,c1,C,glibc,20,1000,,7,libc.so.6
1,c1,C,fast,5,1000,,7,fast.so
1,c1,C,hakmem,10,500,,7,hakmem.so
2,a1,A,glibc,12,3000,,7,libc.so.6
2,a1,A,fast,8,2000,,7,fast.so
2,a1,A,hakmem,3,1000,,7,hakmem.so
2,a2,A,glibc,6,1000,,7,libc.so.6
2,a2,A,fast,12,2000,,7,fast.so
2,a2,A,hakmem,13,2000,,7,hakmem.so
2,b1,B,glibc,100,4000,500,7,libc.so.6
2,b1,B,fast,60,2000,400,7,fast.so
2,b1,B,hakmem,55,4000,200,7,hakmem.so
2,c1,C,glibc,20,1000,,7,libc.so.6
2,c1,C,fast,,,,,failed
2,c1,C,hakmem,10,500,,7,hakmem.so
3,a1,A,glibc,11,3000,,7,libc.so.6
3,a1,A,fast,5,2000,,7,fast.so
3,a1,A,hakmem,2.5,1000,,7,hakmem.so
3,a2,A,glibc,6,1000,,7,libc.so.6
3,a2,A,fast,12,2000,,7,fast.so
3,a2,A,hakmem,12,2000,,7,hakmem.so
3,b1,B,glibc,100,4000,500,7,libc.so.6
3,b1,B,fast,40,2000,400,7,fast.so
3,b1,B,hakmem,65,4000,200,7,hakmem.so
3,c1,C,glibc,20,1000,,7,libc.so.6
3,c1,C,fast,5,1000,,7,fast.so
3,c1,C,hakmem,10,500,,7,hakmem.so
"""
KINDS = {"glibc": "libc", "fast": "peer", "hakmem": "hakmem"}


def number(text):
    return float(text) if text else None


def document(figure="median"):
    lines = list(csv.DictReader(io.StringIO(RUNS)))
    behaviours = {line["row"]: line["behaviour"] for line in lines}
    about = dict.fromkeys(("file", "version", "package", "compiler", "sha256"), "")
    return {
        "format": race.FORMAT, "figure": figure, "rounds": 3, "smoke": False, "interrupted": False,
        "sample_ms": 10, "timeout_s": 120, "load_before": "", "load_after": "", "notes": [],
        "facts": [["machine", "a < b & c"]],
        "allocators": [dict(about, name=name, kind=kind) for name, kind in KINDS.items()],
        "rows": [{"name": name, "behaviour": behaviour, "command": name, "threads": 1}
                 for name, behaviour in behaviours.items()],
        "runs": [
            {
                "round": int(line["round"]), "row": line["row"], "allocator": line["allocator"],
                "failure": "exit status 7" if line["served_by"] == "failed" else None,
                "ns_per_op": number(line["ns_per_op"]), "notes": {}, "latency": {}, "curve": [],
                "peak_rss_bytes": number(line["peak_rss_bytes"]),
                "at_end_bytes": number(line["at_end_bytes"]),
            }
            for line in lines
        ],
    }


def document_with_b1(found):
    """The document with other times in row b1: {allocator: a time for each round}."""
    doc = document()
    for run in doc["runs"]:
        if run["row"] == "b1":
            run["ns_per_op"] = found[run["allocator"]][run["round"] - 1]
    return doc


class Figures(unittest.TestCase):
    def setUp(self):
        self.race = figures.Race(document())

    def test_medians_and_ranges(self):
        self.assertEqual(self.race.spread("a1", "fast", figures.TIME), (5, 4, 8, 3))
        self.assertEqual(self.race.spread("a1", "hakmem", figures.TIME), (2.5, 2, 3, 3))
        self.assertIsNone(self.race.spread("a1", "hakmem", figures.AFTER))
        least = figures.Race(document("min"))
        self.assertEqual(least.spread("a1", "fast", figures.TIME).middle, 4)
        self.assertEqual(least.spread("b1", "hakmem", figures.PEAK).middle, 4000)

    def test_an_allocator_that_crashed_has_no_figure(self):
        self.assertIsNone(self.race.spread("c1", "fast", figures.TIME))
        self.assertEqual(self.race.best_peer("c1", figures.TIME)[0], "glibc")

    def test_what_was_not_run_is_not_said_to_have_failed(self):
        doc = document()
        doc["interrupted"] = True
        # hakmem and glibc had their turn in b1, fast had not; nobody had in c1.
        doc["runs"] = [r for r in doc["runs"] if r["row"] in ("a1", "a2") or
                       (r["row"], r["round"]) == ("b1", 1) and r["allocator"] != "fast"]
        for name in KINDS:
            self.assertIsNone(figures.Race(doc).spread("b1", name, figures.TIME))
        text = race.markdown(doc)
        self.assertNotIn("failed", text)
        for row in ("b1", "c1"):
            self.assertRegex(text, r"\| %s +\| +– \| +– \| +– \| +– \|" % row)
        doc["runs"][0]["failure"] = "exit status 7"
        self.assertRegex(race.markdown(doc), r"\| a1 +\| +failed \|")

    def test_the_best_peer_may_be_the_c_library_and_never_hakmem(self):
        found = {row: self.race.best_peer(row, figures.TIME)[0] for row in self.race.rows}
        self.assertEqual(found, {"a1": "fast", "a2": "glibc", "b1": "fast", "c1": "glibc"})

    def test_ratios(self):
        # Rounds: 2/4, 3/8, 2.5/5.
        self.assertEqual(self.race.ratio("a1", "hakmem", figures.TIME), (0.5, 0.375, 0.5, 3))
        self.assertEqual(self.race.ratio("a2", "hakmem", figures.TIME).middle, 2)
        # 60/50, 55/60, 65/40; the medians, 60 and 50, are of one round by chance.
        self.assertEqual(self.race.ratio("b1", "hakmem", figures.TIME), (1.2, 55 / 60, 1.625, 3))
        self.assertEqual(self.race.ratio("b1", "hakmem", figures.AFTER).middle, 0.5)

    def test_a_slow_phase_of_the_machine_is_no_loss(self):
        # The machine is half as fast in round 2 and while hakmem runs in round 3.
        found = {"glibc": (50, 100, 50), "fast": (12, 24, 12), "hakmem": (10, 20, 20)}
        doc = document_with_b1(found)
        slow = figures.Race(doc)
        self.assertEqual(slow.ratio("b1", "hakmem", figures.TIME).middle, 10 / 12)  # not 20/12
        self.assertAlmostEqual(slow.against("hakmem", "glibc", figures.TIME)[1]["B"], 0.2)
        self.assertRegex(race.markdown(doc), r"\| b1 .* fast \| +0.83 \| +0.20 \|")

    def test_the_best_peer_is_the_best_of_its_rounds(self):
        # glibc has the lower median, but is behind in two rounds of three.
        found = {"glibc": (11, 22, 15), "fast": (10, 20, 40), "hakmem": (10, 10, 10)}
        doc = document_with_b1(found)
        self.assertEqual(figures.Race(doc).best_peer("b1", figures.TIME)[0], "fast")

    def test_of_least_figures_it_is_the_ratio(self):
        least = figures.Race(document("min"))
        found = least.ratio("b1", "hakmem", figures.TIME)
        self.assertEqual(found, (55 / 40, 55 / 60, 1.625, 3))

    def test_memory_is_the_median_where_times_are_the_least(self):
        doc = document("min")
        found = {"glibc": (9, 9, 9), "fast": (2, 6, 4), "hakmem": (8, 4, 1)}
        for run in doc["runs"]:
            if run["row"] == "b1":
                run["peak_rss_bytes"] = found[run["allocator"]][run["round"] - 1]
        least = figures.Race(doc)
        self.assertEqual(least.spread("b1", "hakmem", figures.PEAK).middle, 4)
        self.assertEqual(least.spread("b1", "fast", figures.PEAK).middle, 4)
        # Rounds: 8/2, 4/6, 1/4.
        self.assertEqual(least.ratio("b1", "hakmem", figures.PEAK), (4 / 6, 0.25, 4, 3))

    def test_means_are_taken_per_behaviour_first(self):
        score = self.race.score("hakmem", figures.TIME)
        # A: sqrt(0.5 x 2), B: 1.2, C: 0.5. All rows alike would give 0.880.
        for behaviour, mean in {"A": 1.0, "B": 1.2, "C": 0.5}.items():
            self.assertAlmostEqual(score.behaviours[behaviour], mean)
        self.assertAlmostEqual(score.mean, 0.6 ** (1 / 3))
        # A: sqrt(0.5 x 2), B: 2, C: 0.5.
        self.assertAlmostEqual(self.race.score("hakmem", figures.PEAK).mean, 1.0)

    def test_scores(self):
        score = self.race.score("hakmem", figures.TIME)
        self.assertEqual((score.rows, score.counted, score.ahead), (4, 4, 2))
        self.assertEqual(score.worst, (2.0, "a2"))
        # b1 is behind, but not in its second round; a2 is behind in every round.
        self.assertEqual(score.unclear, 1)
        self.assertEqual(self.race.score("fast", figures.TIME).counted, 3)

    def test_one_against_another(self):
        mean, behaviours, counted, ahead = self.race.against("hakmem", "glibc", figures.TIME)
        self.assertAlmostEqual(behaviours["A"], (2.5 / 11 * 2) ** 0.5)
        self.assertAlmostEqual(mean, ((2.5 / 11 * 2) ** 0.5 * 0.6 * 0.5) ** (1 / 3))
        self.assertEqual((counted, ahead), (4, 3))
        self.assertEqual(self.race.against("hakmem", "fast", figures.TIME)[2:], (3, 2))

    def test_the_tables_have_the_same_means(self):
        lines = race.markdown(document()).splitlines()
        found = [re.split(r" *\| *", line)[-3:-1] for line in lines if "geometric mean" in line]
        time, peak, after = found
        self.assertEqual(time, ["0.84", "0.59"])
        self.assertEqual(peak, ["1.00", "0.74"])
        self.assertEqual(after, ["0.50", "0.40"])

    def test_the_curve_is_that_of_the_median_run(self):
        self.assertEqual(self.race.median_run("a1", "hakmem")["round"], 3)
        self.assertEqual(self.race.median_run("c1", "fast")["round"], 1)

    def test_latencies(self):
        found = {"p50_ns": 20, "max_ns": 900, "malloc_p999_ns": 7, "at_end_bytes": 5, "p77_ns": 1}
        found.update(malloc_switched_max_ns=8, malloc_over_1ms_with_faults_count=3)
        found.update(malloc_over_1ms_count=4, other_switched_count=1, malloc_stolen_count=2)
        found.update(malloc_waited_count=9)
        found.update(malloc_over_1ms_with_mappings_count=5, malloc_over_1ms_with_purges_count=6)
        malloc = {"p999": 7, "switched_max": 8, "over_1ms_faults": 3, "over_1ms": 4, "stolen": 2,
                  "waited": 9, "over_1ms_mappings": 5, "over_1ms_purges": 6}
        wanted = {"call": {"p50": 20, "max": 900}, "malloc": malloc}
        self.assertEqual(figures.latencies(found), wanted)
        doc = document()
        for run, value in zip([r for r in doc["runs"] if r["row"] == "a1"], (5, 1, 9) * 3):
            run["latency"] = {"call": {"p99": value * (1 + (run["round"] == 3))}}
        found = figures.Race(doc).latency("a1", "glibc")
        self.assertEqual(found, {"call": {"p99": 5}})
        for run in doc["runs"]:
            run["latency"] = {"call": {"p99": 1}}
        self.assertEqual(figures.Race(doc).latency("c1", "fast"), {})


class Records(unittest.TestCase):
    def record(self, notes):
        report = {"rows": [{"median": 2.5, "ops": 7, "notes": notes}], "peak_rss_bytes": 9000,
                  "served_by_malloc": "/lib/fast.so"}
        outcome = runner.Outcome(report, None, [], 0.5)
        options = types.SimpleNamespace(figure="median")
        fast = allocators.Allocator("fast", "/lib/fast.so", "peer")
        return runner.record_of(options, 1, rows.ROWS[0], fast, outcome)

    def test_the_peak_is_that_of_the_short_processes_and_not_of_their_parent(self):
        self.assertEqual(self.record({"at_end_bytes": 5})["peak_rss_bytes"], 9000)
        self.assertEqual(self.record({"child_peak_rss_bytes": 4000})["peak_rss_bytes"], 4000)


class Order(unittest.TestCase):
    def test_allocators_take_turns(self):
        chosen = [allocators.Allocator(name, None, kind) for name, kind in KINDS.items()]
        some = rows.ROWS[:2]
        order = race.schedule(3, some, chosen)
        first = {(n, row.name): [] for n, row, _ in order}
        for n, row, allocator in order:
            first[n, row.name].append(allocator.name)
        self.assertEqual(len(order), 18)
        self.assertEqual({tuple(sorted(names)) for names in first.values()},
                         {tuple(sorted(KINDS))})
        for row in some:
            self.assertEqual({first[n, row.name][0] for n in (1, 2, 3)}, set(KINDS))

    def test_time_left(self):
        taken = {("a", "x"): [1.0, 3.0], ("a", "y"): [8.0]}
        todo = [("a", "x"), ("a", "y"), ("b", "x")]
        self.assertAlmostEqual(race.seconds_left(taken, todo), 2 + 8 + 4)
        self.assertIsNone(race.seconds_left({}, todo))
        told = [race.duration(s) for s in (None, 7.4, 125, 11100)]
        self.assertEqual(told, ["?", "7 s", "2 min", "3 h 05 min"])

    def test_thin_curves_keep_their_peaks(self):
        samples = [(i, 10) for i in range(1000)]
        samples[617] = (617, 99)
        thin = runner.thin(samples)
        self.assertLessEqual(len(thin), runner.CURVE_POINTS)
        self.assertIn([617, 99], thin)
        self.assertEqual(sorted(thin), thin)
        self.assertEqual(runner.thin(samples[:3]), [[0, 10], [1, 10], [2, 10]])


class Plots(unittest.TestCase):
    def bars(self, *ratios):
        group = [{"label": "x", "kind": "s0", "ratio": r, "least": r and r * 0.9,
                  "greatest": r and r * 1.1, "value": "v", "tip": "t"} for r in ratios]
        plot = xml.etree.ElementTree.fromstring(svg.ratio_bars("t", [("g", group)]))
        one = [float(e.get("x1")) for e in plot.iter("line") if e.get("class") == "one"]
        rects = [(float(e.get("x")), float(e.get("width"))) for e in plot.iter("rect")]
        return one[0], rects, [e.text for e in plot.iter("text")]

    def test_better_goes_left_and_worse_equally_far_right(self):
        one, [(left, wide), (right, same), (mark, thin)], _ = self.bars(0.5, 2.0, 1.0)
        self.assertAlmostEqual(left + wide - 1, one, places=0)
        self.assertAlmostEqual(right + 1, one, places=0)
        self.assertAlmostEqual(wide, same, places=0)
        self.assertAlmostEqual(mark + thin / 2, one, places=0)

    def test_allocators_look_different(self):
        doc = document()
        about = doc["allocators"][1]
        doc["allocators"] += [dict(about, name="peer%d" % i) for i in range(svg.SLOTS - 3)]
        slots = page.Page(figures.Race(doc)).slot
        self.assertGreaterEqual(len(slots), 12)  # hakmem, the C library, a race's eight peers, more
        self.assertEqual(len(set(slots.values())), len(slots))
        with open(os.path.join(ROOT, "bench", "compare", "page.css"), encoding="utf-8") as file:
            style = file.read()
        looks = {re.search(r"\.line\.s%d \{(.*)\}" % slot, style).group(1).partition("stroke-")[2]
                 for slot in slots.values()}
        self.assertEqual(len(looks), len(slots))
        for slot in slots.values():
            self.assertEqual(len(re.findall(r"--s%d: #" % slot, style)), 2)  # light and dark

    def test_what_failed_is_written_and_has_no_bar(self):
        _, rects, words = self.bars(None, 3.0)
        self.assertEqual(len(rects), 1)
        self.assertIn("v", words)

    def test_names_cannot_break_the_page(self):
        text = page.of(figures.Race(document()))
        self.assertIn("a &lt; b &amp; c", text)
        self.assertIn(">failed<", text)
        self.assertIn("Failed: c1 under fast, round 2: exit status 7", text)

    def test_rows_behind_are_counted_by_rounds_and_said_to_be(self):
        # b1 is behind in each round, though 30 and 24 lie within the other's range.
        found = {"glibc": (99, 99, 99), "fast": (10, 20, 30), "hakmem": (12, 24, 36)}
        score = figures.Race(document_with_b1(found)).score("hakmem", figures.TIME)
        self.assertEqual((score.counted - score.ahead, score.unclear), (2, 0))
        text = page.of(figures.Race(document_with_b1(found)))
        self.assertIn(">in each round</button>", text)
        self.assertNotRegex(text, "[Rr]anges apart|ranges meet")

    def test_figures_in_words(self):
        self.assertEqual([page.figure_text(v) for v in (3.579, 123.44, 1842286.9, None)],
                         ["3.58", "123.4", "1842287", "–"])
        self.assertEqual([svg.ratio_text(v) for v in (0.934, 24.05, 310.2, None)],
                         ["0.93", "24.1", "310", "–"])
        self.assertEqual([svg.nanoseconds(v) for v in (25, 3200, 14e6, 2e9)],
                         ["25 ns", "3.2 µs", "14 ms", "2 s"])
        self.assertEqual(tables.mean_of_behaviours([("a", None)]), (None, {}))


if __name__ == "__main__":
    unittest.main()
