"""Where the parts of a form stand: the published rule, and the rule of the hard protocol. All in canvas pixels.

Published: nominal places, and per element two draws ``randint(-J, J)`` of Python's generator, dx then dy, in the order
of the elements. Seeded once, so episode i depends on those before it. (The one place that does not draw from
``seeds.rng``: the numbers must be the published ones.)

Hard: fields and button have places on a grid of one or two columns, and each moves by up to ``JITTER`` pixels in x and
y, independently of the others; 0 to 3 decoys stand anywhere. Nothing overlaps anything, marks and labels included, and
everything is inside of the canvas: a draw that breaks this is drawn again.
"""

import math
import random
from collections.abc import Callable, Iterator

import numpy as np

from ..dataset import DataError
from ..geometry import Box, Size
from .fonts import LEGIBLE, width
from .forms import BUTTON, CANVAS, DECOY, DECOYS, FIELD, Element, Scenario
from .style import Style

JITTER = 100  # pixels; a click at the mean place then hits a 40-pixel ellipse in about 10 % of the forms
_TRIES = 40  # draws of one element before the form is drawn again
GRIDS = {"login": ((1, 3), (1, 3), (2, 2)), "registration": ((2, 3), (2, 3), (2, 4))}  # columns, rows

ROOM = {"login": 32, "registration": 14}  # canvas pixels between a field and the box above it, at the worst

Drawn = tuple[Box, tuple[Element, ...]]  # where the title stands, and the elements


def published(scenario: Scenario, seed: int) -> Iterator[Drawn]:
    """The layouts of episodes 0, 1, ... as the published generator draws them."""
    draw = random.Random(seed).randint
    layout = {"login": _published_login, "registration": _published_registration}[scenario.name]
    while True:
        yield layout(scenario, draw)


def _box(x: int, y: int, width: int, height: int) -> Box:
    return Box(x, y, x + width, y + height)


def _published_login(scenario: Scenario, draw: Callable[[int, int], int]) -> Drawn:
    """x = 200 or 330; y adds up: username at 184, password 94 below it, button 90 below that; each +-10."""
    moves = [(draw(-10, 10), draw(-10, 10)) for _ in range(3)]
    user = _box(200 + moves[0][0], 184 + moves[0][1], 360, 40)
    password = _box(200 + moves[1][0], user.y1 + 94 + moves[1][1], 360, 40)
    button = _box(330 + moves[2][0], password.y1 + 90 + moves[2][1], 140, 45)
    decoy = _box(650, button.y1, 110, 35)  # not drawn at random: level with the button
    labels = (_box(200, 160, 360, 12), _box(200, password.y1 - 24, 360, 12))
    return _box(0, 80, 800, 12), _elements(scenario, (user, password), labels, button, decoy)


def _published_registration(scenario: Scenario, draw: Callable[[int, int], int]) -> Drawn:
    """Fields 70 apart from y = 124, button at 490; each +-8, nothing adds up."""
    moves = [(draw(-8, 8), draw(-8, 8)) for _ in range(6)]
    fields = [_box(180 + dx, 124 + 70 * i + dy, 400, 36) for i, (dx, dy) in enumerate(moves[:5])]
    button = _box(320 + moves[5][0], 490 + moves[5][1], 160, 45)
    decoy = _box(670, button.y1 + 5, 100, 35)
    labels = [_box(180, 100 + 70 * i, 400, 12) for i in range(5)]
    return _box(0, 40, 800, 12), _elements(scenario, fields, labels, button, decoy)


def _elements(scenario: Scenario, boxes, labels, button: Box, decoy: Box) -> tuple[Element, ...]:
    """The elements with the published marks: 1, 2, ... on the fields, then the button; none on the decoy."""
    fields = (
        Element(field.name, FIELD, field.caption, box, label, mark)
        for mark, (field, box, label) in enumerate(zip(scenario.fields, boxes, labels, strict=True), 1)
    )
    last = Element(scenario.button.lower(), BUTTON, scenario.button, button, None, len(boxes) + 1)
    return (*fields, last, Element(scenario.decoy.lower(), DECOY, scenario.decoy, decoy))


def smallest_type(page_size: Size) -> int:
    """The type, in canvas pixels, that is just legible on a page of this size."""
    return math.ceil(LEGIBLE / scale(page_size))


def type_pixels(points: int, page_size: Size) -> int:
    """Type of so many canvas pixels on a page, in its pixels; never smaller than legible."""
    return max(LEGIBLE, round(points * scale(page_size)))


def scale(page_size: Size) -> float:
    """Pixels of the page per canvas pixel, the smaller one of both directions."""
    return min(page_size.width / CANVAS.width, page_size.height / CANVAS.height)


def check_room(scenario: Scenario, page_size: Size) -> None:
    """Raises DataError if the published layout has no room for legible labels on a page of this size."""
    if smallest_type(page_size) > ROOM[scenario.name]:
        raise DataError(f"page size {page_size}: the published {scenario.name} labels overlap; use a larger one")


def hard(scenario: Scenario, style: Style, generator: np.random.Generator, page_size: Size) -> Drawn | None:
    """One random layout for a look, or None where some element finds no place."""
    return Hard(scenario, style, generator, page_size).draw()


