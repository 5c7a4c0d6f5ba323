"""A picture of a world's pages as a tree: page_0 in the middle, a ring a depth, a colour a subtree."""

import math
from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure

from .graph import ROOT, PageGraph
from .ring import ring_places
from .tasks import subtree_of


def draw_topology(graph: PageGraph, path: Path) -> None:
    """The tree as PNG, numbers down to depth 2. `back` and `home` are left out: they stand on nearly every page."""
    places = {page: (depth * math.cos(a), depth * math.sin(a)) for page, (depth, a) in ring_places(graph).items()}
    colours = colormaps["tab10"].colors
    figure = Figure(figsize=(8, 8))
    axes = figure.subplots()
    for child, parent in graph.parents.items():
        axes.plot(*zip(places[parent], places[child], strict=True), color="#bbbbbb", linewidth=0.8, zorder=1)
    for page, (x, y) in places.items():
        depth, colour = graph.pages[page].depth, colours[subtree_of(graph, page) % 10] if page != ROOT else "black"
        axes.scatter([x], [y], s=320 if depth <= 1 else 190 if depth == 2 else 40, color=[colour], zorder=2)
        if depth <= 2:
            number = page.removeprefix("page_")
            axes.annotate(number, (x, y), ha="center", va="center", color="white", fontsize=8, zorder=3)
    axes.set_title(f"{len(graph.pages)} pages, {len(graph.edges)} edges; numbers are page ids, colours subtrees")
    axes.set_aspect("equal")
    axes.axis("off")
    figure.savefig(path, dpi=120, bbox_inches="tight")
