"""Pages, the elements on them, and where a click on an element leads. No pixels, no files, no text.

A world is a tree of pages plus two ways up: ``back`` (to the parent, from depth 1) and ``home`` (to page_0, from
depth 2), as GE-Lab has them.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from ..dataset import DataError
from ..geometry import Box, Size, clickable
from .page import BACK, HOME, LEAST, ROOT, Element, Page

__all__ = ["BACK", "HOME", "ROOT", "Element", "Page", "PageGraph", "WorldError", "check"]


class WorldError(DataError):
    """A world that is broken or cannot be made; one line: what, where, how to fix it."""


@dataclass(frozen=True)
class PageGraph:
    """All pages by id in breadth-first order, each of ``canvas`` pixels."""

    pages: dict[str, Page]
    canvas: Size
    _distances: dict[str, dict[str, int]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def places(self) -> dict[str, list[tuple[str, Element]]]:
        """Element name -> where it stands, [(page id, element), ...]; names in the order of their first place."""
        places: dict[str, list[tuple[str, Element]]] = {}
        for page in self.pages.values():
            for element in page.elements:
                places.setdefault(element.name, []).append((page.id, element))
        return places

    @cached_property
    def edges(self) -> list[tuple[str, Element]]:
        """(source page id, element) of every click that leads somewhere."""
        return [(page.id, e) for page in self.pages.values() for e in page.elements if e.target]

    @cached_property
    def parents(self) -> dict[str, str]:
        """Page id -> the page whose icon leads to it; page_0, where every way begins, has none."""
        return {e.target: page for page, e in self.edges if not e.system and e.target != ROOT}

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Page id -> the pages whose parent it is, in the order of its icons."""
        children: dict[str, list[str]] = {page: [] for page in self.pages}
        for child, parent in self.parents.items():
            children[parent].append(child)
        return children

    @cached_property
    def _sources(self) -> dict[str, list[str]]:
        sources: dict[str, list[str]] = {page: [] for page in self.pages}
        for page, element in self.edges:
            sources[element.target].append(page)
        return sources

    @cached_property
    def click_table(self) -> dict[str, tuple[tuple[int, int, int, int, str, str | None], ...]]:
        """Page id -> (x1, y1, x2, y2, element name, target) of each element, in whole 0..1000 units (``clickable``)."""
        return {
            page.id: tuple((*clickable(e.box, self.canvas), e.name, e.target) for e in page.elements)
            for page in self.pages.values()
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
        """Page id -> number of clicks to ``goal`` on a shortest path; those that cannot reach it are absent."""
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
        """The gold click on ``page``: the first in page order (icons, back, home) that shortens the way.

        This is the tie rule: where ``back`` several times and ``home`` are equally short, ``back`` is gold.
        """
        distances = self.distances_to(goal)
        return next(e for e in self.pages[page].elements if e.target and distances[e.target] < distances[page])

    def shortest_path(self, source: str, goal: str) -> list[tuple[str, Element]]:
        """[(page, element to click there), ...] from ``source`` until ``goal`` is reached."""
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
    for page in graph.pages.values():
        for i, element in enumerate(page.elements):
            if fault := _box_fault(element.box, graph.canvas):
                yield f"{page.id}: box {tuple(element.box)} of {element.name!r} {fault}"
            if element.target is not None and element.target not in graph.pages:
                yield f"{page.id}: {element.name!r} leads to {element.target!r}, which does not exist"
            for other in page.elements[:i]:
                if element.box.overlaps(other.box):
                    yield f"{page.id}: {element.name!r} overlaps {other.name!r}"
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
