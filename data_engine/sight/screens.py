"""One random screen: its picture and the things on it.

Pages are GE-Lab's: its canvas, title, `back` and `home`, drawn by its renderer. On the grid, icons stand where GE-Lab
puts them; free, they have any place and size.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..gelab.graph import BACK, HOME, Element, Page
from ..gelab.layout import BACK_BOX, CANVAS, HOME_BOX, ICON, SLOTS, TITLE_BOX
from ..gelab.render import Renderer
from ..geometry import Box, Size
from . import words
from .shapes import SHAPES, Pictures

PAGES = 300  # titles are page_0 .. page_299
SHAPE_SIDES = (180, 290), (180, 400)  # canvas pixels, width and height of a shape on the grid
FREE_SIDES = (150, 420), (180, 620)  # the same for anything anywhere; about square on a square page
TYPE = (11, 21)  # points, in pixels of the picture
INKS = ("black", "#202060", "#7a1010", "#104a20", "#505050")
_TRIES = 30


@dataclass(frozen=True, slots=True)
class Thing:
    """Something on a screen: its name or what it reads, and its box in canvas pixels."""

    name: str
    box: Box
    written: bool = False


@dataclass(frozen=True, slots=True)
class Screen:
    """A picture, the canvas that boxes refer to, its page name, and its things."""

    picture: Image.Image
    canvas: Size
    page: str
    things: tuple[Thing, ...]


@cache
def _renderer(page_size: Size) -> Renderer:
    pictures = Pictures()
    return Renderer(pictures, {name: name for name in (*SHAPES, *pictures.icons)}, CANVAS, page_size)


def icon_names() -> list[str]:
    return list(Pictures().icons)


def one(generator: np.random.Generator, page_size: Size) -> Screen:
    """A single shape on the grid."""
    return _page(generator, page_size, SHAPES, _on_grid(generator, 1, *SHAPE_SIDES), bare=True)


def shapes(generator: np.random.Generator, page_size: Size) -> Screen:
    """One to six shapes on the grid."""
    return _page(generator, page_size, SHAPES, _on_grid(generator, _count(generator), *SHAPE_SIDES), bare=True)


def icons(generator: np.random.Generator, page_size: Size) -> Screen:
    """A page of a GE-Lab world: one to six icons on the grid, `back` and `home` as its depth has them."""
    return _page(generator, page_size, _icon_names(), _on_grid(generator, _count(generator), (ICON, ICON), (ICON, ICON)))


def free(generator: np.random.Generator, page_size: Size) -> Screen:
    """One to six shapes and icons, of any size, anywhere."""
    return _page(generator, page_size, (*SHAPES, *_icon_names()), _anywhere(generator, _count(generator)))


def text(generator: np.random.Generator, page_size: Size) -> Screen:
    """One to five words, strings or numbers anywhere on a page, half the time beside icons."""
    count = int(generator.integers(3)) if generator.random() < 0.5 else 0
    screen = _page(generator, page_size, _icon_names(), _anywhere(generator, count))
    taken = [thing.box for thing in screen.things] + [TITLE_BOX]
    written = [_write(generator, screen.picture, taken) for _ in range(generator.integers(1, 6))]
    return Screen(screen.picture, CANVAS, screen.page, screen.things + tuple(filter(None, written)))


@cache
def _icon_names() -> tuple[str, ...]:
    return tuple(icon_names())


def _count(generator: np.random.Generator) -> int:
    return int(generator.integers(1, 7))


def _page(generator, page_size: Size, names, boxes: list[Box], bare: bool = False) -> Screen:
    """A page with distinct ``names`` in ``boxes``; ``bare`` leaves out `back` and `home`, and the title says page_0."""
    chosen = [names[i] for i in generator.choice(len(names), len(boxes), replace=False)]
    elements = [Element(name, box, None) for name, box in zip(chosen, boxes, strict=True)]
    depth = 0 if bare else int(generator.integers(3))
    elements += [Element(BACK, BACK_BOX, None)] * (depth >= 1) + [Element(HOME, HOME_BOX, None)] * (depth >= 2)
    page = Page("page_0" if bare else f"page_{generator.integers(PAGES)}", depth, tuple(elements))
    things = tuple(Thing(element.name, element.box) for element in elements)
    return Screen(_renderer(page_size).page(page), CANVAS, page.id, things)


def _on_grid(generator, count: int, widths: tuple[int, int], heights: tuple[int, int]) -> list[Box]:
    """Boxes of random size around the centres of distinct slots; later ones that overlap an earlier one are left out."""
    boxes: list[Box] = []
    for slot in generator.permutation(len(SLOTS))[:count]:
        wide, high = (int(generator.integers(low, high + 1)) for low, high in (widths, heights))
        x, y = SLOTS[slot][0] + (ICON - wide) // 2, SLOTS[slot][1] + (ICON - high) // 2
        box = Box(x, y, x + wide, y + high)
        if not any(map(box.overlaps, boxes)):
            boxes.append(box)
    return boxes


def _anywhere(generator, count: int) -> list[Box]:
    boxes: list[Box] = []
    for _ in range(count):
        wide, high = (int(generator.integers(low, high + 1)) for low, high in FREE_SIDES)
        if (box := _place(generator, wide, high, [*boxes, TITLE_BOX])) is not None:
            boxes.append(box)
    return boxes


def _place(generator, wide: int, high: int, taken: list[Box]) -> Box | None:
    """A box of that size below the title's row that overlaps nothing; None if no try finds one."""
    for _ in range(_TRIES):
        x = int(generator.integers(10, CANVAS.width - wide - 10))
        y = int(generator.integers(TITLE_BOX.y2 + 20, CANVAS.height - high - 10))
        box = Box(x, y, x + wide, y + high)
        if not any(map(box.overlaps, taken)):
            return box
    return None


def _write(generator, picture: Image.Image, taken: list[Box]) -> Thing | None:
    """Write a word where nothing stands; adds its box to ``taken``. None where there is no room."""
    said = generator.choice([words.word, words.letters, words.number], p=[0.5, 0.3, 0.2])(generator)
    font = _font(int(generator.integers(*TYPE)))
    left, top, right, bottom = font.getbbox(said)
    size = Box(0, 0, right - left + 4, bottom - top + 4).scaled(Size(*picture.size), CANVAS)
    if (box := _place(generator, size.x2, size.y2, taken)) is None:
        return None
    taken.append(box)
    x, y, *_ = box.scaled(CANVAS, Size(*picture.size))
    ink = INKS[generator.integers(len(INKS))]
    ImageDraw.Draw(picture).text((x + 2 - left, y + 2 - top), said, font=font, fill=ink)
    return Thing(said, box, written=True)


@cache
def _font(points: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(points)
