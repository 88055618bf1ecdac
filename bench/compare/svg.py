"""The plots of the report as inline SVG: bars of ratios, curves, percentiles.

Written here because the plots take their colours from the page's style sheet, so that one file
serves a light and a dark screen, and because they need no package. Every function returns one
<svg> element that is well-formed XML. A mark's class s0 ... s11 is its allocator's colour; the name
stands beside it or in its tooltip, so that no plot rests on colour alone.
"""

import html
import math

SLOTS = 12  # colours and line patterns in the style sheet
PLOT = 330  # width of the bars, between the names and the values


def _number(value):
    return ("%.1f" % value).rstrip("0").rstrip(".")


def _text(x, y, text, kind="", anchor="start"):
    return '<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>' % (
        _number(x), _number(y), kind, anchor, html.escape(text))


def _line(x1, y1, x2, y2, kind):
    return '<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>' % (
        _number(x1), _number(y1), _number(x2), _number(y2), kind)


def _tip(text):
    return "<title>%s</title>" % html.escape(text)


def picture(width, height, title, parts):
    return '<svg viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-label="%s">%s</svg>' % (
        _number(width), _number(height), _number(width), _number(height),
        html.escape(title, quote=True), "".join(parts))


class Log:
    """A logarithmic axis from `low` to `high`, at `left`, `width` wide."""

    def __init__(self, low, high, left, width):
        self.low, self.high, self.left, self.width = low, high, left, width

    def at(self, value):
        value = min(max(value, self.low), self.high)
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.left + self.width * part

    def ticks(self, base, most=8):
        """Powers of `base` inside, thinned out to so many; 1 stays if it is inside."""
        first = math.ceil(math.log(self.low) / math.log(base) - 1e-9)
        last = math.floor(math.log(self.high) / math.log(base) + 1e-9)
        step = 1
        while (last - first) // step + 1 > most:
            step += 1
        return [float(base) ** power for power in range(first, last + 1) if power % step == 0]


def ratio_axis(values, left, width):
    """An axis that shows all values and at least 1/2 to 2, to the next power of 2."""
    values = [value for value in values if value is not None and value > 0]
    low = min(values + [0.5])
    high = max(values + [2.0])
    return Log(2.0 ** math.floor(math.log2(low)), 2.0 ** math.ceil(math.log2(high)), left, width)


def room_for(words, least):
    """Room for the longest of the words: about 6.8 for a character of 12 px."""
    return max(least, 14 + math.ceil(6.8 * max(map(len, words), default=0)))


def times(value):
    """1/8, 1/2, 1, 2 ... and 0.75 for what is no power of two."""
    if value < 1 and abs(1 / value - round(1 / value)) < 1e-9:
        return "1/%d" % round(1 / value)
    return "%g" % value


def ratio_text(value):
    """Two digits after the point, fewer for large ones: 0.93, 24.1, 310."""
    if value is None:
        return "–"
    return "%.2f" % value if value < 10 else "%.1f" % value if value < 100 else "%.0f" % value


def _scale(axis, top, bottom):
    """Grid lines with their labels above, and the line of 1."""
    parts = []
    ticks = axis.ticks(2)
    if axis.high / axis.low <= 8:
        ticks += [tick for tick in (0.75, 1.5, 3.0) if axis.low < tick < axis.high]
    for tick in ticks:
        x = axis.at(tick)
        parts.append(_line(x, top, x, bottom, "one" if tick == 1 else "grid"))
        parts.append(_text(x, top - 5, times(tick) + "×", "tick", "middle"))
    return parts


def _whisker(axis, bar, y):
    """From the least to the greatest round."""
    low, high = axis.at(bar["least"]), axis.at(bar["greatest"])
    return [
        _line(low, y, high, y, "whisker"),
        _line(low, y - 3, low, y + 3, "whisker"),
        _line(high, y - 3, high, y + 3, "whisker"),
    ]


def ratio_bars(title, groups):
    """Bars that leave the line of 1 to the left where better and to the right where worse.

    groups: [(heading or "", [bar])]. bar: label, kind (classes), ratio or None, least, greatest,
    value (text at the right end), tip.
    """
    bars = [bar for _, group in groups for bar in group]
    values = [bar[key] for bar in bars for key in ("ratio", "least", "greatest")]
    left = room_for([bar["label"] for bar in bars], 80)
    axis = ratio_axis(values, left, PLOT)
    top, pitch, parts = 30, 15, []
    height = top + 8 + sum(pitch * len(group) + (22 if head else 0) for head, group in groups)
    parts.append(_text(left, 11, "← better", "tick"))
    parts.append(_text(left + PLOT, 11, "worse →", "tick", "end"))
    parts += _scale(axis, top, height - 4)
    y = top
    for head, group in groups:
        if head:
            parts.append(_text(0, y + 17, head, "head"))
            y += 22
        for bar in group:
            middle = y + pitch / 2
            parts.append("<g>" + _tip(bar["tip"]))
            parts.append(_text(left - 8, middle + 4, bar["label"], bar["kind"] + " name", "end"))
            if bar["ratio"] is None:
                parts.append(_text(axis.at(1) + 6, middle + 4, bar["value"], "failed"))
            else:
                one, end = axis.at(1), axis.at(bar["ratio"])
                # A ratio of exactly 1 is a mark on the line, not an invisible bar.
                begin, wide = min(one, end) - 1, abs(end - one) + 2
                parts.append(
                    '<rect x="%s" y="%s" width="%s" height="%s" class="bar %s"/>'
                    % (_number(begin), _number(y + 2), _number(wide), pitch - 4, bar["kind"]))
                parts += _whisker(axis, bar, middle)
                parts.append(_text(left + PLOT + 8, middle + 4, bar["value"], "value"))
            parts.append("</g>")
            y += pitch
    wide = left + PLOT + room_for([bar["value"] for bar in bars], 100)
    return picture(wide, height, title, parts)


