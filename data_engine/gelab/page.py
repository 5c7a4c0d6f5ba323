"""A page, what stands on it, and the screens that show a page which is taller than the screen.

The first screen shows a page from its top. Each of the others is half a screen further down; `back`, `home` and page
name stay in the header. An element is on a screen where all of it is seen. Of others what is seen can be clicked as
well, but gold never does: nobody need guess what a strip of an icon belongs to.
"""

from dataclasses import dataclass, replace

from ..geometry import Box, Size

ROOT = "page_0"
BACK, HOME = "back", "home"
DOWN, UP = "down", "up"
HEADER = 280  # canvas pixels: below them a page scrolls
MOST = 100  # half screens that a page may be taller than the screen
LEAST = 16  # canvas pixels a side: the middle half of such a box has ten points of 0..1000, as rows of an icon need


@dataclass(frozen=True, slots=True)
class Element:
    """Something to click: its name, its box in canvas pixels, and the page that a click opens (None: nothing).

    Without a box it is no thing but a scroll: its name is the direction, its target the screen that shows then.
    """

    name: str
    box: Box | None
    target: str | None

    @property
    def system(self) -> bool:
        return self.name in (BACK, HOME)


@dataclass(frozen=True, slots=True)
class Page:
    """A page, or one of its screens. ``elements`` stand in the authors' order: icons, back, home.

    A screen has its own id, is number ``offset`` (0: the top) of ``screens``, and ``cut`` holds the elements of which
    it shows a part. All boxes of a screen are in canvas pixels of the screen, those of ``cut`` whole.
    """

    id: str
    depth: int
    elements: tuple[Element, ...]
    offset: int = 0
    screens: int = 1
    cut: tuple[Element, ...] = ()

    @property
    def title(self) -> str:
        """The page's name, which stands on top of each of its screens."""
        return self.id.removesuffix(f"+{self.offset}") if self.offset else self.id

    def element(self, name: str) -> Element:
        return next(e for e in self.elements if e.name == name)

    def element_at(self, x: float, y: float) -> Element | None:
        """The element whose box holds the canvas point (edges belong to the box), or None."""
        return next((e for e in self.elements if e.box.contains(x, y)), None)


def page_canvas(canvas: Size, scroll: int) -> Size:
    """The size of a whole page that is ``scroll`` half screens taller than the screen ``canvas``."""
    return Size(canvas.width, canvas.height + scroll * (canvas.height // 2))


def screen_id(page: str, offset: int) -> str:
    """The id of a page's screen; that of the first is the page's own."""
    return f"{page}+{offset}" if offset else page


def screens_of(page: Page, canvas: Size, scroll: int) -> list[Page]:
    """The screens of a page, from its top down; of a page that does not scroll the page itself."""
    return [_screen(page, canvas, i, scroll + 1) for i in range(scroll + 1)] if scroll else [page]


def _screen(page: Page, canvas: Size, offset: int, screens: int) -> Page:
    up = offset * (canvas.height // 2)
    whole, cut = [], []
    for element in page.elements:
        x1, y1, x2, y2 = element.box
        moved = element if element.system else replace(element, box=Box(x1, y1 - up, x2, y2 - up))
        part = seen(moved.box, canvas)
        if element.system or part == moved.box:
            whole.append(moved)
        elif part.y1 < part.y2:
            cut.append(moved)
    return Page(screen_id(page.id, offset), page.depth, tuple(whole), offset, screens, tuple(cut))


def seen(box: Box, canvas: Size) -> Box:
    """What a screen shows of a box below its header; y1 >= y2 if nothing."""
    return Box(box.x1, max(box.y1, HEADER), box.x2, min(box.y2, canvas.height))


def shown(screen: Page, canvas: Size) -> list[tuple[Element, Box]]:
    """Everything that can be clicked on a screen, each with what is seen of its box."""
    return [(e, e.box) for e in screen.elements] + [(e, seen(e.box, canvas)) for e in screen.cut]


def scrolls(screen: Page) -> list[Element]:
    """The scrolls that move a screen: down, then up."""
    page, offset = screen.title, screen.offset
    down = [Element(DOWN, None, screen_id(page, offset + 1))] if offset + 1 < screen.screens else []
    return down + ([Element(UP, None, screen_id(page, offset - 1))] if offset else [])
