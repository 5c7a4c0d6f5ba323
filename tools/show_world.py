"""Draw a world: ``python tools/show_world.py WORLD --out DIR`` writes topology.png and contact_sheet.png.

The topology has page_0 in the middle, a ring a depth, a colour a subtree; `back` and `home` are left out, since they
stand on nearly every page. The contact sheet shows every screenshot in breadth-first order.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw

from data_engine.dataset import DataError
from data_engine.gelab.graph import ROOT, PageGraph
from data_engine.gelab.tasks import subtree_of
from data_engine.gelab.world import World

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

THUMBNAIL = 112  # pixels, longer side
GAP = 6


def ring_places(graph: PageGraph) -> dict[str, tuple[float, float]]:
    """Page id -> (x, y): the angle shares a circle among leaves, the radius is the depth."""
    children: dict[str, list[str]] = {page: [] for page in graph.pages}
    for child, parent in graph.parents.items():
        children[parent].append(child)
    angles: dict[str, float] = {}
    leaves = [page for page in _depth_first(children, ROOT) if not children[page]]
    for i, page in enumerate(leaves):
        angles[page] = 2 * math.pi * i / len(leaves)
    for page in reversed(list(graph.pages)):  # breadth-first ids: children are placed before their parents
        if children[page]:
            angles[page] = sum(angles[child] for child in children[page]) / len(children[page])
    return {
        page: (graph.pages[page].depth * math.cos(a), graph.pages[page].depth * math.sin(a))
        for page, a in angles.items()
    }


def _depth_first(children: dict[str, list[str]], page: str) -> list[str]:
    return [page] + [below for child in children[page] for below in _depth_first(children, child)]


def draw_topology(graph: PageGraph, path: Path) -> None:
    """The tree of pages, labelled down to depth 2."""
    places = ring_places(graph)
    colours = plt.get_cmap("tab10").colors
    figure, axes = plt.subplots(figsize=(8, 8))
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
    plt.close(figure)


def draw_contact_sheet(world: World, path: Path, columns: int = 0) -> None:
    """All screenshots, small, each under its page's name."""
    pages = list(world.graph.pages)
    columns = columns or math.ceil(math.sqrt(len(pages) * 1.6))
    scale = THUMBNAIL / max(world.page_size)
    width, height = round(world.page_size.width * scale), round(world.page_size.height * scale)
    label = 14
    cell_width, cell_height = width + GAP, height + label + GAP
    rows = math.ceil(len(pages) / columns)
    sheet = Image.new("RGB", (columns * cell_width + GAP, rows * cell_height + GAP), "#dddddd")
    draw = ImageDraw.Draw(sheet)
    for i, page in enumerate(pages):
        x, y = GAP + i % columns * cell_width, GAP + i // columns * cell_height
        draw.text((x, y), page, fill="black")
        thumbnail = Image.fromarray(world.screenshot(page)).resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(thumbnail, (x, y + label))
    sheet.save(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("world", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the two pictures")
    args = parser.parse_args()
    try:
        world = World(args.world)
        args.out.mkdir(parents=True, exist_ok=True)
        draw_topology(world.graph, args.out / "topology.png")
        draw_contact_sheet(world, args.out / "contact_sheet.png")
    except (DataError, OSError, ValueError) as error:
        print(f"show_world: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: topology.png contact_sheet.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
