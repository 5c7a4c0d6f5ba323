"""PNG files of pictures that share most of their rows: a picture is packed strip by strip, and strips are kept.

A deflate stream may be the sum of streams that were packed apart, if each ends on a whole byte (a full flush) and
looks back at nothing before it. So a strip is packed once, and a file is a header, strips, and a joined checksum.
"""

import struct
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from PIL import Image

from ..png import png_file, raw_rows

STRIP = 16  # rows of pixels
_BASE = 65521  # of Adler-32


class Packed(NamedTuple):
    """A strip: its deflated rows, their checksum, and how many bytes they were."""

    data: bytes
    adler: int
    length: int


def pack(picture: Image.Image, index: int) -> Packed:
    """Strip ``index`` of an RGB picture."""
    top = index * STRIP
    rows = picture.crop((0, top, picture.width, min(top + STRIP, picture.height)))
    colours = rows.getcolors(1)  # None where there are more
    return _plain(rows.size, colours[0][1]) if colours else _pack(rows)


@lru_cache(maxsize=256)
def _plain(size: tuple[int, int], colour: tuple[int, int, int]) -> Packed:
    return _pack(Image.new("RGB", size, colour))


def _pack(rows: Image.Image) -> Packed:
    """Each row as filter type 0 and its pixels, deflated."""
    raw, packer = raw_rows(rows), zlib.compressobj(1, zlib.DEFLATED, -15)
    return Packed(packer.compress(raw) + packer.flush(zlib.Z_FULL_FLUSH), zlib.adler32(raw), len(raw))


def strips(height: int) -> range:
    """The indices of a picture's strips."""
    return range(-(-height // STRIP))


def png(width: int, height: int, packed: Iterable[Packed]) -> bytes:
    """The file of the strips of an RGB picture."""
    packed, adler = list(packed), 1
    for strip in packed:
        adler = _join(adler, strip.adler, strip.length)
    stream = b"".join([b"\x78\x01", *(strip.data for strip in packed), b"\x03\x00", struct.pack(">I", adler)])
    return png_file(width, height, stream)


def _join(one: int, two: int, length: int) -> int:
    """Adler-32 of two byte strings after each other, from those of both and the length of the second (RFC 1950)."""
    low, high = one & 0xFFFF, one >> 16
    return (low + (two & 0xFFFF) - 1) % _BASE | (high + (two >> 16) + length * (low - 1)) % _BASE << 16
