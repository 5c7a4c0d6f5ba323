"""Navigation tasks: go from one page to another. A task set is all ordered pairs of some pages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .graph import ROOT, PageGraph, WorldError

_ROOT = re.compile(r"page_(0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Task:
    """From ``start`` to ``goal``; ``length`` is the number of steps on a shortest path, 1 or more."""

    start: str
    goal: str
    length: int

    @property
    def name(self) -> str:
        """The authors' label of a task."""
        return f"From {self.start} to {self.goal}"


def all_tasks(graph: PageGraph, pages: Sequence[str]) -> list[Task]:
    """Every ordered pair of two of ``pages``, starts outermost, in the order given."""
    return [Task(start, goal, graph.distances_to(goal)[start]) for start in pages for goal in pages if start != goal]


def subtree_pages(graph: PageGraph, root: int) -> list[str]:
    """page_0 and the subtree rooted at page_<root>, as the paper names subtrees (1..5)."""
    roots = [page for page, parent in graph.parents.items() if parent == ROOT]
    if f"page_{root}" not in roots:
        raise WorldError(f"no subtree {root}: {ROOT} leads to {', '.join(roots)}; give the number of one of these")
    return graph.subtree(f"page_{root}")


def subtree_of(graph: PageGraph, page: str) -> int:
    """Number of the subtree that holds ``page``; 0 for page_0. Raises WorldError if its root has none."""
    while page != ROOT and graph.parents[page] != ROOT:
        page = graph.parents[page]
    if match := _ROOT.fullmatch(page):
        return int(match[1])
    raise WorldError(f"{page}: is the root of a subtree, which goes by number; rename it to page_N in the structure")
