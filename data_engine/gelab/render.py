"""A page as a picture: plain ground, page name on top, icons with their alpha, `back` and `home` as tiles.

Pictures are composed at the size they are stored in; each element is scaled from the canvas on its own, so that a
picture costs well under a millisecond. The box of an element on the picture is its canvas box, scaled and rounded.
"""

import zlib
from collections.abc import Iterable
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from ..geometry import Box, Size
from ..png import png_file, raw_rows
from .graph import BACK, Element, Page, WorldError
from .icons import IconSet
from .layout import TITLE_BOX
from .style import PLAIN, Colour, Style

_TILE_FONT, _TITLE_FONT = 60, 80  # points on the canvas


def png(picture: Image.Image) -> bytes:
    """An RGB picture as PNG, rows unfiltered: Pillow tries five filters on each row, which flat pages do not need and
    which takes about twice as long."""
    return png_file(*picture.size, zlib.compress(raw_rows(picture), 1))


class Renderer:
    """Draws the pages of one world. ``sources`` maps icon names to pictures of ``icons``."""

    def __init__(self, icons: IconSet, sources: dict[str, str], canvas: Size, page_size: Size, style: Style = PLAIN):
        self.icons, self.sources, self.canvas, self.page_size = icons, sources, canvas, page_size
        self.style, self.colours = style, style.colours

    def check(self, pages: Iterable[Page]) -> None:
        """Raises WorldError where pages are too small for what stands on them."""
        for page in pages:
            if name := self.vanished(page):
                raise WorldError(f"--page-size {self.page_size}: {name} of {page.id} would have no pixel; give more")

    def vanished(self, page: Page) -> str | None:
        """What has less than a pixel on the picture of a page; None if nothing."""
        boxes = {repr(e.name): e.box if e.system else self.style.parts(e.box)[0] for e in page.elements}
        places = {name: self._on_page(box) for name, box in ({"the name": TITLE_BOX} | boxes).items()}
        return next((name for name, box in places.items() if box.x1 >= box.x2 or box.y1 >= box.y2), None)

    def page(self, page: Page) -> Image.Image:
        """The picture of a page: RGB, ``page_size`` pixels."""
        picture = Image.new("RGB", self.page_size, self.colours.ground)
        self._write(picture, page.id, TITLE_BOX, _TITLE_FONT, self.colours.ground)
        for element in page.elements:
            if element.system:
                ground = self.colours.back if element.name == BACK else self.colours.home
                self._write(picture, element.name, element.box, _TILE_FONT, ground)
            else:
                self._icon(picture, element)
        return picture

    def _icon(self, picture: Image.Image, element: Element) -> None:
        """An icon inside its box: card, plate, picture, caption, as far as style and box ask for them."""
        art, words = self.style.parts(element.box)
        if self.style.cards:
            picture.paste(self.colours.card, self._on_page(element.box))
        x1, y1, x2, y2 = self._on_page(art)
        if self.colours.plate:
            picture.paste(self.colours.plate, (x1, y1, x2, y2))
        stamp = _fit(self.icons.picture(self.sources[element.name]), (x2 - x1, y2 - y1))
        picture.paste(stamp, (x1, y1), stamp)
        if words:
            self._caption(picture, element.name, self._on_page(words), left=words.y1 < art.y2)

    def _caption(self, picture: Image.Image, name: str, box: Box, left: bool) -> None:
        """The name in type that fits the box (picture pixels), on one line or two; from its left, or in its middle."""
        width, height = box.x2 - box.x1 - 2, box.y2 - box.y1 - 2  # smoothing may colour a pixel more on each side
        text = max(name, _broken(name), key=lambda text: _fitting(text, width, height).size)
        font, lines = _fitting(text, width, height), text.split("\n")
        x = box.x1 + 1 + (0 if left else (width - max(map(font.getlength, lines))) / 2)
        top, bottom = _extent(font, len(lines))
        y = box.y1 + 1 + (height - top - bottom) / 2
        align = "left" if left else "center"
        draw = ImageDraw.Draw(picture)
        draw.multiline_text((round(x), round(y)), text, self.colours.ink, font, align=align, spacing=1)

    def _on_page(self, box: Box) -> Box:
        return box.scaled(self.canvas, self.page_size)

    def _write(self, picture: Image.Image, text: str, box: Box, points: int, ground: Colour) -> None:
        x1, y1, x2, y2 = self._on_page(box)
        size = (box.x2 - box.x1, box.y2 - box.y1)
        picture.paste(_tile(text, size, points, ground, self.colours.ink, (x2 - x1, y2 - y1)), (x1, y1))


@lru_cache(maxsize=64)
def _tile(text: str, size: tuple[int, int], points: int, ground: Colour, ink: Colour, fit: tuple[int, int]):
    """Text centred on a tile of ``size`` canvas pixels, resized to ``fit``."""
    tile = Image.new("RGB", size, ground)
    middle = (size[0] // 2, size[1] // 2)
    ImageDraw.Draw(tile).text(middle, text, font=_font(points), fill=ink, anchor="mm")
    return _fit(tile, fit)


def _fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _broken(text: str) -> str:
    """The text on two lines, broken at the blank nearest to its middle; unchanged if it has none."""
    blanks = [i for i, letter in enumerate(text) if letter in " _"]
    middle = min(blanks, key=lambda i: abs(i - len(text) / 2), default=None)
    return text if middle is None else f"{text[:middle]}\n{text[middle + 1 :]}"


@lru_cache(maxsize=1024)
def _fitting(text: str, width: int, height: int) -> ImageFont.FreeTypeFont:
    """The largest font (3/5 of ``height`` or 10 points at most) whose lines fit ``width`` x ``height`` pixels."""
    lines, points = text.split("\n"), max(height * 3 // 5, 10)
    while points > 1:
        top, bottom = _extent(_font(points), len(lines))
        if max(map(_font(points).getlength, lines)) <= width and bottom - top <= height:
            break
        points -= 1
    return _font(points)


def _extent(font: ImageFont.FreeTypeFont, lines: int) -> tuple[float, float]:
    """Top and bottom of that many lines drawn at y = 0, whatever letters they have."""
    draw = ImageDraw.Draw(Image.new("L", (1, 1)))
    _, top, _, bottom = draw.multiline_textbbox((0, 0), "\n".join(["bg"] * lines), font, spacing=1)
    return top, bottom


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # Pillow's own (Aileron, CC0): the same on every machine
