"""Pages, the elements on them, and where a click on an element leads. No pixels, no files, no text.

A world is a tree of pages plus two ways up: ``back`` (to the parent, from depth 1) and ``home`` (to page_0, from
depth 2), as GE-Lab has them. Where pages are taller than the screen, an agent stands on one of the screens of a page,
and a scroll is a step like a click. A page's first screen has the page's id; a click opens that one.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ..dataset import DataError
from ..geometry import Box, Size, clickable
from .page import BACK, HEADER, HOME, LEAST, ROOT, Element, Page, page_canvas, screens_of, scrolls, shown

__all__ = ["BACK", "HOME", "ROOT", "Element", "Page", "PageGraph", "WorldError", "check"]


class WorldError(DataError):
    """A world that is broken or cannot be made; one line: what, where, the mend."""


@dataclass(frozen=True)
class PageGraph:
    """All pages by id in breadth-first order, ``scroll`` half screens taller than the screen of ``canvas`` pixels."""

    pages: dict[str, Page]
    canvas: Size
    scroll: int = 0
    _distances: dict[str, dict[str, int]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def screens(self) -> dict[str, Page]:
        """What an agent sees, by screen id, screens of a page together. Without ``scroll`` these are the pages."""
        if not self.scroll:
            return self.pages
        return {s.id: s for page in self.pages.values() for s in screens_of(page, self.canvas, self.scroll)}

    @cached_property
    def scrolls(self) -> dict[str, dict[str, str]]:
        """Screen id -> direction -> the screen that shows then."""
        return {screen.id: {e.name: e.target for e in scrolls(screen)} for screen in self.screens.values()}

    @cached_property
    def places(self) -> dict[str, list[tuple[str, Element]]]:
        """Element name -> where it stands, [(screen id, element), ...]; names in the order of their first place."""
        places: dict[str, list[tuple[str, Element]]] = {}
        for page in self.screens.values():
            for element in page.elements:
                places.setdefault(element.name, []).append((page.id, element))
        return places

    @cached_property
    def edges(self) -> list[tuple[str, Element]]:
        """(source screen id, element) of every click that leads somewhere."""
        return [(screen.id, e) for screen in self.screens.values() for e in screen.elements if e.target]

    @cached_property
    def parents(self) -> dict[str, str]:
        """Page id -> the page whose icon leads to it; page_0, where every way begins, has none."""
        icons = [(page.id, e) for page in self.pages.values() for e in page.elements if e.target and not e.system]
        return {icon.target: page for page, icon in icons if icon.target != ROOT}

    @cached_property
    def _sources(self) -> dict[str, list[str]]:
        sources: dict[str, list[str]] = {screen: [] for screen in self.screens}
        for screen in self.screens.values():
            for element in self._moves(screen):
                sources[element.target].append(screen.id)
        return sources

    @staticmethod
    def _moves(screen: Page) -> Iterator[Element]:
        """Everything on a screen that leads to another, in page order; scrolls last."""
        yield from (e for e in screen.elements if e.target)
        yield from scrolls(screen)

    @cached_property
    def click_table(self) -> dict[str, tuple[tuple[int, int, int, int, str, str | None], ...]]:
        """Screen id -> (x1, y1, x2, y2, element name, target) of each element, in whole 0..1000 units (``clickable``).

        Of an element that the screen cuts, the box is what is seen of it.
        """
        return {
            screen.id: tuple((*clickable(box, self.canvas), e.name, e.target) for e, box in shown(screen, self.canvas))
            for screen in self.screens.values()
        }

    def subtree(self, root: str) -> list[str]:
        """page_0 and every page at or below ``root``, in breadth-first order."""
        if root not in self.pages:
            raise WorldError(f"no page {root!r} in this world; it has {ROOT} .. page_{len(self.pages) - 1}")
        below = {root}
        for page in self.pages:  # breadth-first ids: a parent always stands before its children
            if self.parents.get(page) in below:
                below.add(page)
        return [page for page in self.pages if page == ROOT or page in below]

    def distances_to(self, goal: str) -> dict[str, int]:
        """Screen id -> number of steps to ``goal`` on a shortest path; those that cannot reach it are absent."""
        if goal not in self._distances:
            distances, queue = {goal: 0}, deque([goal])
            while queue:
                page = queue.popleft()
                for source in self._sources[page]:
                    if source not in distances:
                        distances[source] = distances[page] + 1
                        queue.append(source)
            self._distances[goal] = distances
        return self._distances[goal]

    def next_element(self, page: str, goal: str) -> Element:
        """The gold step on ``page``: the first in page order (icons, back, home, down, up) that shortens the way.

        This is the tie rule: where ``back`` several times and ``home`` are equally short, ``back`` is gold.
        """
        distances = self.distances_to(goal)
        return next(e for e in self._moves(self.screens[page]) if distances[e.target] < distances[page])

    def shortest_path(self, source: str, goal: str) -> list[tuple[str, Element]]:
        """[(screen, element to click or scroll there), ...] from ``source`` until ``goal`` is reached."""
        path = []
        while source != goal:
            element = self.next_element(source, goal)
            path.append((source, element))
            source = element.target
        return path


def check(graph: PageGraph, where: str) -> PageGraph:
    """Raise WorldError at the first fault that would make rows or tasks wrong; else return the graph."""
    for fault in _faults(graph):
        raise WorldError(f"{where}: {fault}")
    return graph


def _faults(graph: PageGraph) -> Iterable[str]:
    if ROOT not in graph.pages:
        yield f"has no {ROOT}; ids must be page_0, page_1, ... breadth-first"
        return
    canvas = page_canvas(graph.canvas, graph.scroll)
    for page in graph.pages.values():
        for i, element in enumerate(page.elements):
            if fault := _box_fault(element.box, canvas):
                yield f"{page.id}: box {tuple(element.box)} of {element.name!r} {fault}"
            if element.target is not None and element.target not in graph.pages:
                yield f"{page.id}: {element.name!r} leads to {element.target!r}, which does not exist"
            for other in page.elements[:i]:
                if element.box.overlaps(other.box):
                    yield f"{page.id}: {element.name!r} overlaps {other.name!r}"
    yield from _scroll_faults(graph) if graph.scroll else ()
    if len(graph.pages) == 1:
        yield f"has no page but {ROOT}; a world needs one to go to"
    lost = sorted(set(graph.pages) - set(graph.distances_to(ROOT)))
    if lost:
        yield f"{lost[0]} cannot reach {ROOT}; every page needs a way back"
    unreached = [page for page in graph.pages if page != ROOT and page not in graph.parents]
    if unreached:
        yield f"no icon leads to {unreached[0]}; every page but {ROOT} needs one"
    order = {page: i for i, page in enumerate(graph.pages)}
    early = [page for page in graph.pages if page in graph.parents and order[graph.parents[page]] >= order[page] > 0]
    if early:
        yield f"{early[0]} stands before {graph.parents[early[0]]}, whose icon leads to it; list pages breadth-first"


def _box_fault(box: Box, canvas: Size) -> str | None:
    """Why nothing can stand in a box; None if something can."""
    if box.x2 < box.x1 or box.y2 < box.y1:
        return "is reversed; write [left, top, right, bottom]"
    if min(box.x2 - box.x1, box.y2 - box.y1) < LEAST:
        return f"leaves the click no room; make each side {LEAST} pixels or more"
    return None if box.inside(canvas) else f"leaves the {canvas} canvas"


def _scroll_faults(graph: PageGraph) -> Iterator[str]:
    """`back` and `home` stand in the header, and some screen shows all of each icon."""
    for page in graph.pages.values():
        whole = {e.name for screen in screens_of(page, graph.canvas, graph.scroll) for e in screen.elements}
        for element in page.elements:
            if element.system and element.box.y2 > HEADER:
                yield f"{page.id}: {element.name!r} leaves the header ({HEADER} pixels) of a page that scrolls"
            if element.name not in whole:
                yield f"{page.id}: no screen shows all of {element.name!r}; place it below the header ({HEADER} pixels)"
    if len(graph.screens) < len(graph.pages) * (graph.scroll + 1):
        yield "a page has the name of another's screen; name pages page_0, page_1, ..."
