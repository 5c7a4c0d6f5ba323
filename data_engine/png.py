"""PNG files of RGB pictures, whose deflated rows the caller has."""

import struct
import zlib

import numpy as np
from PIL import Image


def raw_rows(picture: Image.Image) -> bytes:
    """The rows of an RGB picture as PNG has them: filter type 0 (unfiltered), then the pixels."""
    rows = np.zeros((picture.height, 1 + 3 * picture.width), np.uint8)
    rows[:, 1:] = np.asarray(picture).reshape(picture.height, -1)
    return rows.tobytes()


def png_file(width: int, height: int, stream: bytes) -> bytes:
    """The file of the zlib stream of a picture's raw rows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, RGB, not interlaced
    chunks = (b"IHDR", header), (b"IDAT", stream), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
