"""Plain coloured forms as icons: what a model without sight learns first, before it tells one glyph from another."""

from functools import cache

from PIL import Image, ImageDraw

from ..gelab.icons import SIDE, IconSet

COLOURS = {
    "red": "#d32f2f",
    "green": "#2e9e2e",
    "blue": "#1565ff",
    "black": "#111111",
    "purple": "#8a1fa2",
    "orange": "#ff8c00",
    "pink": "#ff60b0",
    "yellow": "#f0d000",
    "gray": "#909090",
    "brown": "#6d4c41",
}
FORMS = ("box", "circle", "bar", "triangle")
SHAPES = tuple(f"{colour} {form}" for colour in COLOURS for form in FORMS)

PLAIN = (
    *("red box", "blue circle", "green triangle", "black bar"),
    *("orange circle", "purple box", "yellow triangle", "pink bar"),
)  # nobody takes one of these for another


class Pictures:
    """Pictures by name, RGBA, 200 x 200 pixels: shapes and built-in icons. A renderer takes it for an IconSet."""

    def __init__(self):
        self._icons = IconSet()
        self.icons = {icon.name: icon.source for icon in self._icons.icons}

    @cache  # noqa: B019  (one of these lives as long as the process)
    def picture(self, name: str) -> Image.Image:
        return self._icons.picture(self.icons[name]) if name in self.icons else _shape(*name.split(" "))


def _shape(colour: str, form: str) -> Image.Image:
    picture = Image.new("RGBA", (SIDE, SIDE))
    draw, ink, low, high = ImageDraw.Draw(picture), COLOURS[colour], SIDE // 20, SIDE - SIDE // 20
    if form == "box":
        draw.rectangle((low, low, high, high), fill=ink)
    elif form == "circle":
        draw.ellipse((low, low, high, high), fill=ink)
    elif form == "bar":
        draw.rectangle((0, SIDE // 3, SIDE, SIDE - SIDE // 3), fill=ink)
    else:
        draw.polygon(((SIDE // 2, low), (high, high), (low, high)), fill=ink)
    return picture