def nice_step(span, most):
    """1, 2 or 5 times a power of ten, so that a span has at most so many steps."""
    step = 10.0 ** math.floor(math.log10(max(span, 1e-9) / most))
    for factor in (1, 2, 5, 10, 20):
        if span / (step * factor) <= most:
            return step * factor
    return step * 50


def curves(title, lines, x_unit, y_unit):
    """Lines over time. lines: [(name, slot, [(x, y)])], both axes from 0."""
    width, height, left, top, right, bottom = 400, 190, 46, 26, 12, 30
    x_most = max([x for _, _, points in lines for x, _ in points] + [1e-6])
    y_most = max([y for _, _, points in lines for _, y in points] + [1e-6]) * 1.05
    wide, high = width - left - right, height - top - bottom

    def place(x, y):
        return left + wide * x / x_most, top + high * (1 - y / y_most)

    parts = [_text(left, 12, title, "head")]
    step = nice_step(y_most, 4)
    for i in range(int(y_most / step) + 1):
        _, y = place(0, i * step)
        parts.append(_line(left, y, width - right, y, "grid"))
        parts.append(_text(left - 5, y + 4, "%g" % (i * step), "tick", "end"))
    parts.append(_text(left - 5, top - 3, y_unit, "tick", "end"))
    step = nice_step(x_most, 5)
    for i in range(int(x_most / step) + 1):
        x, _ = place(i * step, 0)
        parts.append(_line(x, height - bottom, x, height - bottom + 4, "axis"))
        if x < width - right - 24:  # the unit stands at the end
            parts.append(_text(x, height - bottom + 16, "%g" % (i * step), "tick", "middle"))
    parts.append(_text(width - right, height - bottom + 16, x_unit, "tick", "end"))
    parts.append(_line(left, height - bottom, width - right, height - bottom, "axis"))
    for name, slot, points in lines:
        path = " ".join("%s,%s" % tuple(map(_number, place(x, y))) for x, y in points)
        parts.append(
            '<polyline points="%s" class="line s%d">%s</polyline>' % (path, slot, _tip(name)))
    return picture(width, height, title, parts)


def percentiles(title, lines):
    """A line per allocator from p50 to max with a mark for each. lines: [(name, slot, {key: ns})]

    A circle is p50, a square p99, a diamond p99.9, a bar the maximum.
    """
    values = [value for _, _, found in lines for value in found.values() if value > 0] or [1]
    low = 10.0 ** math.floor(math.log10(min(values)))
    high = max(10.0 ** math.ceil(math.log10(max(values))), low * 10)
    left = room_for([name for name, _, _ in lines], 80)
    axis = Log(low, high, left, PLOT)
    top, pitch = 36, 18
    height = top + pitch * len(lines) + 8
    parts = [_text(0, 12, title, "head")]
    for tick in axis.ticks(10):
        parts.append(_line(axis.at(tick), top, axis.at(tick), height - 4, "grid"))
        parts.append(_text(axis.at(tick), top - 5, nanoseconds(tick), "tick", "middle"))
    for i, (name, slot, found) in enumerate(lines):
        y = top + pitch * i + pitch / 2
        marks = {key: axis.at(value) for key, value in found.items() if value > 0}
        told = ", ".join("%s %s" % (key, nanoseconds(found[key])) for key in sorted(found))
        parts.append("<g>" + _tip("%s: %s" % (name, told)))
        parts.append(_text(left - 8, y + 4, name, "s%d name" % slot, "end"))
        if marks:
            parts.append(_line(min(marks.values()), y, max(marks.values()), y, "line s%d" % slot))
        for key, x in marks.items():
            parts.append(_mark(key, x, y, slot))
        parts.append(_text(left + PLOT + 8, y + 4, slow_ends(found), "value"))
        parts.append("</g>")
    wide = left + PLOT + room_for([slow_ends(found) for _, _, found in lines], 100)
    return picture(wide, height, title, parts)


def slow_ends(found):
    """p99.9 and the maximum, as far as they are known."""
    told = [(word, found[key]) for key, word in (("p999", "p99.9"), ("max", "max")) if key in found]
    return ", ".join("%s %s" % (word, nanoseconds(value)) for word, value in told)


def _mark(key, x, y, slot):
    outline = {
        "p50": [(x + 4 * math.cos(a / 4), y + 4 * math.sin(a / 4)) for a in range(25)],
        "p99": [(x - 4, y - 4), (x + 4, y - 4), (x + 4, y + 4), (x - 4, y + 4)],
        "p999": [(x - 5, y), (x, y - 5), (x + 5, y), (x, y + 5)],
        "max": [(x - 1, y - 6), (x + 1, y - 6), (x + 1, y + 6), (x - 1, y + 6)],
    }[key]
    points = " ".join("%s,%s" % (_number(a), _number(b)) for a, b in outline)
    return '<polygon points="%s" class="bar s%d"/>' % (points, slot)


def nanoseconds(value):
    """25 ns, 3.2 µs, 14 ms."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return "%.3g %s" % (value / size, unit)
    return "%.3g ns" % value
