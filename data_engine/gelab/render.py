"""A page as a picture: white ground, page name on top, icons with their alpha, `back` and `home` as tiles.

Pictures are composed at the size they are stored in; each element is scaled from the canvas on its own, so that a
picture costs well under a millisecond. The box of an element on the picture is its canvas box, scaled and rounded.
"""

import struct
import zlib
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..geometry import Box, Size
from .graph import BACK, HOME, Page
from .icons import IconSet
from .layout import TITLE_BOX

_TILES = {BACK: (255, 200, 200), HOME: (200, 255, 200)}
_TILE_FONT, _TITLE_FONT = 60, 80  # points on the canvas


def png(picture: Image.Image) -> bytes:
    """An RGB picture as PNG, rows unfiltered: Pillow tries five filters on each row, which flat pages do not need and
    which takes about twice as long."""
    width, height = picture.size
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row: filter type 0, then its pixels
    rows[:, 1:] = np.asarray(picture).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, RGB, not interlaced
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    )


class Renderer:
    """Draws the pages of one world. ``sources`` maps icon names to pictures of ``icons``."""

    def __init__(self, icons: IconSet, sources: dict[str, str], canvas: Size, page_size: Size):
        self.icons, self.sources, self.canvas, self.page_size = icons, sources, canvas, page_size

    def page(self, page: Page) -> Image.Image:
        """The picture of a page: RGB, ``page_size`` pixels."""
        picture = Image.new("RGB", self.page_size, "white")
        self._write(picture, page.id, TITLE_BOX, _TITLE_FONT, (255, 255, 255))
        for element in page.elements:
            if element.system:
                self._write(picture, element.name, element.box, _TILE_FONT, _TILES[element.name])
            else:
                x1, y1, x2, y2 = element.box.scaled(self.canvas, self.page_size)
                stamp = _fit(self.icons.picture(self.sources[element.name]), (x2 - x1, y2 - y1))
                picture.paste(stamp, (x1, y1), stamp)
        return picture

    def _write(self, picture: Image.Image, text: str, box: Box, points: int, ground: tuple[int, int, int]) -> None:
        x1, y1, x2, y2 = box.scaled(self.canvas, self.page_size)
        tile = _tile(text, (box.x2 - box.x1, box.y2 - box.y1), points, ground, (x2 - x1, y2 - y1))
        picture.paste(tile, (x1, y1))


@lru_cache(maxsize=64)
def _tile(text: str, size: tuple[int, int], points: int, ground: tuple[int, int, int], fit: tuple[int, int]):
    """Black text centred on a tile of ``size`` canvas pixels, resized to ``fit``."""
    tile = Image.new("RGB", size, ground)
    middle = (size[0] // 2, size[1] // 2)
    ImageDraw.Draw(tile).text(middle, text, font=_font(points), fill="black", anchor="mm")
    return _fit(tile, fit)


def _fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # Pillow's own (Aileron, CC0): the same on every machine