class Hard:
    """One try of a hard layout. ``taken`` are the rectangles in use: an element with its label and room for a mark."""

    def __init__(self, scenario: Scenario, style: Style, generator: np.random.Generator, page_size: Size):
        self.scenario, self.style, self.generator, self.page_size = scenario, style, generator, page_size
        self.line = round(1.3 * style.points)  # a line of text
        gap = max(4, math.ceil(3 / scale(page_size)))  # 3 pixels of the page: the ring of the focus has room
        self.gap = int(generator.integers(gap, gap + 5))  # between a box and its label or its mark
        self.height = round(style.points * generator.uniform(1.6, 2.1))
        self.beside = scenario.name == "login" and generator.random() < 0.3  # labels left of the fields
        top = round(1.3 * style.title_points)
        wide = self._wide(scenario.title, style.title_points)
        self.title = _box(int(generator.integers(0, max(1, CANVAS.width - wide))), 6, wide, top)
        self.taken = [self.title]

    def draw(self) -> Drawn | None:
        """The layout, or None if some element finds no place."""
        if not self.title.inside(CANVAS):
            return None
        marks = self.generator.permutation(np.arange(1, 10)).tolist()
        fields = [(field.name, FIELD, field.caption) for field in self.scenario.fields]
        parts = [*fields, (self.scenario.button.lower(), BUTTON, self.scenario.button)]
        elements = []
        for part, centre in zip(parts, self._centres(len(parts)), strict=True):
            placed = self._place(*part, marks.pop(), centre)
            if placed is None:
                return None
            elements.append(placed)
        for caption in self.generator.permutation(DECOYS)[: self.generator.integers(4)].tolist():
            mark = marks.pop() if self.generator.random() < 0.5 else None
            placed = self._place(caption.lower(), DECOY, caption, mark, None)
            if placed is None:
                return None
            elements.append(placed)
        return self.title, tuple(elements)

    def _centres(self, count: int) -> list[tuple[float, float]]:
        """Nominal centres on a grid, in reading order by rows or by columns."""
        grids = GRIDS[self.scenario.name]
        columns, rows = grids[self.generator.integers(len(grids))]
        top = self.title.y2
        xs = [CANVAS.width * (2 * i + 1) / (2 * columns) for i in range(columns)]
        ys = [top + (CANVAS.height - top) * (2 * i + 1) / (2 * rows) for i in range(rows)]
        by_rows = [(x, y) for y in ys for x in xs]
        return (by_rows if self.generator.random() < 0.5 else [(x, y) for x in xs for y in ys])[:count]

    def _wide(self, text: str, points: int) -> int:
        """How wide a text is drawn on the page, in canvas pixels."""
        pixels = width(self.style.family, type_pixels(points, self.page_size), text) + 2  # a letter may hang over
        return math.ceil(pixels * CANVAS.width / self.page_size.width)

    def _place(self, name: str, kind: str, caption: str, mark: int | None, centre) -> Element | None:
        """The element where the first draw puts it that overlaps nothing; None if there is no such draw."""
        block, box, label = self._block(kind, caption)
        for x, y in self._origins(block, centre):
            rectangle = _moved(block, x, y)
            if not any(map(rectangle.overlaps, self.taken)):
                self.taken.append(rectangle)
                return Element(name, kind, caption, _moved(box, x, y), label and _moved(label, x, y), mark)
        return None

    def _origins(self, block: Box, centre) -> list[list[int]]:
        """Top left corners to try, all inside of the canvas: near the nominal centre, or anywhere."""
        most = np.array([CANVAS.width - block.x2, CANVAS.height - block.y2])
        if centre is None:
            return self.generator.integers(0, most + 1, (_TRIES, 2)).tolist()
        middle = np.array([round(centre[0] - block.x2 / 2), round(centre[1] - block.y2 / 2)])
        tries = middle + self.generator.integers(-JITTER, JITTER + 1, (_TRIES, 2))
        return tries[((tries >= 0) & (tries <= most)).all(axis=1)].tolist()

    def _block(self, kind: str, caption: str) -> tuple[Box, Box, Box | None]:
        """(rectangle with label and room for a mark, box, label) with the rectangle's corner at (0, 0)."""
        points, gap = self.style.points, self.gap
        room = round(1.4 * points) + 2 * gap  # for the mark, left of the box
        text = self._wide(caption + self.style.colon, points)
        if kind != FIELD:
            box = _box(room, gap, text + 2 * self.style.pad + int(self.generator.integers(0, 41)), self.height)
            return Box(0, 0, box.x2 + gap, box.y2 + gap), box, None
        wide = max(int(self.generator.integers(200, 331)), 6 * points)
        if self.beside:
            label = _box(gap, gap + (self.height - self.line) // 2, text, self.line)
            box = _box(label.x2 + room, gap, wide, self.height)
        else:
            label = _box(room, gap, text, self.line)
            box = _box(room, label.y2 + gap, wide, self.height)
        return Box(0, 0, max(box.x2, label.x2) + gap, box.y2 + gap), box, label


def _moved(box: Box, x: int, y: int) -> Box:
    return Box(box.x1 + x, box.y1 + y, box.x2 + x, box.y2 + y)
