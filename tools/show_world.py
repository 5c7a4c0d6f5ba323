"""Draw worlds: ``python tools/show_world.py WORLD [WORLD ...] --out DIR [--page PAGE]``

One world: topology.png and contact_sheet.png. The topology has page_0 in the middle, a ring a depth, a colour a
subtree; `back` and `home` are left out, since they stand on nearly every page. The contact sheet shows every screenshot
in breadth-first order. Several worlds: side_by_side.png, one page of each, under the name of its folder.
"""

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from data_engine.cli import Parser, command
from data_engine.dataset import DataError
from data_engine.gelab.graph import ROOT
from data_engine.gelab.topology import draw_topology
from data_engine.gelab.world import World, check_apart

THUMBNAIL, PICTURE = 112, 420  # pixels, longer side: of many pages, of a few
GAP, LABEL = 6, 14


def draw_contact_sheet(world: World, path: Path) -> None:
    """All screenshots, small, each under its page's name."""
    pages = {page: world.screenshot(page) for page in world.graph.pages}
    draw_sheet(pages, path, math.ceil(math.sqrt(len(pages) * 1.6)), THUMBNAIL)


def draw_side_by_side(worlds: list[World], page: str, path: Path) -> None:
    """One page of several worlds, each under the name of its folder, or its path where names are equal.

    Raises DataError if a world does not have the page.
    """
    lacking = [world.folder for world in worlds if page not in world.graph.pages]
    if lacking:
        raise DataError(f"{lacking[0]}: has no {page}; give --page one that all worlds have")
    labels = [world.folder.name for world in worlds]
    if len(set(labels)) < len(worlds):
        labels = [str(world.folder) for world in worlds]
    draw_sheet({label: w.screenshot(page) for label, w in zip(labels, worlds, strict=True)}, path, len(worlds), PICTURE)


def draw_sheet(pictures: dict[str, np.ndarray], path: Path, columns: int, longest: int) -> None:
    """Pictures by label in ``columns``, scaled down so that their longer side has ``longest`` pixels at most."""
    scale = min(1, longest / max(max(pixels.shape[:2]) for pixels in pictures.values()))
    sizes = [(round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)) for pixels in pictures.values()]
    cell_width, cell_height = max(w for w, _ in sizes) + GAP, max(h for _, h in sizes) + LABEL + GAP
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * cell_width + GAP, rows * cell_height + GAP), "#dddddd")
    draw = ImageDraw.Draw(sheet)
    for i, ((label, pixels), size) in enumerate(zip(pictures.items(), sizes, strict=True)):
        x, y = GAP + i % columns * cell_width, GAP + i // columns * cell_height
        draw.text((x, y), label, fill="black")
        sheet.paste(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), (x, y + LABEL))
    sheet.save(path, optimize=True)


def draw(worlds: list[World], page: str, out: Path) -> list[str]:
    """Draw into the folder ``out``, apart from the worlds; returns the names of the files. Raises DataError."""
    for world in worlds:
        check_apart(out, world.folder)
    out.mkdir(parents=True, exist_ok=True)
    if len(worlds) > 1:
        draw_side_by_side(worlds, page, out / "side_by_side.png")
        return ["side_by_side.png"]
    draw_topology(worlds[0].graph, out / "topology.png")
    draw_contact_sheet(worlds[0], out / "contact_sheet.png")
    return ["topology.png", "contact_sheet.png"]


@command("show_world")
def main() -> None:
    parser = Parser(__doc__, "python tools/show_world.py worlds/base --out pictures")
    parser.add_argument("worlds", type=Path, nargs="+", metavar="WORLD", help="worlds to draw")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--page", default=ROOT, help="the page to show of several worlds")
    args = parser.parse_args()
    names = draw([World(folder) for folder in args.worlds], args.page, args.out)
    print(f"{args.out}: {' '.join(names)}")


if __name__ == "__main__":
    sys.exit(main())
