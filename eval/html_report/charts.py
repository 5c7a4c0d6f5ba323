"""Charts as SVG text, drawn in units of about a CSS pixel. Colours are the page's: classes and variables, no values."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 34  # margins around the plot
INSET = 12  # between the plot's sides and the first and last x
DODGE = 4  # between lines with dots, so that equal ones can be told apart
SMOOTH = 60  # points; longer lines are drawn twice: as they are, and smoothed


def slug(text: str) -> str:
    """A kind of failure as part of a class or a variable's name."""
    return text.replace(" ", "-")


def lines(series: Sequence[dict], scale: str, x_label: str) -> Markup:
    """Lines over a common x. A series: ``name``, ``colour`` (CSS), ``points`` [x, y, low, high, n] (x, y suffice).

    ``scale``: share (0..1 as percent), log, or plain. Points with more than x and y get a dot, and a whisker.
    """
    frame = Frame([point for line in series for point in line["points"]], scale)
    marked = any(len(point) > 2 for line in series for point in line["points"])
    body = [frame.axes(x_label)]
    for i, line in enumerate(series):
        aside = DODGE * (i - (len(series) - 1) / 2) if marked else 0
        body.append(
            f'<g transform="translate({aside:g})" style="--c:{escape(line["colour"])}">{_series(frame, line)}</g>'
        )
    return svg(WIDTH, HEIGHT, "".join(body))


