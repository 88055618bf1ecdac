"""Medians, ratios and the Markdown tables of race.py.

No input or output: tests feed it known numbers.
"""

import math
import statistics


def median(values):
    """The median, or None of nothing."""
    return statistics.median(values) if values else None


def least(values):
    """The smallest value, or None of nothing."""
    return min(values) if values else None


def geometric_mean(values):
    """The geometric mean of what is not None, or None."""
    values = [value for value in values if value is not None and value > 0]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def mean_of_behaviours(pairs):
    """(mean, {behaviour: mean}) of (behaviour, ratio or None) pairs.

    The mean is taken per behaviour first, so that a behaviour with many rows has no more weight
    than one with a single row. A behaviour without a ratio is left out of both.
    """
    groups = {}
    for behaviour, value in pairs:
        groups.setdefault(behaviour, []).append(value)
    means = {name: geometric_mean(values) for name, values in groups.items()}
    means = {name: value for name, value in means.items() if value is not None}
    return geometric_mean(list(means.values())), means


def ratio(value, reference):
    """value / reference, or None if either is missing or the reference is 0."""
    return value / reference if value is not None and reference else None


def best(figures, names):
    """(name, figure) of the smallest figure among `names`, or (None, None)."""
    known = [(figures[name], name) for name in names if figures.get(name) is not None]
    return (min(known)[1], min(known)[0]) if known else (None, None)


def _cell(figure, name, form):
    if name not in figure:
        return "–"
    return "failed" if figure[name] is None else form % figure[name]


def _times(value):
    return "–" if value is None else "%.2f" % value


def _align(lines):
    """Pads the cells so that the Markdown can be read as plain text."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = []
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])]
        out.append("| " + " | ".join(cells) + " |")
        if number == 0:
            rules = ["-" * (widths[0] + 2)] + ["-" * (w + 1) + ":" for w in widths[1:]]
            out.append("|" + "|".join(rules) + "|")
    return out


def ratio_table(rows, allocators, figures, form, best_of, ratio_of, behaviour=None):
    """Lines of one table.

    rows: names. allocators: Allocator tuples. figures: {row: {allocator name: number, or None where
    a run failed}}; a name that is missing there has no figure.
    form: of a figure. best_of(row): the name of the best allocator that is no hakmem, or None.
    ratio_of(row, one, other): of two allocators, or None. behaviour: {row: what it belongs to};
    without it each row is its own. After the figures come the best allocator that is no hakmem,
    and for each hakmem its ratio to that one and to the C library's malloc; below 1 is better. The
    last line is the geometric mean of the ratios over behaviours, and under each allocator that of
    its ratio to the C library's malloc.
    """

    def mean(ratios):
        pairs = [((behaviour or {}).get(row, row), value) for row, value in zip(rows, ratios)]
        return mean_of_behaviours(pairs)[0]

    libc = [a.name for a in allocators if a.kind == "libc"]
    others = [a.name for a in allocators if a.kind == "peer"]
    peers = libc + others if others else []
    subjects = [a.name for a in allocators if a.kind == "hakmem"]
    head = ["row"] + [a.name for a in allocators] + (["best peer"] if peers else [])
    for name in subjects:
        head += ["%s / best" % name] if peers else []
        head += ["%s / %s" % (name, libc[0])] if libc else []
    lines = [head]
    columns = {}
    for row in rows:
        figure = figures[row]
        peer = best_of(row)
        line = [row] + [_cell(figure, a.name, form) for a in allocators]
        line += [peer or "–"] if peers else []
        for name in subjects:
            for reference in ([peer] if peers else []) + libc[:1]:
                value = ratio_of(row, name, reference) if reference else None
                columns.setdefault(len(line), []).append(value)
                line.append(_times(value))
        lines.append(line)
    if libc:
        last = ["geometric mean, / %s" % libc[0]]
        for allocator in allocators:
            last.append(_times(mean([ratio_of(row, allocator.name, libc[0]) for row in rows])))
    else:
        last = ["geometric mean"] + ["" for _ in allocators]
    last += [""] if peers else []
    last += [_times(mean(columns.get(i, []))) for i in range(len(last), len(head))]
    return _align(lines + [last])
