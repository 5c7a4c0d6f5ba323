"""One random screen: its picture and the things on it.

Pages are GE-Lab's: its canvas, title, `back` and `home`, drawn by its renderer. On the grid, icons stand where GE-Lab
puts them; free, they have any place and size. Screens of forms: form_screens.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..gelab.graph import BACK, HOME, Element, Page
from ..gelab.layout import BACK_BOX, CANVAS, HOME_BOX, ICON, SLOTS, TITLE_BOX
from ..gelab.render import Renderer
from ..geometry import Box, Size
from ..login.forms import Form, View
from . import words
from .shapes import PLAIN, SHAPES, Pictures

PAGES = 300  # titles are page_0 .. page_299
PAGE = Size(160, 352)  # pixels, about the canvas's aspect: an icon has 27 x 28, on 224 x 224 it would have 38 x 17
SHAPE_SIDES = (180, 290), (180, 290)  # canvas pixels, width and height of a shape on the grid
FREE_SIDES = (150, 420), (150, 420)  # the same for anything anywhere
CROP = Size(128, 64)  # pixels of a cutting: eight tokens, where a page has 55
TILE = Size(64, 64)  # pixels: four tokens; processors scale up what has fewer than 56 x 56
PLAIN_TYPE = (16, 17)  # points of plain type: one size, and it begins at multiples of STEP pixels, so it looks alike
STEP = 8
ROW = 32  # pixels: rows of plain type are as high as a token
TYPE = (11, 21)  # points, in pixels of the picture
INKS = ("black", "#202060", "#7a1010", "#104a20", "#505050")
_TRIES = 30


@dataclass(frozen=True, slots=True)
class Thing:
    """Something on a screen: its name or what it reads, its box in canvas pixels, and its Set-of-Marks number."""

    name: str
    box: Box
    written: bool = False
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """A picture, the canvas that boxes refer to, its things; of a page its name, of a form its mode and its state."""

    picture: Image.Image
    canvas: Size
    things: tuple[Thing, ...]
    page: str = ""
    mode: str = ""
    form: Form | None = None
    view: View | None = None


@cache
def pictures() -> Pictures:
    return Pictures()


@cache
def _renderer(page_size: Size) -> Renderer:
    return Renderer(pictures(), {name: name for name in (*SHAPES, *pictures().icons)}, CANVAS, page_size)


@cache
def icon_names() -> tuple[str, ...]:
    return tuple(pictures().icons)


def one(generator: np.random.Generator, page_size: Size) -> Screen:
    """A single shape or icon on the grid."""
    names = SHAPES if generator.random() < 0.5 else icon_names()
    return _page(generator, page_size, names, _on_grid(generator, 1, *SHAPE_SIDES), bare=True)


def two(generator: np.random.Generator, page_size: Size) -> Screen:
    """Two shapes on the grid, always the same two."""
    return _plain(generator, page_size, PLAIN[:2], 2)


def four(generator: np.random.Generator, page_size: Size) -> Screen:
    """Two or three of four plainly different shapes on the grid."""
    return _plain(generator, page_size, PLAIN[:4], 3)


def eight(generator: np.random.Generator, page_size: Size) -> Screen:
    """Two to four of eight plainly different shapes on the grid."""
    return _plain(generator, page_size, PLAIN, 4)


def _plain(generator, page_size: Size, names: tuple[str, ...], most: int) -> Screen:
    count = int(generator.integers(2, most + 1))
    return _page(generator, page_size, names, _on_grid(generator, count, *SHAPE_SIDES), bare=True)


def shapes(generator: np.random.Generator, page_size: Size) -> Screen:
    """One to six shapes on the grid."""
    return _page(generator, page_size, SHAPES, _on_grid(generator, _count(generator), *SHAPE_SIDES), bare=True)


def icons(generator: np.random.Generator, page_size: Size) -> Screen:
    """A page of a GE-Lab world: one to six icons on the grid, `back` and `home` as its depth has them."""
    return _page(generator, page_size, icon_names(), _on_grid(generator, _count(generator), (ICON, ICON), (ICON, ICON)))


def free(generator: np.random.Generator, page_size: Size) -> Screen:
    """One to six shapes and icons, of any size, anywhere."""
    return _page(generator, page_size, (*SHAPES, *icon_names()), _anywhere(generator, _count(generator)))


def text(generator: np.random.Generator, page_size: Size) -> Screen:
    """One to five words, strings or numbers anywhere on a page, half the time beside icons."""
    count = int(generator.integers(3)) if generator.random() < 0.5 else 0
    screen = _page(generator, page_size, icon_names(), _anywhere(generator, count))
    taken = [thing.box for thing in screen.things] + [TITLE_BOX]
    written = [_write(generator, screen.picture, taken) for _ in range(generator.integers(1, 6))]
    return Screen(screen.picture, CANVAS, screen.things + tuple(filter(None, written)), screen.page)


def tile(generator: np.random.Generator, page_size: Size) -> Screen:
    """A cutting of four tokens with one icon, or (a quarter) one shape, on the grid; cut where patches meet."""
    names = SHAPES if generator.random() < 0.25 else icon_names()
    screen = _page(generator, page_size, names, _on_grid(generator, 1, (ICON, ICON), (ICON, ICON)), bare=True)
    (thing,) = screen.things
    box = thing.box.scaled(CANVAS, page_size)
    x, y = (_cut(box[i], box[i + 2], TILE[i], page_size[i]) for i in (0, 1))
    picture = screen.picture.crop((x, y, x + TILE.width, y + TILE.height))
    inside = Box(max(0, box.x1 - x), max(0, box.y1 - y), min(box.x2 - x, TILE.width), min(box.y2 - y, TILE.height))
    return Screen(picture, TILE, (Thing(thing.name, inside),), screen.page)


def _cut(low: int, high: int, side: int, most: int) -> int:
    """Where a cutting of ``side`` pixels begins that holds most of low..high: a multiple of 32 pixels."""
    return min(max(0, round(((low + high) / 2 - side / 2) / 32) * 32), most - side)


def crop_sign(generator: np.random.Generator, page_size: Size) -> Screen:
    """A cutting with one or two letters or digits in plain type."""
    return _cutting(generator, words.sign(generator))


def crop_word(generator: np.random.Generator, page_size: Size) -> Screen:
    """A cutting with one word in plain type."""
    return _cutting(generator, words.word(generator))


def _cutting(generator, text: str) -> Screen:
    picture = Image.new("RGB", CROP, "white")
    box = _write_plain(generator, picture, text, Box(0, 0, *CROP))
    return Screen(picture, CROP, (Thing(text, box, written=True),), "page_0")


def plain_words(generator: np.random.Generator, page_size: Size) -> Screen:
    """A page with two to six words in plain type, each in a row of its own."""
    screen = _page(generator, page_size, (), [], bare=True)
    top = -(-TITLE_BOX.scaled(CANVAS, page_size).y2 // ROW) * ROW
    chosen = generator.choice(words.words(), int(generator.integers(2, 7)), replace=False).tolist()
    tops = [top + ROW * row for row in generator.permutation((page_size.height - top) // ROW).tolist()]
    things = []
    for text, y in zip(chosen, tops, strict=False):
        box = _write_plain(generator, screen.picture, text, Box(0, y, page_size.width, y + ROW))
        things.append(Thing(text, box.scaled(page_size, CANVAS), written=True))
    return Screen(screen.picture, CANVAS, tuple(things), screen.page)


def _write_plain(generator, picture: Image.Image, text: str, room: Box) -> Box:
    """Write in plain type at a place of the grid in ``room``; its box, in pixels of the picture like the room."""
    font, ink, size = _look(text, generator, PLAIN_TYPE)
    left = room.x2 - room.x1 - size.x2, room.y2 - room.y1 - size.y2
    x, y = (low + STEP * int(generator.integers(most // STEP + 1)) for low, most in zip(room[:2], left, strict=True))
    _draw_text(picture, (x, y), text, font, ink)
    return Box(x, y, x + size.x2, y + size.y2)


def _count(generator: np.random.Generator) -> int:
    return int(generator.integers(1, 7))


def _page(generator, page_size: Size, names, boxes: list[Box], bare: bool = False) -> Screen:
    """A page with distinct ``names`` in ``boxes``; ``bare`` leaves out `back` and `home`, and the title says page_0."""
    chosen = [names[i] for i in generator.choice(len(names), len(boxes), replace=False)]
    elements = [Element(name, box, None) for name, box in zip(chosen, boxes, strict=True)]
    depth = 0 if bare else int(generator.integers(3))
    elements += [Element(BACK, BACK_BOX, None)] * (depth >= 1) + [Element(HOME, HOME_BOX, None)] * (depth >= 2)
    return draw(Page("page_0" if bare else f"page_{generator.integers(PAGES)}", depth, tuple(elements)), page_size)


def draw(page: Page, page_size: Size) -> Screen:
    """The screen of a page of GE-Lab's layout."""
    things = tuple(Thing(element.name, element.box) for element in page.elements)
    return Screen(_renderer(page_size).page(page), CANVAS, things, page.id)