def svg(width: float, height: float, body: str, kind: str = "chart") -> Markup:
    return Markup(f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img">{body}</svg>')


def _series(frame: "Frame", line: dict) -> str:
    points = [(p[0], p[1]) for p in line["points"]]
    marks = "".join(_mark(frame, line["name"], *point) for point in line["points"] if len(point) > 2)
    if len(points) <= SMOOTH:
        return f'<path class="line" d="{frame.path(points)}"/>{marks}'
    faint, smooth = frame.path(points), frame.path(smoothed(points))
    return f'<path class="line faint" d="{faint}"/><path class="line" d="{smooth}"/>'


def _mark(frame: "Frame", name: str, x: float, y: float, low: float | None, high: float | None, n: int) -> str:
    """A dot with its whisker and what it says."""
    px, py = frame.at(x, y)
    whisker = ""
    title = f"{name}, {x:g}: {100 * y:.1f} % of {n}"
    if low is not None:
        whisker = f'<path class="whisker" d="M{px:.1f} {frame.at(x, low)[1]:.1f}V{frame.at(x, high)[1]:.1f}"/>'
        title += f" (95 %: {100 * low:.1f} to {100 * high:.1f})"
    return f'{whisker}<circle class="dot" cx="{px:.1f}" cy="{py:.1f}" r="3"><title>{escape(title)}</title></circle>'


def smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means over a window of a twentieth of the line around each point."""
    half = max(1, len(points) // 40)
    windows = [points[max(0, i - half) : i + half + 1] for i in range(len(points))]
    return [(points[i][0], sum(y for _, y in window) / len(window)) for i, window in enumerate(windows)]


class Frame:
    """Data coordinates to places on the picture, with round ticks."""

    def __init__(self, points: Sequence[Sequence[float]], scale: str):
        self.scale = scale
        xs = [point[0] for point in points]
        ys = [point[1] for point in points if scale != "log" or point[1] > 0] or [1.0]
        self.x0, self.x1 = (min(xs), max(xs)) if min(xs) < max(xs) else (min(xs) - 0.5, max(xs) + 0.5)
        if scale == "share":
            self.ticks = [0, 0.25, 0.5, 0.75, 1]
        elif scale == "log":
            self.ticks = decades(min(ys), max(ys))
        else:
            self.ticks = nice(min(0.0, *ys), max(0.0, *ys))
        self.y0, self.y1 = self._y(self.ticks[0]), self._y(self.ticks[-1])
        self.x_ticks = [x for x in nice(self.x0, self.x1) if self.x0 <= x <= self.x1 and x == round(x)]

    def _y(self, value: float) -> float:
        return math.log10(value) if self.scale == "log" else value

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x0) / (self.x1 - self.x0)
        up = (self._y(max(y, self.ticks[0])) - self.y0) / (self.y1 - self.y0)
        return LEFT + INSET + across * (WIDTH - LEFT - RIGHT - 2 * INSET), HEIGHT - BOTTOM - up * (
            HEIGHT - TOP - BOTTOM
        )

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join("{:.1f} {:.1f}".format(*self.at(x, y)) for x, y in points)

    def axes(self, x_label: str) -> str:
        """Hairlines with their values, and what x counts."""
        parts = []
        for tick in self.ticks:
            y = self.at(self.x0, tick)[1]
            label = f"{100 * tick:g} %" if self.scale == "share" else f"{tick:g}"
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{label}</text>')
        for tick in self.x_ticks:
            x = self.at(tick, self.ticks[0])[0]
            parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{tick:g}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text class="tick" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
        return "".join(parts)


def nice(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers that cover low..high in steps of 1, 2 or 5 times a power of ten."""
    high = high if high > low else low + 1.0
    span = high - low
    power = 10 ** math.floor(math.log10(span / about))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * about >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten that cover low..high."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**i for i in range(first, max(last, first + 1) + 1)]


PAGE = 260  # units of the longer side of a page


def click_map(clicks: Sequence[Sequence], boxes: Sequence[Sequence[float]], size: Sequence[int]) -> Markup:
    """Where clicks land: [x, y, kind] in 0..1000 over the places of all elements, on a page of ``size`` pixels."""
    scale = PAGE / max(size)
    width, height = size[0] * scale, size[1] * scale
    fx, fy = width / 1000, height / 1000
    clear = 0.8 if len(boxes) <= 40 else 0.16  # forms lie over each other
    places = [(x1 * fx, y1 * fy, (x2 - x1) * fx, (y2 - y1) * fy) for x1, y1, x2, y2 in boxes]
    back = "".join(
        f'<rect class="slot" fill-opacity="{clear}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="2"/>'
        for x, y, w, h in places
    )
    frame = f'<rect class="page" width="{width:g}" height="{height:g}" rx="6"/>'
    return svg(width, height, frame + back + dots([(x * fx, y * fy, kind) for x, y, kind in clicks]), "clicks")


AIM = 4  # half sides of the element that the plot of aims reaches


def aim_map(clicks: Sequence[Sequence]) -> Markup:
    """Clicks around the element that was due: [dx, dy, kind] in half sides of it; those further off lie on the edge."""
    unit, side = PAGE / (2 * AIM), PAGE
    placed = [(side / 2 + _edge(dx) * unit, side / 2 + _edge(dy) * unit, kind) for dx, dy, kind in clicks]
    low, size = side / 2 - unit, 2 * unit
    target = f'<rect class="target" x="{low}" y="{low}" width="{size}" height="{size}" rx="4"/>'
    cross = f'<path class="grid" d="M0 {side / 2}H{side}M{side / 2} 0V{side}"/>'
    page = f'<rect class="page" width="{side}" height="{side}" rx="6"/>'
    return svg(side, side, page + cross + target + dots(placed), "clicks")


def _edge(value: float) -> float:
    return max(-AIM, min(AIM, value))


def dots(points: Sequence[tuple[float, float, str]]) -> str:
    """Dots by kind, one path a kind: short strokes with round ends."""
    kinds = dict.fromkeys(kind for _, _, kind in points)
    paths = {kind: "".join(f"M{x:.1f} {y:.1f}h0" for x, y, k in points if k == kind) for kind in kinds}
    return "".join(f'<path class="dots" style="--c:var(--k-{slug(kind)})" d="{d}"/>' for kind, d in paths.items())
