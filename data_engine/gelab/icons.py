"""Icon pictures: the built-in set, or a folder of the user's.

Built in: glyphs of Material Design Icons (Apache-2.0, from the package fonticon-materialdesignicons7), each in one of
twelve colours. ``icons.tsv`` freezes name, glyph and colour: everyday words, no brands, chosen greedily so that the
two nearest pictures still differ clearly at 34 pixels (tests/test_icons.py measures it). ``icons_spare.tsv`` has more
glyphs, without names: pictures that no named icon has, chosen the same way. ``synonyms.tsv`` has another name for each
built-in icon, and for each category of the authors'.

A folder of the user's has ``CATEGORY/PNG/*.png``, in letters of either case; names are ``CATEGORY_STEM``, the
category's blanks as underscores, as GE-Lab names them.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..dataset import DataError
from ..pictures import read_picture
from .graph import WorldError
from .names import check_icon_name, short

SIDE = 200  # pixels; icons are square on the canvas
COLOURS = {
    "red": "#d32f2f",
    "orange": "#ef6c00",
    "olive": "#a07800",
    "green": "#558b2f",
    "teal": "#00695c",
    "cyan": "#00acc1",
    "blue": "#1565c0",
    "navy": "#283593",
    "purple": "#7b1fa2",
    "pink": "#d81b60",
    "brown": "#6d4c41",
    "black": "#212121",
}
_GLYPH_SIZE = 190  # points: leaves a margin of five pixels in the 200-pixel square


@dataclass(frozen=True, slots=True)
class Icon:
    """One picture to be had. ``source`` is ``builtin:GLYPH:COLOUR`` or a path below the icon folder."""

    name: str
    source: str


class IconSet:
    """Named pictures: ``icons`` in a fixed order, ``picture(source)`` as an RGBA image of 200 x 200 pixels."""

    def __init__(self, folder: Path | None = None):
        self.folder = Path(folder) if folder else None
        self.icons = _builtin_icons() if folder is None else _folder_icons(self.folder)

    def picture(self, source: str) -> Image.Image:
        if source.startswith("builtin:"):
            _, glyph, colour = source.split(":")
            return _draw_glyph(glyph, COLOURS[colour])
        try:
            image = read_picture(self.folder / source, "RGBA")
        except (OSError, DataError) as error:
            raise WorldError(f"--icons: {error}; fix or remove it") from None
        return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


@cache
def _builtin_icons() -> tuple[Icon, ...]:
    rows = (line.split("\t") for line in _lines("icons.tsv"))
    return tuple(Icon(name, f"builtin:{glyph}:{colour}") for name, glyph, colour in rows)


@cache
def builtin_sources() -> tuple[str, ...]:
    """Sources of all built-in pictures: the spare ones, then those that have names."""
    spare = (line.split("\t") for line in _lines("icons_spare.tsv"))
    return (*(f"builtin:{glyph}:{colour}" for glyph, colour in spare), *(icon.source for icon in _builtin_icons()))


@cache
def synonyms() -> dict[str, str]:
    """Name of a built-in icon, or category of the authors' -> another name for it."""
    return dict(line.split("\t") for line in _lines("synonyms.tsv"))


def _lines(table: str) -> list[str]:
    """Lines of a table beside this file, without its head."""
    return (Path(__file__).parent / table).read_text(encoding="utf-8").splitlines()[1:]


def _folder_icons(folder: Path) -> tuple[Icon, ...]:
    files = sorted(filter(_is_icon, folder.glob("*/*/*")), key=lambda path: path.as_posix())
    if not files:
        raise WorldError(f"--icons {folder}: no CATEGORY/PNG/*.png below it; lay the icons out so, or omit --icons")
    names = [f"{path.parts[-3].replace(' ', '_')}_{path.stem}" for path in files]
    doubles = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubles:
        raise WorldError(f"--icons {folder}: two files give the name {short(doubles[0])}; rename one")
    return tuple(
        Icon(check_icon_name(name, f"--icons {folder}"), path.relative_to(folder).as_posix())
        for name, path in zip(names, files, strict=True)
    )


def _is_icon(path: Path) -> bool:
    """True for PNG/*.png, however the two are spelt."""
    return (path.parent.name.lower(), path.suffix.lower()) == ("png", ".png")


@cache
def _font() -> ImageFont.FreeTypeFont:
    from fonticon_mdi7 import MDI7

    return ImageFont.truetype(MDI7.__font_file__, _GLYPH_SIZE)


def _draw_glyph(glyph: str, colour: str) -> Image.Image:
    from fonticon_mdi7 import MDI7

    character = getattr(MDI7, glyph).removeprefix("mdi7.")
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).text((SIDE // 2, SIDE // 2), character, font=_font(), fill=255, anchor="mm")
    picture = Image.new("RGBA", (SIDE, SIDE), colour)
    picture.putalpha(mask)
    return picture
