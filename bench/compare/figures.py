"""What a race's runs come to: medians with their range, ratios to the best peer, means, scores.

No input or output: the Markdown tables and the HTML report take every number from here, so they
cannot come to differ. A race is the document that race.py writes as JSON.
"""

import collections

import tables

TIME, PEAK, AFTER = "ns_per_op", "peak_rss_bytes", "at_end_bytes"

# Of the rounds of one row under one allocator, or of its ratios to another one. middle is the
# median, or the least if asked for.
Spread = collections.namedtuple("Spread", "middle least greatest count")
# An allocator over all rows, as ratios to the best peer. ahead: rows at or below 1. unclear: the
# lost rows that were not lost in every round. worst: (ratio, row) or None.
Score = collections.namedtuple("Score", "mean behaviours rows counted ahead unclear worst")

# What programs say of single calls: p50_ns, malloc_p999_ns, free_switched_count ... The samples in
# which the thread was switched out are counted apart: how long they took is none of the allocator's
# doing. Of them, "waited" are those in which the thread waited by its own will, which is, and
# "stolen" those in which the host of a virtual machine took the CPU.
PERCENTILES = ("p50", "p99", "p999", "max")
_LATENCY = {name + "_ns": name for name in PERCENTILES}
_LATENCY.update({
    "over_1ms_count": "over_1ms",
    "over_1ms_with_faults_count": "over_1ms_faults",
    "over_1ms_with_mappings_count": "over_1ms_mappings",
    "over_1ms_with_purges_count": "over_1ms_purges",
    "switched_count": "switched",
    "waited_count": "waited",
    "stolen_count": "stolen",
    "switched_max_ns": "switched_max",
})


def spread(values, least=False):
    """The Spread of numbers; None of nothing."""
    if not values:
        return None
    middle = tables.least(values) if least else tables.median(values)
    return Spread(middle, min(values), max(values), len(values))


def crosses_one(ratio):
    """True if some rounds of a ratio's Spread say ahead and others behind: it could be chance."""
    return ratio.least <= 1 <= ratio.greatest


def latencies(found):
    """{kind: {name: number}} of a mapping that holds keys such as malloc_p99_ns."""
    kinds = {}
    for key, value in found.items():
        # The longest ending counts: switched_max_ns is no max_ns.
        endings = [end for end in _LATENCY if key == end or key.endswith("_" + end)]
        if endings and isinstance(value, (int, float)):
            ending = max(endings, key=len)
            kind = key[: -len(ending)].rstrip("_") or "call"
            kinds.setdefault(kind, {})[_LATENCY[ending]] = value
    # Other notes may end alike: without a percentile it is no latency.
    return {kind: names for kind, names in kinds.items() if set(names) & set(PERCENTILES)}


