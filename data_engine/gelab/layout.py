"""Where things stand on a page: GE-Lab's canvas and grid, other layouts, and the generator of page graphs.

All numbers are canvas pixels. Canvas, `back`, `home`, page name and the grid are the authors' own (their generator and
their released structure agree on them); the other layouts keep these and put the icons elsewhere.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..geometry import Box, Size
from ..seeds import rng
from .graph import BACK, HOME, ROOT, Element, Page, PageGraph, WorldError, check

CANVAS = Size(1179, 2556)
ICON = 200  # side of icons, back and home
BACK_BOX = Box(60, 60, 260, 260)
HOME_BOX = Box(919, 60, 1119, 260)
TITLE_BOX = Box(389, 60, 789, 260)
GAP = 20  # at least, between things that are scattered
SWEEPS, TRIES = 40, 200  # of ``scatter``: rounds over all boxes, draws for each
SLOTS = [(x, y) for y in range(568, 2179, 230) for x in range(244, 935, 230)]  # corners of the grid: 4 columns, 8 rows
BODY = Box(GAP, 280, CANVAS.width - GAP, CANVAS.height - GAP)  # what is left of a page below back, name and home


class Layout(NamedTuple):
    """Where a page's icons may stand: any of ``slots`` (packed: the first ones), or off them (scattered).

    ``cards``: their boxes are drawn, because they are larger than the pictures.
    """

    slots: tuple[Box, ...]
    packed: bool = False
    scattered: bool = False
    cards: bool = False


_GRID = tuple(Box(x, y, x + ICON, y + ICON) for x, y in SLOTS)
_ROWS = tuple(Box(60, y, 1119, y + 160) for y in range(320, 2301, 180))  # 12 rows of the page's width
_BARS = tuple(Box(x, y, x + 210, y + 200) for y in (2316, 320) for x in (484, 252, 716, 20, 948))  # 5 cells, from the
LAYOUTS = {  # middle: at the bottom edge first, then below the page name
    "grid": Layout(_GRID),
    "list": Layout(_ROWS, packed=True, cards=True),
    "tabs": Layout(_BARS, packed=True, cards=True),
    "free": Layout(_GRID, scattered=True),
}


def generate(tree: Sequence[int], seed: int, names: Sequence[str], layout: str = "grid") -> PageGraph:
    """A page graph whose pages of depth d have ``tree[d]`` children; ``names`` are the icons it may use.

    Names are drawn without replacement, one for each page but the first; places are drawn per page from ``LAYOUTS``.
    Graph and names are the same in every layout. Raises WorldError if the tree asks for more icons than there are
    names or slots.
    """
    if not tree or any(n < 1 for n in tree):
        raise WorldError(f"--tree {' '.join(map(str, tree))}: give at least one level, each number 1 or more")
    where = LAYOUTS[layout]
    if max(tree) > len(where.slots):
        raise WorldError(f"--tree: {max(tree)} icons on a page, but the {layout} has {len(where.slots)} slots")
    children = _breadth_first(tree)
    if len(children) - 1 > len(names):
        raise WorldError(f"--tree needs {len(children) - 1} icons, only {len(names)} are at hand; pass --icons DIR")
    order = rng(seed, "names").permutation(len(names))
    icon_to = {f"page_{i}": names[order[i - 1]] for i in range(1, len(children))}
    parents = {child: page for page, below in children.items() for child in below}
    depths = {ROOT: 0}
    for child, page in parents.items():
        depths[child] = depths[page] + 1
    pages = {}
    for page, below in children.items():
        generator = rng(seed, "layout", page)
        boxes = place(where, len(below), generator)
        boxes = scatter(boxes, generator) if where.scattered else boxes
        icons = [Element(icon_to[child], box, child) for child, box in zip(below, boxes, strict=True)]
        pages[page] = Page(page, depths[page], (*icons, *_ways_up(parents.get(page), depths[page])))
    return check(PageGraph(pages, CANVAS), "generated world")


def _breadth_first(tree: Sequence[int]) -> dict[str, list[str]]:
    """Page id -> ids of its children, numbered level by level."""
    children, level, made = {}, [ROOT], 1
    for count in tree:
        below = []
        for page in level:
            children[page] = [f"page_{made + i}" for i in range(count)]
            made += count
            below += children[page]
        level = below
    return children | {page: [] for page in level}


def _ways_up(parent: str | None, depth: int) -> list[Element]:
    back, home = Element(BACK, BACK_BOX, parent), Element(HOME, HOME_BOX, ROOT)
    return [back, home][: min(depth, 2)]


def place(layout: Layout, count: int, generator: np.random.Generator, taken: Sequence[Box] = ()) -> list[Box]:
    """Slots for ``count`` more icons of a page whose ``taken`` are filled. Raises WorldError where there is no room."""
    free = [slot for slot in layout.slots if not any(slot.overlaps(box) for box in taken)]
    if count > len(free):
        raise WorldError(f"a page has room for {len(free)} more icons, not for {count}; ask for fewer")
    pool = free[:count] if layout.packed else free
    return [pool[i] for i in generator.permutation(len(pool))[:count]]


def scatter(boxes: Sequence[Box], generator: np.random.Generator, fixed: Sequence[Box] = ()) -> list[Box]:
    """Other places in the body of a page for its ``boxes``: apart by ``GAP``, each off its own old place.

    The boxes take turns to move to a random free place, so that no two ever overlap; ``fixed`` stay where they are.
    Raises WorldError if the page is too full for it.
    """
    places = list(boxes)
    for _ in range(SWEEPS):
        for i, old in enumerate(boxes):
            taken = [*places[:i], *places[i + 1 :], *fixed, old]
            places[i] = free_place(old, taken, generator) or places[i]
        if not any(new.overlaps(old) for new, old in zip(places, boxes, strict=True)):
            return places
    raise WorldError(f"no other places for {len(boxes)} icons on one page; take a world with fewer icons a page")


def free_place(like: Box, taken: Sequence[Box], generator: np.random.Generator) -> Box | None:
    """A random place for a box of the size of ``like``, ``GAP`` off all of ``taken``; None if no draw finds one."""
    width, height = like.x2 - like.x1, like.y2 - like.y1
    high = BODY.x2 - width, BODY.y2 - height
    places = generator.integers((BODY.x1, BODY.y1), high, (TRIES, 2), endpoint=True)
    x, y = places[:, :1], places[:, 1:]
    x1, y1, x2, y2 = np.array(taken, int).reshape(-1, 4).T
    hit = (x1 - GAP <= x + width) & (x <= x2 + GAP) & (y1 - GAP <= y + height) & (y <= y2 + GAP)
    free = places[~hit.any(axis=1)].tolist()
    return Box(*free[0], free[0][0] + width, free[0][1] + height) if free else None


def layout_of(graph: PageGraph) -> Layout:
    """The layout that all icons of a graph keep to; scattered if none."""
    boxes = {e.box for page in graph.pages.values() for e in page.elements if not e.system}
    return next((layout for layout in LAYOUTS.values() if boxes <= set(layout.slots)), LAYOUTS["free"])
