"""A page, and what stands on it. Pure."""

from dataclasses import dataclass

from ..geometry import Box

ROOT = "page_0"
BACK, HOME = "back", "home"
LEAST = 16  # canvas pixels a side: the middle half of such a box has ten points of 0..1000, as rows of an icon need


@dataclass(frozen=True, slots=True)
class Element:
    """Something to click: its name, its box in canvas pixels, and the page that a click opens (None: nothing)."""

    name: str
    box: Box
    target: str | None

    @property
    def system(self) -> bool:
        return self.name in (BACK, HOME)


@dataclass(frozen=True, slots=True)
class Page:
    """A page. ``elements`` stand in the authors' order: icons, back, home; their boxes are in canvas pixels."""

    id: str
    depth: int
    elements: tuple[Element, ...]

    def element(self, name: str) -> Element:
        return next(e for e in self.elements if e.name == name)

    def element_at(self, x: float, y: float) -> Element | None:
        """The element whose box holds the canvas point (edges belong to the box), or None."""
        return next((e for e in self.elements if e.box.contains(x, y)), None)
