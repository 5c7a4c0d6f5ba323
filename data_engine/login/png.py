"""PNG files of pictures that share most of their rows: a picture is packed strip by strip, and strips are kept.

A deflate stream may be the sum of streams that were packed apart, if each ends on a whole byte (a full flush) and
looks back at nothing before it. So a strip is packed once, and a file is a header, strips, and a joined checksum.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

STRIP = 16  # rows of pixels
RUN = 2  # strips that are taken from a picture at once, at most
_BASE = 65521  # of Adler-32


class Packed(NamedTuple):
    """A strip: its deflated rows, their checksum, and how many bytes they were."""

    data: bytes
    adler: int
    length: int


def pack(picture: Image.Image, indices: Sequence[int]) -> list[Packed]:
    """Strips of an RGB picture: ``indices`` ascend without a gap."""
    top, bottom = indices[0] * STRIP, min(indices[-1] * STRIP + STRIP, picture.height)
    lines = np.zeros((bottom - top, 1 + 3 * picture.width), np.uint8)  # each row as filter type 0 and its pixels
    pixels = picture.crop((0, top, picture.width, bottom)).tobytes()
    lines[:, 1:] = np.frombuffer(pixels, np.uint8).reshape(bottom - top, -1)
    raw, size = lines.tobytes(), STRIP * lines.shape[1]
    return [_packed(raw[i : i + size], lines.shape[1]) for i in range(0, len(raw), size)]


def _packed(raw: bytes, line: int) -> Packed:
    """A strip of one colour is packed once for all pictures."""
    row, pixel = raw[:line], raw[1:4]
    return _plain(raw) if row[1:] == pixel * (line // 3) and raw == row * (len(raw) // line) else _pack(raw)


def _pack(raw: bytes) -> Packed:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return Packed(packer.compress(raw) + packer.flush(zlib.Z_FULL_FLUSH), zlib.adler32(raw), len(raw))


_plain = lru_cache(maxsize=256)(_pack)


def runs(indices: Sequence[int]) -> list[Sequence[int]]:
    """Ascending indices, cut at gaps and after ``RUN``: small buffers are used again, large ones are not."""
    starts = [i for i, index in enumerate(indices) if i == 0 or index != indices[i - 1] + 1 or index % RUN == 0]
    return [indices[i:j] for i, j in zip(starts, [*starts[1:], len(indices)], strict=True)]


def strips(height: int) -> range:
    """The indices of a picture's strips."""
    return range(-(-height // STRIP))


def png(width: int, height: int, packed: Iterable[Packed]) -> bytes:
    """The file of the strips of an RGB picture."""
    packed, adler = list(packed), 1
    for strip in packed:
        adler = _join(adler, strip.adler, strip.length)
    stream = b"".join([b"\x78\x01", *(strip.data for strip in packed), b"\x03\x00", struct.pack(">I", adler)])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, RGB, not interlaced
    chunks = (b"IHDR", header), (b"IDAT", stream), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _join(one: int, two: int, length: int) -> int:
    """Adler-32 of two byte strings after each other, from those of both and the length of the second (RFC 1950)."""
    low, high = one & 0xFFFF, one >> 16
    return (low + (two & 0xFFFF) - 1) % _BASE | (high + (two >> 16) + length * (low - 1)) % _BASE << 16
