"""Placements of a world: the same pages, names and transitions, and icons that stand elsewhere on the authors' grid.

On fixed places an agent can click from memory. The protocol ``hard`` shows each episode on one of several placements.
Of the slots of the grid each icon has one half in training and the other in evaluation, so no icon is ever evaluated
where it was trained: what is known by heart clicks nothing right.

    DATA/placements/train_0 ..    worlds like any other, for the rows that train
    DATA/placements/eval_0 ..     and for evaluation
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..dataset import MANIFEST, DataError, write_manifest
from ..folder import NewFolder
from ..geometry import Box
from ..seeds import rng
from .build import picture_hashes, write_world
from .failures import shown_on
from .graph import Page, PageGraph, WorldError
from .icons import IconSet
from .layout import LAYOUTS, layout_of
from .render import Renderer
from .rows import Placement
from .structure import to_structure
from .vary import check_pictures
from .world import KIND, World

SPLITS = ("train", "eval")
GRID = LAYOUTS["grid"].slots
_PATH = re.compile(r"placements/(?:train|eval)_[0-9]+")


def split_counts(placements: int) -> dict[str, int]:
    """Split -> how many placements it has, where training has ``placements``; evaluation has a quarter as many."""
    return {"train": placements, "eval": max(1, placements // 4)}


def names(split: str, count: int) -> list[str]:
    """The paths of the placements of a split, below the folder of rows."""
    return [f"placements/{split}_{number}" for number in range(count)]


def opened(data: Path, path: str) -> World:
    """The placement at ``path`` below a folder of rows. Raises DataError if there is none."""
    if not _PATH.fullmatch(path):
        raise DataError(f"{data}: {path!r} is no path of a placement; write the rows again")
    return World(data / path)


def shown_world(world: World, data: Path, row: dict) -> World:
    """What a row or a trajectory shows: the world itself, or a placement below the folder of rows. Raises DataError."""
    path = shown_on(row)
    return world if path == "world" else opened(data, path)


def halves(page: Page, seed: int) -> dict[str, dict[str, set[Box]]]:
    """Icon of a page -> split -> the slots where it may stand; the two splits share none."""
    slots = {}
    for element in page.elements:
        if not element.system:
            order = [GRID[i] for i in rng(seed, "halves", page.id, element.name).permutation(len(GRID))]
            slots[element.name] = dict(zip(SPLITS, (set(order[::2]), set(order[1::2])), strict=True))
    return slots


def placed(graph: PageGraph, slots: dict[str, dict], seed: int, split: str, number: int) -> PageGraph:
    """The graph with every icon on a slot of its half, drawn anew for each ``number``; `back` and `home` stay.

    ``slots``: page id -> its ``halves``.
    """

    def place(page: Page) -> Page:
        generator = rng(seed, "placement", split, number, page.id)
        own, boxes = slots[page.id], {}
        for i in generator.permutation(len(own)):
            name = list(own)[i]
            free = [slot for slot in GRID if slot in own[name][split] and slot not in boxes.values()]
            boxes[name] = free[generator.integers(len(free))]
        return replace(page, elements=tuple(replace(e, box=boxes.get(e.name, e.box)) for e in page.elements))

    return PageGraph({name: place(page) for name, page in graph.pages.items()}, graph.canvas)


def check_grid(world: World) -> None:
    """Raises WorldError unless all icons stand on the authors' grid, with room to be placed elsewhere."""
    if layout_of(world.graph) is not LAYOUTS["grid"]:
        raise WorldError(
            f"--protocol hard: the icons of {world.folder} do not stand on the grid; build with --layout grid"
        )
    most = max(sum(not e.system for e in page.elements) for page in world.graph.pages.values())
    if most > len(GRID) // len(SPLITS):
        raise WorldError(f"--protocol hard: {most} icons on a page, at most {len(GRID) // 2} can change places")


def write_placements(
    folder: NewFolder, world: World, placements: int, seed: int, icons: Path | None = None, workers: int = 1
) -> tuple[dict[str, list[Placement]], dict[str, str]]:
    """Draw ``placements`` for training, and those for evaluation; returns them by split, and path -> fingerprint."""
    icon_set = IconSet(icons)
    check_pictures(world, icon_set)
    slots = {page.id: halves(page, seed) for page in world.graph.pages.values()}
    made, prints = {}, {}
    for split, count in split_counts(placements).items():
        made[split] = []
        for number, below in enumerate(names(split, count)):
            graph = placed(world.graph, slots, seed, split, number)
            arguments = {"placement": [split, number], "base": world.fingerprint, "seed": seed}
            arguments |= {"page_size": list(world.page_size), "icons": picture_hashes(icon_set)}
            renderer = Renderer(icon_set, world.manifest["icons"], graph.canvas, world.page_size, world.style)
            prints[below] = _write(folder, below, graph, renderer, arguments | world.style.arguments(), workers)
            made[split].append(Placement(graph, below))
    return made, prints


def _write(folder: NewFolder, below: str, graph: PageGraph, renderer: Renderer, arguments: dict, workers: int) -> str:
    """Write a placement as a world below a new folder; returns its fingerprint."""
    inner = NewFolder(folder.path / below)
    inner.path.mkdir(parents=True)
    fields = write_world(inner, to_structure(graph, {}), renderer, workers)
    write_manifest(inner.path, KIND, arguments, inner.hashes, **fields)
    for name, digest in inner.hashes.items():
        folder.add(f"{below}/{name}", digest)
    folder.add(f"{below}/{MANIFEST}")
    return fields["fingerprint"]


def shared_places(graphs: dict[str, list[PageGraph]]) -> Iterator[str]:
    """Icons that stand at one place in a placement of each split."""
    places = {
        split: {
            (p.id, e.name, e.box)
            for graph in of_split
            for p in graph.pages.values()
            for e in p.elements
            if not e.system
        }
        for split, of_split in graphs.items()
    }
    for page, name, _ in sorted(set.intersection(*places.values())):
        yield f"{name!r} on {page} stands at one place in training and evaluation"