def _on_grid(generator, count: int, widths: tuple[int, int], heights: tuple[int, int]) -> list[Box]:
    """Boxes of random size around the centres of distinct slots; one that overlaps an earlier one is left out."""
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
    text = _text(generator)
    font, ink, size = _look(text, generator, TYPE)
    size = size.scaled(Size(*picture.size), CANVAS)
    if (box := _place(generator, size.x2, size.y2, taken)) is None:
        return None
    taken.append(box)
    _draw_text(picture, box.scaled(CANVAS, Size(*picture.size))[:2], text, font, ink)
    return Thing(text, box, written=True)


def _text(generator) -> str:
    return generator.choice([words.word, words.letters, words.number], p=[0.5, 0.3, 0.2])(generator)


def _look(text: str, generator, points: tuple[int, int]) -> tuple[ImageFont.FreeTypeFont, str, Box]:
    """Font and ink of a text, and its box in pixels of the picture, at (0, 0); equal type has equal base lines."""
    font = _font(int(generator.integers(*points)))
    return font, INKS[generator.integers(len(INKS))], Box(0, 0, round(font.getlength(text)) + 4, font.size + 2)


def _draw_text(picture: Image.Image, corner: tuple[int, int], text: str, font, ink: str) -> None:
    base = corner[1] + round(0.8 * font.size)
    ImageDraw.Draw(picture).text((corner[0] + 2, base), text, font=font, fill=ink, anchor="ls")


@cache
def _font(points: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(points)
