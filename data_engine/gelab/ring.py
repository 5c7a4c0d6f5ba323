"""The tree of pages around its root, as pictures of it are drawn."""

import math

from .graph import ROOT, PageGraph


def ring_places(graph: PageGraph) -> dict[str, tuple[int, float]]:
    """Page id -> (depth, angle in radians): leaves at equal angles, a page in the middle of those below it."""
    children = graph.children
    angles: dict[str, float] = {}
    leaves = [page for page in _depth_first(children, ROOT) if not children[page]]
    for i, page in enumerate(leaves):
        angles[page] = 2 * math.pi * i / len(leaves)
    for page in reversed(list(graph.pages)):  # breadth-first ids: children are placed before their parents
        if children[page]:
            angles[page] = sum(angles[child] for child in children[page]) / len(children[page])
    return {page: (graph.pages[page].depth, angle) for page, angle in angles.items()}


def _depth_first(children: dict[str, list[str]], page: str) -> list[str]:
    order, left = [], [page]
    while left:
        order.append(left.pop())
        left += reversed(children[order[-1]])
    return order
