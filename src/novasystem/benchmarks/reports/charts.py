"""Charts as SVG text, drawn by hand: lines over an axis, and bars made of parts.

Colours are classes (``s0`` to ``s7``) that the page's style gives a value in light and in dark.
Every text is escaped here; what is drawn are numbers alone.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Literal, NamedTuple

from novasystem.benchmarks.reports.words import line, seconds

__all__ = ["Bar", "Line", "Unit", "axis", "bars", "lines", "thinned", "ticks"]

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 30, 12, 40
_SERIES = 8
_MOST_POINTS = 600

Unit = Literal["s", "%", ""]
"""Of an axis: seconds, a share that is shown in percent, or just a number."""


class Line(NamedTuple):
    """``points``: x and y, by x. ``series``: which colour. ``steps``: each y holds until the next
    x."""

    label: str
    points: Sequence[tuple[float, float]]
    series: int
    steps: bool = False
    dashed: bool = False


class Bar(NamedTuple):
    """``parts``: label, length and colour of what the bar is made of, from left to right."""

    label: str
    parts: Sequence[tuple[str, float, int]]


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers that cover a span: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    rough = span / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """No more than a screen can show, both ends included; of each stretch least and most are kept,
    so that no peak goes."""
    if len(points) <= _MOST_POINTS:
        return points
    size = math.ceil(len(points) / (_MOST_POINTS / 2))
    kept: list[tuple[float, float]] = [points[0]]
    for at in range(0, len(points), size):
        stretch = points[at : at + size]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(ends)
    return [*kept, points[-1]]


def axis(values: Sequence[float], unit: Unit) -> list[str]:
    """One label for each of evenly spaced values: of one unit, with as many digits as tell them
    apart."""
    factor, name = {"s": (1.0, " s"), "%": (100.0, " %"), "": (1.0, "")}[unit]
    most = max(map(abs, values), default=0.0)
    if unit == "s" and 0 < most < 1:
        factor, name = (1e6, " µs") if most < 1e-3 else (1e3, " ms")
    step = abs(values[1] - values[0]) * factor if len(values) > 1 else 0
    digits = 0 if step <= 0 else max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{value * factor:,.{digits}f}{name}" for value in values]


def lines(title: str, drawn: Sequence[Line], *, x: Unit, y: Unit) -> str:
    """A chart from zero of y, with a legend; empty where there is nothing to draw."""
    known = [each._replace(points=[p for p in each.points if _finite(p)]) for each in drawn]
    known = [each._replace(points=thinned(each.points)) for each in known if each.points]
    if not known:
        return ""
    xs = [point[0] for each in known for point in each.points]
    low, high = min(xs), max(xs)
    across = [tick for tick in ticks(low, high) if low <= tick <= high] or [low]
    up = ticks(0, max(max(point[1] for each in known for point in each.points), 1e-9))

    def place_x(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def place_y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / up[-1] * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for value, text in zip(up, axis(up, y), strict=True):
        at = place_y(value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(_label(_LEFT - 6, at + 4, text, "end"))
    for value, text in zip(across, axis(across, x), strict=True):
        parts.append(_label(place_x(value), _HEIGHT - _BOTTOM + 18, text, "middle"))
    parts += [_path(each, place_x, place_y) for each in known]
    legend = [(each.label, each.series) for each in known]
    return _figure(title, _svg(title, _HEIGHT - 12, parts), legend)


def bars(title: str, drawn: Sequence[Bar]) -> str:
    """Horizontal bars of seconds, of parts that add up; one that is pointed at tells its length."""
    known = [bar for bar in drawn if any(length > 0 for _, length, _ in bar.parts)]
    if not known:
        return ""
    height = _TOP + 34 * len(known) + _BOTTOM
    most = max(sum(max(0.0, length) for _, length, _ in bar.parts) for bar in known)
    across = ticks(0, most)
    left = 170

    def place(value: float) -> float:
        return left + value / across[-1] * (_WIDTH - left - _RIGHT)

    parts = []
    for value, text in zip(across, axis(across, "s"), strict=True):
        at = place(value)
        parts.append(
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{height - 30}"/>'
        )
        parts.append(_label(at, height - 14, text, "middle"))
    legend: dict[str, int] = {}
    for number, bar in enumerate(known):
        top = _TOP + 34 * number + 4
        parts.append(_label(left - 8, top + 17, line(bar.label, 22), "end"))
        begin = 0.0
        for label, length, series in bar.parts:
            if length <= 0:
                continue
            legend.setdefault(label, series)
            width = place(begin + length) - place(begin)
            hint = _hint(f"{bar.label}, {label}: {seconds(length)}")
            parts.append(
                f'<rect class="{_fill(series)}" x="{place(begin):.1f}" y="{top}" '
                f'width="{width:.1f}" height="26">{hint}</rect>'
            )
            begin += length
    return _figure(title, _svg(title, height, parts), list(legend.items()))


def _finite(point: tuple[float, float]) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _path(drawn: Line, place_x: Callable[[float], float], place_y: Callable[[float], float]) -> str:
    commands = []
    for number, (x, y) in enumerate(drawn.points):
        at_x, at_y = f"{place_x(x):.1f}", f"{place_y(y):.1f}"
        if not number:
            commands.append(f"M{at_x} {at_y}")
        elif drawn.steps:
            commands.append(f"H{at_x}V{at_y}")
        else:
            commands.append(f"L{at_x} {at_y}")
    dash = " dashed" if drawn.dashed else ""
    path = "".join(commands)
    return (
        f'<path class="line {_stroke(drawn.series)}{dash}" d="{path}">{_hint(drawn.label)}</path>'
    )


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(line(text))}</text>'


def _hint(text: str) -> str:
    return f"<title>{escape(line(text, 200))}</title>"


def _stroke(series: int) -> str:
    return f"s{series % _SERIES}"


def _fill(series: int) -> str:
    return f"f{series % _SERIES}"


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(line(title))}">'
        f"{''.join(parts)}</svg>"
    )


def _figure(title: str, svg: str, legend: Sequence[tuple[str, int]]) -> str:
    keys = "".join(
        f'<span class="key"><i class="b{series % _SERIES}"></i>{escape(line(label, 60))}</span>'
        for label, series in dict(legend).items()
    )
    return f"<figure><figcaption>{escape(line(title))}</figcaption>{svg}<p>{keys}</p></figure>"
