"""A world folder: its structure, its screenshots against a new drawing, its fingerprint.

Built-in icons are drawn anew and must be there pixel for pixel. Of pictures from a user's folder the files are not at
hand: their boxes must hold something, and all around them (page name, back, home, ground) must be as drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from ...dataset import MANIFEST, DataError
from ...faults import Step, check_files
from ...geometry import Box, Size
from ..graph import BACK, HOME, Element, Page, PageGraph, WorldError
from ..icons import IconSet, builtin_sources
from ..layout import CANVAS, TITLE_BOX
from ..render import Renderer
from ..structure import dump_structure, from_structure, parse_structure
from ..style import Colour
from ..world import STRUCTURE, fingerprint, hash_pixels, picture_path, read_pixels
from .faults import Fault
from .files import WorldManifest, load_manifest

_DRAWN_BY = ("pillow", "fonticon-materialdesignicons7")  # the same versions draw the same pixels
_OTHER_VERSION = 96  # of 255: what another version's smoothing may change of a pixel


@dataclass
class ProvenWorld:
    """What became of the check of a world; ``graph`` is None where it cannot be read."""

    faults: list[Fault]
    graph: PageGraph | None = None
    manifest: WorldManifest | None = None


def check_world(folder: Path, below: str = "", step: Step = lambda: None) -> ProvenWorld:
    """Prove a world. ``below`` is the folder's place in the names of faults: "" or "world/"."""
    manifest = load_manifest(folder, WorldManifest, below)
    if isinstance(manifest, Fault):
        return ProvenWorld([manifest])
    faults = list(check_files(folder, manifest.files, below, fault=Fault))
    try:
        structure = parse_structure((folder / STRUCTURE).read_bytes(), STRUCTURE)
        graph = from_structure(structure, STRUCTURE)
        dump_structure(structure)  # what cannot be written has no fingerprint
    except (OSError, WorldError) as error:
        return ProvenWorld([*faults, Fault(below + STRUCTURE, None, "broken world", str(error))])
    pages = Pages(folder, below, graph, manifest)
    faults += [*pages.manifest_faults(), *pages.faults(step)]
    digest = fingerprint(structure, Size(*manifest.page_size), pages.hashes)
    if digest != manifest.fingerprint:
        what = f"graph, layout and pixels give {digest[:12]}, the manifest says {manifest.fingerprint[:12]}"
        faults.append(Fault(below + MANIFEST, None, "wrong fingerprint", what))
    return ProvenWorld(faults, graph, manifest)


