"""Pictures of others, read with care: whatever is in the file, it is a picture or one line that says why not."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from .dataset import DataError

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_DEEP = 8  # bits that a deep picture loses


def read_picture(path: Path, mode: str) -> Image.Image:
    """A picture in a mode of Pillow's, "RGB" or "RGBA"; pixels of 16 bits are scaled to 8.

    Raises FileNotFoundError, and DataError if the file is no picture, or one of more pixels than Pillow trusts.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return (_flat(image) if image.mode.startswith("I") else image).convert(mode)
    except FileNotFoundError:
        raise
    except (*_BROKEN, Image.DecompressionBombWarning) as error:
        reason = " ".join(str(error).replace(f" {str(path)!r}", "").split()) or type(error).__name__
        raise DataError(f"{path}: is no picture ({reason})") from None


def _flat(image: Image.Image) -> Image.Image:
    """A grey picture of 16 bits a pixel in 8 bits, which Pillow's own ``convert`` would clip to white."""
    deep = np.asarray(image)
    grey = (deep >> _DEEP).clip(0, 255).astype(np.uint8)
    seen = deep != image.info.get("transparency", -1)
    return Image.fromarray(np.stack([grey, np.where(seen, 255, 0).astype(np.uint8)], axis=2), "LA")
