"""Where things stand on a page: GE-Lab's canvas and grid, and the generator of page graphs.

All numbers are canvas pixels and the authors' own (their generator and their released structure agree on them).
"""

from collections.abc import Sequence

from ..geometry import Box, Size
from ..seeds import rng
from .graph import BACK, HOME, ROOT, Element, Page, PageGraph, WorldError, check

CANVAS = Size(1179, 2556)
ICON = 200  # side of icons, back and home
SLOTS = [(x, y) for y in range(568, 2179, 230) for x in range(244, 935, 230)]  # top-left corners, 4 columns x 8 rows
BACK_BOX = Box(60, 60, 260, 260)
HOME_BOX = Box(919, 60, 1119, 260)
TITLE_BOX = Box(389, 60, 789, 260)


def generate(tree: Sequence[int], seed: int, names: Sequence[str]) -> PageGraph:
    """A page graph whose pages of depth d have ``tree[d]`` children; ``names`` are the icons it may use.

    Names are drawn without replacement, one for each page but the first; places are drawn per page from the grid.
    Raises WorldError if the tree asks for more icons than there are names or slots.
    """
    if not tree or any(n < 1 for n in tree):
        raise WorldError(f"--tree {' '.join(map(str, tree))}: give at least one level, each number 1 or more")
    if max(tree) > len(SLOTS):
        raise WorldError(f"--tree: {max(tree)} icons on a page, but the grid has {len(SLOTS)} slots")
    children = _breadth_first(tree)
    if len(children) - 1 > len(names):
        raise WorldError(f"--tree needs {len(children) - 1} icons, only {len(names)} are at hand; pass --icons DIR")
    order = rng(seed, "names").permutation(len(names))
    icon_to = {f"page_{i}": names[order[i - 1]] for i in range(1, len(children))}
    parents = {child: page for page, below in children.items() for child in below}
    depths = {ROOT: 0}
    for child, page in parents.items():
        depths[child] = depths[page] + 1
    pages = {
        page: Page(page, depths[page], _elements(page, below, parents.get(page), depths[page], icon_to, seed))
        for page, below in children.items()
    }
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


def _elements(
    page: str, below: list[str], parent: str | None, depth: int, icon_to: dict[str, str], seed: int
) -> tuple[Element, ...]:
    slots = rng(seed, "layout", page).permutation(len(SLOTS))[: len(below)]
    corners = [SLOTS[slot] for slot in slots]
    elements = [
        Element(icon_to[child], Box(x, y, x + ICON, y + ICON), child)
        for child, (x, y) in zip(below, corners, strict=True)
    ]
    if depth >= 1:
        elements.append(Element(BACK, BACK_BOX, parent))
    if depth >= 2:
        elements.append(Element(HOME, HOME_BOX, ROOT))
    return tuple(elements)