class Pages:
    """The screenshots of one world. ``hashes`` has the pixel hash of every page once ``faults`` is through."""

    def __init__(self, folder: Path, below: str, graph: PageGraph, manifest: WorldManifest):
        self.folder, self.below, self.graph, self.manifest = folder, below, graph, manifest
        self.size = Size(*manifest.page_size)
        self.builtin = set(builtin_sources())
        self.sources = {name: source for name, source in manifest.icons.items() if source in self.builtin}
        self.renderer = Renderer(IconSet(), self.sources, CANVAS, self.size, manifest.arguments.style)
        self.hashes: dict[str, str] = {}

    def manifest_faults(self) -> Iterator[Fault]:
        """Canvas, pages and icons of the manifest are those of the graph."""
        names = {name for name in self.graph.places if name not in (BACK, HOME)}
        pages = {picture_path(page) for page in self.graph.pages}
        icons, files = self.manifest.icons, self.manifest.files
        odd = [f"no picture for {name!r}" for name in names - icons.keys()]
        odd += [f"a picture for {name!r}, which is on no page" for name in icons.keys() - names]
        odd += [f"{source!r} is none of the pictures it was built from" for source in self._unknown_pictures()]
        odd += [f"{name} is no page of the structure" for name in files.keys() - pages - {STRUCTURE}]
        odd += [f"no {name}" for name in pages - files.keys()]
        odd += ["two names have one picture"] * (len(set(icons.values())) < len(icons))
        odd += ["two page sizes"] * (self.manifest.page_size != self.manifest.arguments.page_size)
        odd += [f"the canvas is {self.manifest.canvas}, not {tuple(CANVAS)}"] * (self.manifest.canvas != CANVAS)
        yield from (Fault(self.below + MANIFEST, None, "broken world", what) for what in sorted(odd))

    def _unknown_pictures(self) -> set[str]:
        own = self.manifest.arguments.icons
        return set(self.manifest.icons.values()) - (own.keys() if own else self.builtin)

    def faults(self, step: Step) -> Iterator[Fault]:
        for page in self.graph.pages.values():
            step()
            where, path = self.below + picture_path(page.id), self.folder / picture_path(page.id)
            try:
                pixels = read_pixels(path)
            except FileNotFoundError:
                continue  # the check of files names it
            except (OSError, DataError) as error:
                yield Fault(where, None, "wrong screenshot", str(error).removeprefix(f"{path}: "))
                continue
            self.hashes[page.id] = hash_pixels(pixels)
            yield from (Fault(where, None, kind, what) for kind, what in self._page(page, pixels))

    def _page(self, page: Page, pixels: np.ndarray) -> Iterator[tuple[str, str]]:
        size = Size(pixels.shape[1], pixels.shape[0])
        if size != self.size:
            yield "page size", f"is {size}, the manifest says {self.size}"
            return
        if self.manifest.blank_of:
            if (pixels != pixels[0, 0]).any():
                yield "wrong screenshot", "shows something, the manifest says that it is blank"
            return
        if lost := self.renderer.vanished(page):
            yield "empty box", f"{lost} has no pixel on pages of {size}"
            return
        for element in page.elements:
            if self._is_empty(element, _region(pixels, element.box, self.size)):
                yield "empty box", f"nothing is drawn where {element.name!r} stands"
        yield from self._compare(page, pixels)

    def _is_empty(self, element: Element, region: np.ndarray) -> bool:
        """True if a region is of one colour; where a user's picture may be so itself, of one that lies under it."""
        colours = self.renderer.colours
        under = (colours.ground, colours.card, colours.plate)
        first = tuple(region[0, 0].tolist())
        return bool((region == region[0, 0]).all()) and (self._is_known(element) or first in under)

    def _compare(self, page: Page, pixels: np.ndarray) -> Iterator[tuple[str, str]]:
        """The screenshot against a new drawing, wherever the new drawing knows what should be there."""
        drawn = tuple(filter(self._is_known, page.elements))
        wanted = np.asarray(self.renderer.page(replace(page, elements=drawn)))
        if np.array_equal(pixels, wanted):
            return
        known = np.ones(pixels.shape[:2], bool)
        for element in page.elements:
            if not self._is_known(element):
                _region(known, element.box, self.size)[:] = False
        wrong = self._differs(pixels, wanted) & known
        if not wrong.any():
            return
        shift = self._shift(pixels, wanted, known)
        if shift:
            yield "shifted screenshot", f"everything stands {shift[0]:+} pixels right and {shift[1]:+} pixels down"
        else:
            yield "wrong screenshot", f"is not {page.id}: {', '.join(self._where(page, wrong))} differ"

    def _is_known(self, element: Element) -> bool:
        return element.system or element.name in self.sources

    def _differs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        allowed = 0 if self._same_versions else _OTHER_VERSION
        return (np.abs(a.astype(np.int16) - b) > allowed).any(axis=2)

    @cached_property
    def _same_versions(self) -> bool:
        try:
            return all(self.manifest.versions.get(name) == version(name) for name in _DRAWN_BY)
        except PackageNotFoundError:
            return False

    def _shift(self, pixels: np.ndarray, wanted: np.ndarray, known: np.ndarray) -> tuple[int, int] | None:
        """(dx, dy) if the screenshot is the drawing, moved: guessed from the page name, proven on the whole."""
        bottom = TITLE_BOX.scaled(CANVAS, self.size).y2 * 3 // 2
        ground = self.renderer.colours.ground
        here, there = _corner(pixels[:bottom], ground), _corner(wanted[:bottom], ground)
        if here is None or there is None or here == there:
            return None
        dx, dy = here[0] - there[0], here[1] - there[1]
        moved = np.roll(wanted, (dy, dx), axis=(0, 1))
        compared = known & np.roll(known, (dy, dx), axis=(0, 1))
        still = self._differs(pixels, moved) & compared
        inked = self._differs(wanted, np.full_like(wanted, ground)) & compared
        return (dx, dy) if still.sum() * 10 < inked.sum() else None

    def _where(self, page: Page, wrong: np.ndarray) -> list[str]:
        """What differs, in words."""
        boxes = {"the page name": TITLE_BOX} | {repr(e.name): e.box for e in page.elements}
        names, rest = [], wrong.copy()
        for name, box in boxes.items():
            if _region(wrong, box, self.size).any():
                names.append(name)
            _region(rest, box, self.size)[:] = False
        return names + (["the ground"] if rest.any() else [])


def _region(pixels: np.ndarray, box: Box, size: Size) -> np.ndarray:
    """The part of a picture of ``size`` (a view) that a canvas box covers."""
    x1, y1, x2, y2 = box.scaled(CANVAS, size)
    return pixels[y1:y2, x1:x2]


def _corner(pixels: np.ndarray, ground: Colour) -> tuple[int, int] | None:
    """(x, y) of the first column and row that are not all ground; None for an empty picture."""
    inked = (pixels != ground).any(axis=2)
    return (int(inked.any(axis=0).argmax()), int(inked.any(axis=1).argmax())) if inked.any() else None
