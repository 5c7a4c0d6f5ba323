"""Fonts from packages, never from the system: Aileron (CC0) comes with Pillow, DejaVu and STIX with matplotlib.

Only matplotlib's font files are read; the package is not imported. Text is laid out by Pillow's basic engine, because
the other one (raqm) depends on a library of the system.
"""

from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from ..dataset import DataError

AILERON = "Aileron"
FAMILIES = (AILERON, "DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneralBol")
LEGIBLE = 9  # smallest type, in pixels of the picture


@lru_cache(maxsize=256)
def font(family: str, pixels: int) -> ImageFont.FreeTypeFont:
    """A font at a size in pixels of the picture."""
    basic = ImageFont.Layout.BASIC
    if family == AILERON:
        return ImageFont.load_default(pixels).font_variant(layout_engine=basic)
    return ImageFont.truetype(str(_folder() / f"{family}.ttf"), pixels, layout_engine=basic)


@cache
def _folder() -> Path:
    spec = find_spec("matplotlib")
    if spec is None or not spec.origin:
        raise DataError("hard forms are drawn with matplotlib's fonts: pip install matplotlib (see requirements.txt)")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


@lru_cache(maxsize=4096)
def width(family: str, pixels: int, text: str) -> float:
    """How wide a text is drawn, in pixels of the picture."""
    return font(family, pixels).getlength(text)