class Race:
    """A finished race, asked by row, allocator and figure."""

    def __init__(self, document):
        self.document = document
        self.rows = [row["name"] for row in document["rows"]]
        self.behaviour = {row["name"]: row["behaviour"] for row in document["rows"]}
        self.allocators = [allocator["name"] for allocator in document["allocators"]]
        kinds = {kind: [] for kind in ("libc", "peer", "hakmem")}
        for allocator in document["allocators"]:
            kinds[allocator["kind"]].append(allocator["name"])
        self.subjects = kinds["hakmem"]
        self.peers = kinds["libc"] + kinds["peer"]
        self._runs = {}
        for run in document["runs"]:
            self._runs.setdefault((run["row"], run["allocator"]), []).append(run)

    def runs(self, row, allocator):
        return self._runs.get((row, allocator), [])

    def failed(self, row, allocator):
        return any(run["failure"] for run in self.runs(row, allocator))

    def complete(self, row):
        """False for the row in which a race was interrupted before each allocator had run it."""
        return all(self.runs(row, allocator) for allocator in self.allocators)

    def spread(self, row, allocator, key):
        """None where a run failed: the other rounds of an allocator that crashes are no figure. Nor
        is one that the best of the others has not been asked for."""
        if self.failed(row, allocator) or not self.complete(row):
            return None
        values = [run[key] for run in self.runs(row, allocator) if run[key] is not None]
        return spread(values, self.least(key))

    def least(self, key):
        """True if the least of the rounds is shown: of times, if it was asked for."""
        return key == TIME and self.document["figure"] == "min"

    def watched(self, key):
        """The rows in which some run has this figure."""
        return [
            row
            for row in self.rows
            if any(
                run.get(key) is not None
                for allocator in self.allocators
                for run in self.runs(row, allocator)
            )
        ]

    def by_round(self, row, allocator, key):
        """{round: figure} where spread() has one, else nothing."""
        if self.spread(row, allocator, key) is None:
            return {}
        found = {run["round"]: run[key] for run in self.runs(row, allocator)}
        return {number: value for number, value in found.items() if value is not None}

    def between(self, row, one, other, key):
        """The Spread of one allocator in units of another; None if either has no figure.

        Within a round the allocators run a row one after the other, within seconds; from round to
        round a shared machine may take half as long again or twice as long. So it is the rounds'
        ratios of which this is the median, and not the ratio of two medians, which may be of
        different rounds. Of the least figures it is the ratio.
        """
        mine, theirs = self.by_round(row, one, key), self.by_round(row, other, key)
        found = [mine[n] / theirs[n] for n in mine if theirs.get(n)]
        if found and self.least(key):
            least = tables.ratio(min(mine.values()), min(theirs.values()))
            return Spread(least, min(found + [least]), max(found + [least]), len(found))
        return spread(found)

    def best_peer(self, row, key):
        """(name, Spread) of the best allocator that is no hakmem, or (None, None): the one with the
        least figures in units of the geometric mean of their rounds."""
        known = {name: self.by_round(row, name, key) for name in self.peers}
        known = {name: values for name, values in known.items() if values}
        if self.least(key):
            levels = {name: min(values.values()) for name, values in known.items()}
        else:
            rounds = set.intersection(*map(set, known.values())) if known else set()
            means = {
                n: tables.geometric_mean([values[n] for values in known.values()]) for n in rounds
            }
            levels = {
                name: tables.median([tables.ratio(values[n], means[n]) for n in rounds if means[n]])
                for name, values in known.items()
            }
        name, _ = tables.best(levels, self.peers)
        return (None, None) if name is None else (name, self.spread(row, name, key))

    def ratio(self, row, allocator, key):
        """The Spread of an allocator in units of the best peer."""
        best, _ = self.best_peer(row, key)
        return None if best is None else self.between(row, allocator, best, key)

    def means(self, ratios):
        """(mean over behaviours, {behaviour: mean of its rows}) of {row: ratio or None}."""
        return tables.mean_of_behaviours([(self.behaviour[row], ratios[row]) for row in ratios])

    def against(self, subject, other, key):
        """(mean, {behaviour: mean}, rows counted, rows ahead) of one allocator to another."""
        ratios = {}
        for row in self.rows:
            found = self.between(row, subject, other, key)
            ratios[row] = found and found.middle
        known = [value for value in ratios.values() if value is not None]
        mean, behaviours = self.means(ratios)
        return mean, behaviours, len(known), sum(value <= 1 for value in known)

    def score(self, allocator, key):
        ratios, unclear, worst = {}, 0, None
        for row in self.rows:
            found = self.ratio(row, allocator, key)
            ratios[row] = found and found.middle
            if found is None:
                continue
            worst = max(worst or (0, ""), (found.middle, row))
            unclear += found.middle > 1 and crosses_one(found)
        known = [value for value in ratios.values() if value is not None]
        mean, behaviours = self.means(ratios)
        ahead = sum(value <= 1 for value in known)
        return Score(mean, behaviours, len(self.rows), len(known), ahead, unclear, worst)

    def median_run(self, row, allocator):
        """The good run whose time is the median, or the lower one of the middle two; or None."""
        good = [run for run in self.runs(row, allocator) if not run["failure"]]
        good.sort(key=lambda run: run[TIME])
        return good[(len(good) - 1) // 2] if good else None

    def latency(self, row, allocator):
        """{kind: {name: median of the rounds}}; nothing where a run failed."""
        if self.failed(row, allocator):
            return {}
        values = {}
        for run in self.runs(row, allocator):
            for kind, percentiles in (run.get("latency") or {}).items():
                for name, value in percentiles.items():
                    values.setdefault(kind, {}).setdefault(name, []).append(value)
        return {
            kind: {name: tables.median(found) for name, found in percentiles.items()}
            for kind, percentiles in values.items()
        }
