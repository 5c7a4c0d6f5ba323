"""How the pages of a world look: theme and captions. The default is the authors' look: light, without captions."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..geometry import Box

Colour = tuple[int, int, int]  # red, green, blue, 0..255


class Theme(NamedTuple):
    """Colours of a page. ``card`` fills the box of an icon that is a card; ``plate`` lies behind a picture."""

    ground: Colour
    ink: Colour
    back: Colour
    home: Colour
    card: Colour
    plate: Colour | None


THEMES = {
    "light": Theme((255, 255, 255), (0, 0, 0), (255, 200, 200), (200, 255, 200), (238, 240, 243), None),
    # icons are dark, so a dark page shows them on light plates, as launchers do
    "dark": Theme((24, 26, 30), (240, 240, 240), (120, 50, 50), (30, 84, 45), (52, 56, 63), (226, 228, 232)),
}


class Style(NamedTuple):
    """``theme`` is one of ``THEMES``; ``captions`` write each icon's name into its box; ``cards`` colour the box."""

    theme: str = "light"
    captions: bool = False
    cards: bool = False

    @property
    def colours(self) -> Theme:
        return THEMES[self.theme]

    def arguments(self) -> dict[str, Any]:
        """What a manifest's arguments say of it: what is not default, so that plain worlds keep their bytes."""
        return {name: value for name, value in self._asdict().items() if value != self._field_defaults[name]}

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Style":
        """The style in a world manifest's arguments."""
        return cls(**{name: arguments[name] for name in cls._fields if name in arguments})

    def parts(self, box: Box) -> tuple[Box, Box | None]:
        """(picture, caption) of an icon's box, canvas pixels; no caption: None. All of an icon is inside its box.

        Alone, a picture fills its box; with card or caption it is square. A wide box has it on the left and the
        caption beside it, any other has the caption below.
        """
        if not (self.captions or self.cards):
            return box, None
        width, height = box.x2 - box.x1, box.y2 - box.y1
        if width > 2 * height:
            side, left, top = height * 4 // 5, box.x1 + height // 5, box.y1 + height // 10
            words = Box(left + side + height // 5, top, box.x2 - height // 5, top + side)
        else:
            side = min(width, height) * 11 // 20 if self.captions else min(width, height)
            left, top = box.x1 + (width - side) // 2, box.y1 + (0 if self.captions else (height - side) // 2)
            words = Box(box.x1, top + side, box.x2, box.y2)
        return Box(left, top, left + side, top + side), words if self.captions else None


PLAIN = Style()  # the authors'
