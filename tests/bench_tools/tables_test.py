"""The arithmetic of bench/compare: medians, ratios, best peers, tables, the choice of rows."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "bench", "compare"))
import allocators  # noqa: E402
import rows  # noqa: E402
import tables  # noqa: E402

LIBC = allocators.Allocator("glibc", None, "libc")
FAST = allocators.Allocator("fast", "/fast.so", "peer")
SLOW = allocators.Allocator("slow", "/slow.so", "peer")
HAKMEM = allocators.Allocator("hakmem", "/hakmem.so", "hakmem")


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


class Arithmetic(unittest.TestCase):
    def test_median(self):
        self.assertEqual(tables.median([95.80, 97.04, 97.11, 98.28, 93.91]), 97.04)
        self.assertEqual(tables.median([4, 1, 3, 10]), 3.5)
        self.assertIsNone(tables.median([]))

    def test_least(self):
        self.assertEqual(tables.least([95.80, 97.04, 97.11, 98.28, 93.91]), 93.91)
        self.assertIsNone(tables.least([]))

    def test_ratio_of_what_is_missing_is_missing(self):
        self.assertEqual(tables.ratio(3.0, 4.0), 0.75)
        self.assertIsNone(tables.ratio(None, 4.0))
        self.assertIsNone(tables.ratio(3.0, None))
        self.assertIsNone(tables.ratio(3.0, 0))

    def test_geometric_mean(self):
        self.assertAlmostEqual(tables.geometric_mean([0.5, 2.0]), 1.0)
        self.assertAlmostEqual(tables.geometric_mean([0.5, None, 0.5]), 0.5)
        self.assertIsNone(tables.geometric_mean([None]))

    def test_the_best_is_the_smallest(self):
        figures = {"glibc": 1.0, "fast": 2.0, "slow": 3.0}
        self.assertEqual(tables.best(figures, ["fast", "slow"]), ("fast", 2.0))
        self.assertEqual(tables.best({"slow": None}, ["fast", "slow"]), (None, None))


def table(rows, chosen, figures):
    """Each row was run once."""
    peers = [allocator.name for allocator in chosen if allocator.kind != "hakmem"]

    def best(row):
        return tables.best(figures[row], peers)[0]

    def ratio(row, one, other):
        return tables.ratio(figures[row][one], figures[row][other])

    return tables.ratio_table(rows, chosen, figures, "%.1f", best, ratio)


class Tables(unittest.TestCase):
    def test_ratios_stand_under_their_heads(self):
        figures = {
            "one": {"glibc": 10.0, "fast": 4.0, "slow": 20.0, "hakmem": 2.0},
            "two": {"glibc": 10.0, "fast": 40.0, "slow": 5.0, "hakmem": 10.0},
        }
        lines = table(["one", "two"], [LIBC, FAST, SLOW, HAKMEM], figures)
        head = ["row", "glibc", "fast", "slow", "hakmem"]
        head += ["best peer", "hakmem / best", "hakmem / glibc"]
        one = ["one", "10.0", "4.0", "20.0", "2.0", "fast", "0.50", "0.20"]
        two = ["two", "10.0", "40.0", "5.0", "10.0", "slow", "2.00", "1.00"]
        self.assertEqual(cells(lines[0]), head)
        self.assertEqual(cells(lines[2]), one)
        self.assertEqual(cells(lines[3]), two)
        # fast: sqrt(0.4 x 4), slow: sqrt(2 x 0.5), hakmem: sqrt(0.2 x 1); best: sqrt(0.5 x 2)
        last = ["geometric mean, / glibc", "1.00", "1.26", "1.00", "0.45", "", "1.00", "0.45"]
        self.assertEqual(cells(lines[4]), last)

    def test_a_failed_run_is_said_and_leaves_the_rest(self):
        figures = {"one": {"glibc": 10.0, "fast": None, "slow": 20.0, "hakmem": None}}
        lines = table(["one"], [LIBC, FAST, SLOW, HAKMEM], figures)
        one = ["one", "10.0", "failed", "20.0", "failed", "glibc", "–", "–"]
        self.assertEqual(cells(lines[2]), one)

    def test_without_peers_the_ratio_to_the_c_library_stays(self):
        figures = {"one": {"glibc": 4.0, "hakmem": 1.0}}
        lines = table(["one"], [LIBC, HAKMEM], figures)
        self.assertEqual(cells(lines[0]), ["row", "glibc", "hakmem", "hakmem / glibc"])
        self.assertEqual(cells(lines[2]), ["one", "4.0", "1.0", "0.25"])


class Served(unittest.TestCase):
    def test_only_the_intended_file_counts(self):
        good = {"served_by_malloc": "/fast.so", "served_by_free": "/fast.so", "allocator": "fast"}
        self.assertIsNone(allocators.why_not_served(FAST, good))
        self.assertIn("/fast.so", allocators.why_not_served(SLOW, good))
        self.assertIsNotNone(allocators.why_not_served(LIBC, good))
        half = dict(good, served_by_free="/lib/libc.so.6")
        self.assertIsNotNone(allocators.why_not_served(FAST, half))
        self.assertIsNotNone(allocators.why_not_served(FAST, {}))
        libc = dict(half, served_by_malloc="/lib/libc.so.6", allocator="glibc")
        self.assertIsNone(allocators.why_not_served(LIBC, libc))

    def test_a_name_that_is_no_library_is_refused(self):
        for text in ("/no/such/file.so", "name=/no/such/file.so", "bad name=" + __file__):
            with self.assertRaises(ValueError):
                allocators.given(text, "peer")


class Rows(unittest.TestCase):
    def test_names_are_unique(self):
        names = [row.name for row in rows.ROWS]
        self.assertEqual(len(names), len(set(names)))

    def test_selection(self):
        found = [row.name for row in rows.select("spike,pair_1*", False)]
        self.assertEqual(found, ["pair_16", "pair_1k", "spike"])
        self.assertEqual(rows.select("all", False), rows.ROWS)
        programs = {row.program for row in rows.select(None, True)}
        self.assertEqual(programs, {row.program for row in rows.ROWS})
        with self.assertRaises(ValueError):
            rows.select("pair_16,no_such_row", False)

    def test_the_short_lists_name_rows(self):
        names = {row.name for row in rows.ROWS}
        self.assertLessEqual(rows.QUICK, names)
        self.assertLessEqual(set(rows.SMOKE), names)
        self.assertEqual(len(rows.select("quick", False)), len(rows.QUICK))

    def test_a_line_gives_a_row(self):
        lines = ["# nothing", "", "fan  one_n prodcons --rows=x --fan=3  # four threads"]
        row = rows.Row("one_n", "prodcons", ["--rows=x", "--fan=3"], 4, False, "fan")
        self.assertEqual(rows.parse(lines), [row])
        for wrong in (["pair pair_16"], ["a same pair", "b same pair"]):
            with self.assertRaises(ValueError):
                rows.parse(wrong)

    def test_threads_are_those_of_the_arguments(self):
        wanted = {"--threads=8": 8, "--pairs=2": 4, "--fan=7": 8, "--rows=threads": 1}
        for arg, threads in wanted.items():
            self.assertEqual(rows.threads_of(["--ops=5", arg]), threads)

    def test_every_threaded_behaviour_has_every_number_of_threads(self):
        threads = {}
        for row in rows.ROWS:
            threads.setdefault(row.behaviour, set()).add(row.threads)
        for behaviour, found in threads.items():
            if found != {1}:
                pairs = behaviour == "pingpong" or behaviour.startswith("prodcons")
                self.assertLessEqual({2, 4, 8} if pairs else {1, 2, 4, 8}, found, behaviour)


if __name__ == "__main__":
    unittest.main()
