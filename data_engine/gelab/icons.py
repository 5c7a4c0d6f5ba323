"""Icon pictures: the built-in set, or a folder of the user's.

Built in: glyphs of Material Design Icons (Apache-2.0, from the package fonticon-materialdesignicons7), each in one of
twelve colours. ``icons.tsv`` freezes name, glyph and colour: everyday words, no brands, chosen greedily so that the
two nearest pictures still differ clearly at 34 pixels (tests/test_icons.py measures it). ``icons_spare.tsv`` has more
glyphs, without names: pictures that no named icon has, chosen the same way. ``synonyms.tsv`` has another name for each
built-in icon, and for each category of the authors'.

A folder of the user's has ``CATEGORY/PNG/*.png``; names are ``CATEGORY_STEM`` with blanks as underscores, as GE-Lab
names them.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

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
            with Image.open(self.folder / source) as image:
                return image.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        except OSError as error:
            raise ValueError(f"--icons: {self.folder / source} is no picture ({error}); mend or remove it") from None


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
    files = sorted(folder.glob("*/PNG/*.png"), key=lambda path: path.as_posix())
    if not files:
        raise ValueError(f"--icons {folder}: no CATEGORY/PNG/*.png below it; lay the icons out so, or omit --icons")
    icons = tuple(
        Icon(f"{path.parts[-3].replace(' ', '_')}_{path.stem}", path.relative_to(folder).as_posix()) for path in files
    )
    doubles = {icon.name for icon in icons if sum(other.name == icon.name for other in icons) > 1}
    if doubles:
        raise ValueError(f"--icons {folder}: two files give the name {sorted(doubles)[0]!r}; rename one")
    return icons


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
