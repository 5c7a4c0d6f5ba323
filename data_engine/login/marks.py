"""Set-of-Marks: a number in a square left of each marked element, where no label stands.

Hard layouts keep that place free. The type of a mark has its own lower bound, so that a model can read it; where a look
has several colours of marks, each number has its own, as in Set-of-Mark prompting (Yang et al. 2023).
"""

from collections.abc import Iterable
from functools import lru_cache

from PIL import Image, ImageDraw

from ..geometry import Box, Size
from .fonts import AILERON, font
from .forms import CANVAS, Element
from .layout import scale, type_pixels
from .style import WHITE, Colour, Style

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


def draw_marks(picture: Image.Image, elements: Iterable[Element], style: Style, page_size: Size) -> None:
    """Draw the marks of a form's elements on its picture; number n has the look's n-th colour, around and around."""
    for element in elements:
        if element.mark is not None:
            square = mark_box(element.box.scaled(CANVAS, page_size), style.points, page_size)
            colour = style.marks[(element.mark - 1) % len(style.marks)]
            stamp = _stamp(element.mark, colour, square.x2 - square.x1, _pixels(style.points, page_size))
            picture.paste(stamp, square[:2])


@lru_cache(maxsize=256)
def _stamp(mark: int, colour: Colour, side: int, pixels: int) -> Image.Image:
    """White on a colour, with a white edge for dark grounds."""
    stamp = Image.new("RGB", (side, side), WHITE)
    draw = ImageDraw.Draw(stamp)
    draw.rectangle((1, 1, side - 2, side - 2), colour)
    draw.text((side / 2, side / 2), str(mark), WHITE, font(AILERON, pixels), "mm")
    return stamp


def _pixels(points: int, page_size: Size) -> int:
    return max(READABLE, type_pixels(max(POINTS, points), page_size))
