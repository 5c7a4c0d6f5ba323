"""Set-of-Marks: a number in a black square left of each marked element, where no label stands.

Hard layouts keep that place free. The type of a mark has its own lower bound, so that a model can read it.
"""

from collections.abc import Iterable
from functools import lru_cache

from PIL import Image, ImageDraw

from ..geometry import Box, Size
from .fonts import AILERON, font
from .forms import CANVAS, Element
from .layout import scale, type_pixels
from .style import BLACK, WHITE

POINTS = 14  # canvas pixels, where the form's own type is smaller
READABLE = 11  # pixels of the picture, the smallest: a lone number has no word around it that tells 6 from 8


def mark_box(box: Box, points: int, page_size: Size) -> Box:
    """Where the mark of an element stands, in pixels of the page; ``box`` is the element's box on the page.

    ``points``: type of the form, canvas pixels.
    """
    side = round(1.25 * _pixels(points, page_size)) + 1
    gap = max(3, round(4 * scale(page_size)))  # clear of the focus ring
    x2, y1 = box.x1 - gap, (box.y1 + box.y2 - side) // 2
    return Box(x2 - side, y1, x2, y1 + side)


def draw_marks(picture: Image.Image, elements: Iterable[Element], points: int, page_size: Size) -> None:
    """Draw the marks of a form's elements on its picture."""
    for element in elements:
        if element.mark is not None:
            square = mark_box(element.box.scaled(CANVAS, page_size), points, page_size)
            picture.paste(_stamp(element.mark, square.x2 - square.x1, _pixels(points, page_size)), square[:2])


@lru_cache(maxsize=256)
def _stamp(mark: int, side: int, pixels: int) -> Image.Image:
    """White on black, with a white edge for dark grounds."""
    stamp = Image.new("RGB", (side, side), WHITE)
    draw = ImageDraw.Draw(stamp)
    draw.rectangle((1, 1, side - 2, side - 2), BLACK)
    draw.text((side / 2, side / 2), str(mark), WHITE, font(AILERON, pixels), "mm")
    return stamp


def _pixels(points: int, page_size: Size) -> int:
    return max(READABLE, type_pixels(max(POINTS, points), page_size))
