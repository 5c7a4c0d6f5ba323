"""Boxes and points, and the only place where a coordinate changes its system.

Two systems exist. *Canvas*: integer pixels of the page as its world describes it (1179 x 2556 in GE-Lab), origin at
the top left, x to the right. *Thousand*: what models read and write, integers 0..1000 along each side of the page,
whatever the size of the picture. Everything is (x, y), never (row, column).
"""

import math
from typing import NamedTuple

THOUSAND = 1000
MOST_PIXELS = 16_777_216  # of a picture: Qwen3-VL's processor takes no more, Qwen2.5-VL's takes 12,845,056
MERGED_PATCHES = (28, 32)  # pixels: sides of a merged patch of Qwen2.5-VL and of Qwen3-VL


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """``"448x448"`` -> ``Size(448, 448)``. Raises ValueError with how to fix it."""
        parts = text.lower().split("x")
        if len(parts) != 2 or not all(p.isdecimal() and int(p) > 0 for p in parts):
            raise ValueError(f"size {text!r}: write WIDTHxHEIGHT in pixels, e.g. 448x448")
        if math.prod(map(int, parts)) > MOST_PIXELS:
            raise ValueError(f"size {text!r}: no model takes more than {MOST_PIXELS:,} pixels; write e.g. 448x448")
        return cls(int(parts[0]), int(parts[1]))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Box(NamedTuple):
    """A rectangle in canvas pixels. All four edges belong to it."""

    x1: int
    y1: int
    x2: int
    y2: int

    def contains(self, x: float, y: float) -> bool:
        return self.x1 <= x <= self.x2 and self.y1 <= y <= self.y2

    def overlaps(self, other: "Box") -> bool:
        return self.x1 <= other.x2 and other.x1 <= self.x2 and self.y1 <= other.y2 and other.y1 <= self.y2

    def inside(self, size: Size) -> bool:
        return 0 <= self.x1 < self.x2 <= size.width and 0 <= self.y1 < self.y2 <= size.height

    def at(self, u: float, v: float) -> tuple[float, float]:
        """The canvas point at fraction (u, v) of the box; (0.5, 0.5) is its centre."""
        return self.x1 + u * (self.x2 - self.x1), self.y1 + v * (self.y2 - self.y1)

    def scaled(self, source: Size, target: Size) -> "Box":
        """The same rectangle on a picture of another size, edges rounded to whole pixels."""
        fx, fy = target.width / source.width, target.height / source.height
        return Box(round(self.x1 * fx), round(self.y1 * fy), round(self.x2 * fx), round(self.y2 * fy))


def fits_patches(size: Size) -> bool:
    """True if one of the families' resize leaves a picture of this size alone."""
    return any(size.width % side == 0 == size.height % side for side in MERGED_PATCHES)


def to_thousand(x: float, y: float, canvas: Size) -> tuple[int, int]:
    """Canvas pixels -> 0..1000, rounded as the authors of GE-Lab round."""
    return round(x / canvas.width * THOUSAND), round(y / canvas.height * THOUSAND)


def to_canvas(x: int, y: int, canvas: Size) -> tuple[float, float]:
    """0..1000 -> canvas pixels, unrounded. Numbers outside 0..1000 give a point outside the canvas."""
    return x * canvas.width / THOUSAND, y * canvas.height / THOUSAND


def box_to_thousand(box: Box, canvas: Size) -> Box:
    """A box as the authors' ``bbox_norm`` has it."""
    return Box(*to_thousand(box.x1, box.y1, canvas), *to_thousand(box.x2, box.y2, canvas))


def clickable(box: Box, canvas: Size) -> Box:
    """The 0..1000 integers that hit ``box``: (x, y) lies in the result exactly if its canvas point lies in ``box``."""
    width, height = canvas
    low = -(-box.x1 * THOUSAND // width), -(-box.y1 * THOUSAND // height)  # rounded up, in integers
    return Box(*low, box.x2 * THOUSAND // width, box.y2 * THOUSAND // height)


def in_range(x: int, y: int) -> bool:
    return 0 <= x <= THOUSAND and 0 <= y <= THOUSAND
