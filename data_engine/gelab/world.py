"""A world on disk: the graph in the authors' ``ui_structure.json`` schema, its screenshots, and its fingerprint.

    WORLD/ui_structure.json     pages, layout and transitions (the authors' schema; metadata as imported or generated)
    WORLD/pages/page_N.png      one screenshot a page, ``page_size`` pixels (page_N+1.png: scrolled down once)
    WORLD/manifest.json         fingerprint, canvas, page size, icon sources, arguments, hashes

The structure has no look in it: theme, captions and cards stand in the manifest's arguments, where they are not the
authors' (``style.Style.of`` reads them). An icon without a transition is a distractor: a click on it opens nothing.
So does ``scroll``, the half screens by which pages are taller than the screen; boxes are then those of the whole page.
The fingerprint is a hash of graph, layout and pixels. Rows carry it; loading and scoring compare it.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..dataset import DataError, read_json, read_manifest, sha256
from ..geometry import Box, Size
from .actions import space_of
from .graph import Element, Page, PageGraph, WorldError, check
from .layout import CANVAS
from .style import Style

KIND = "gelab-world"
STRUCTURE = "ui_structure.json"


def picture_path(page: str) -> str:
    """Path of the screenshot of a page, or of one of its screens, below its world."""
    return f"pages/{page}.png"


class World:
    """A loaded world: ``graph``, ``page_size``, ``fingerprint``, and screenshots read once and kept."""

    def __init__(self, folder: Path):
        """Raises DataError if ``folder`` is no finished world or its structure file was changed."""
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder, KIND)
        if sha256(self.folder / STRUCTURE) != self.manifest["files"].get(STRUCTURE):
            raise DataError(f"{self.folder / STRUCTURE}: was changed after the world was built; build it again")
        scroll = self.manifest["arguments"].get("scroll", 0)
        self.graph = from_structure(read_json(self.folder / STRUCTURE), str(self.folder / STRUCTURE), scroll)
        self.page_size = Size(*self.manifest["page_size"])
        self.style = Style.of(self.manifest["arguments"])
        self.fingerprint: str = self.manifest["fingerprint"]
        self.screenshot = lru_cache(maxsize=None)(self._screenshot)

    @property
    def space(self) -> str:
        """The action space of its agents."""
        return space_of(self.graph.scroll)

    def picture(self, page: str) -> Path:
        return self.folder / picture_path(page)

    def check_pictures(self) -> None:
        """Raises DataError at the first screenshot that is missing or was changed."""
        for page in self.graph.screens:
            self._checked_picture(page)

    def _checked_picture(self, page: str) -> Path:
        path = self.picture(page)
        if not path.is_file() or sha256(path) != self.manifest["files"].get(picture_path(page)):
            raise DataError(f"{path}: missing or changed after the world was built; build it again")
        return path

    def _screenshot(self, page: str) -> np.ndarray:
        """(height, width, 3) uint8, read-only. Raises DataError if the file is missing or was changed."""
        pixels = read_pixels(self._checked_picture(page))
        pixels.flags.writeable = False
        return pixels


def read_pixels(path: Path) -> np.ndarray:
    """A picture as (height, width, 3) uint8."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def fingerprint(structure: dict, page_size: Size, pixel_hashes: dict[str, str]) -> str:
    """Hash of graph, layout and pixels; ``pixel_hashes`` has ``hash_pixels`` of every page."""
    said = json.dumps([structure["pages"], page_size, pixel_hashes], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()


def hash_pixels(pixels: np.ndarray | Image.Image) -> str:
    """Hash of an RGB picture's bytes, row by row."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def to_structure(graph: PageGraph, metadata: dict[str, Any]) -> dict:
    """The authors' ``ui_structure.json`` for a graph."""
    return {"pages": {page.id: _page_record(page) for page in graph.pages.values()}, "metadata": metadata}


def _page_record(page: Page) -> dict:
    kinds = {True: "system", False: "normal"}
    return {
        "image": f"{page.id}.png",
        "depth": page.depth,
        "layout": {e.name: {"bbox": list(e.box), "type": kinds[e.system]} for e in page.elements},
        "transitions": [
            {"action": e.name, "target_page": e.target, "icon_bbox": list(e.box)} for e in page.elements if e.target
        ],
    }


def from_structure(structure: dict, where: str, scroll: int = 0) -> PageGraph:
    """The graph of a ``ui_structure.json``, its pages ``scroll`` half screens taller than the screen.

    Raises WorldError naming file, page and fault.
    """
    pages = {}
    if not isinstance(structure, dict) or not isinstance(structure.get("pages"), dict):
        raise WorldError(f"{where}: no object 'pages'; not GE-Lab's schema")
    for name, record in structure["pages"].items():
        try:
            pages[name] = _read_page(name, record)
        except (KeyError, TypeError, ValueError) as fault:
            raise WorldError(f"{where}: {name}: {type(fault).__name__} {fault}; not GE-Lab's schema") from None
    return check(PageGraph(pages, CANVAS, scroll), where)


def _read_page(name: str, record: dict) -> Page:
    targets = {t["action"]: t["target_page"] for t in record["transitions"]}
    if not all(isinstance(target, str) for target in targets.values()):
        raise TypeError("a target_page is no text")
    unplaced = set(targets) - set(record["layout"])
    if unplaced:
        raise ValueError(f"transition {sorted(unplaced)[0]!r} has no place in the layout")
    elements = tuple(
        Element(icon, Box(*map(int, place["bbox"])), targets.get(icon)) for icon, place in record["layout"].items()
    )
    return Page(name, record["depth"], elements)


def dump_structure(structure: dict) -> str:
    """The text of ``ui_structure.json``, spaced as the authors space it."""
    return json.dumps(structure, indent=2, ensure_ascii=False)
