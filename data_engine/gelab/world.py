"""A world on disk: the graph in the authors' ``ui_structure.json`` schema, its screenshots, and its fingerprint.

    WORLD/ui_structure.json     pages, layout and transitions (the authors' schema; metadata as imported or generated)
    WORLD/pages/page_N.png      one screenshot a page, ``page_size`` pixels
    WORLD/manifest.json         fingerprint, canvas, page size, icon sources, arguments, hashes

The structure has no look in it: theme, captions and cards stand in the manifest's arguments, where they are not the
authors' (``style.Style.of`` reads them). An icon without a transition is a distractor: a click on it opens nothing.
The fingerprint is a hash of graph, layout and pixels. Rows carry it; loading and scoring compare it.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from PIL import Image

from ..dataset import MANIFEST, DataError, read_manifest
from ..folder import NewFolder
from ..geometry import Size
from ..pictures import read_picture
from ..shapes import WorldManifest, manifest_kind
from .structure import dump_structure, from_structure, parse_structure, to_structure
from .style import Style

__all__ = ["KIND", "STRUCTURE", "World", "check_apart", "dump_structure", "fingerprint", "from_structure"]
__all__ += ["hash_pixels", "picture_path", "read_pixels", "to_structure"]

KIND = manifest_kind("gelab-world", WorldManifest)
STRUCTURE = "ui_structure.json"
_AGAIN = "build it again, or get it again where it came from"


def picture_path(page: str) -> str:
    """Path of the screenshot of a page, below its world."""
    return f"pages/{page}.png"


class _Arguments(msgspec.Struct):
    """What a world needs of its manifest's arguments."""

    theme: Literal["light", "dark"] = "light"
    captions: bool = False
    cards: bool = False


class _Manifest(msgspec.Struct):
    """What a world needs of its manifest."""

    arguments: _Arguments
    fingerprint: str
    page_size: tuple[Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(ge=1)]]
    canvas: tuple[int, int]
    icons: dict[str, str]
    files: dict[str, str]


class World:
    """A loaded world: ``graph``, ``page_size``, ``fingerprint``, and screenshots read once and kept.

    ``manifest`` and ``structure`` are its files as they stand on disk.
    """

    def __init__(self, folder: Path):
        """Raises DataError if ``folder`` is no finished world or its structure file was changed."""
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder, KIND)
        try:
            made = msgspec.convert(self.manifest, _Manifest)
        except msgspec.ValidationError as error:
            raise DataError(f"{self.folder / MANIFEST}: {error}; {_AGAIN}") from None
        self._files, where = made.files, str(self.folder / STRUCTURE)
        self.structure: dict[str, Any] = parse_structure(self._read(STRUCTURE), where)
        self.graph = from_structure(self.structure, where)
        self.page_size = Size(*made.page_size)
        self.style = Style.of(self.manifest["arguments"])
        self.fingerprint = made.fingerprint
        self.screenshot = lru_cache(maxsize=None)(self._screenshot)

    def picture(self, page: str) -> Path:
        return self.folder / picture_path(page)

    def check_pictures(self) -> None:
        """Raises DataError at the first screenshot that is missing or was changed."""
        for page in self.graph.pages:
            self._read(picture_path(page))

    def copy(self, folder: NewFolder, below: str) -> None:
        """Copy the world into a new folder, each file proven: its own files, and nothing that lies by them.

        Raises DataError at the first file that is missing, was changed, or is of no page.
        """
        names = [STRUCTURE, *map(picture_path, self.graph.pages)]
        if foreign := sorted(self._files.keys() - set(names)):
            raise DataError(f"{self.folder / MANIFEST}: names {foreign[0]!r}, which is of no page; {_AGAIN}")
        for name in names:
            folder.write(f"{below}/{name}", self._read(name))
        folder.copy(self.folder / MANIFEST, f"{below}/{MANIFEST}")

    def _read(self, name: str) -> bytes:
        """The bytes of a file of the world, proven by its hash. Raises DataError."""
        path = self.folder / name
        if not path.is_file():
            raise DataError(f"{path}: missing or changed after the world was built; {_AGAIN}")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self._files.get(name):
            fault = "was changed" if name == STRUCTURE else "missing or changed"
            raise DataError(f"{path}: {fault} after the world was built; {_AGAIN}")
        return data

    def _screenshot(self, page: str) -> np.ndarray:
        """(height, width, 3) uint8, read-only. Raises DataError if the file is missing or was changed."""
        self._read(picture_path(page))
        pixels = read_pixels(self.picture(page))
        pixels.flags.writeable = False
        return pixels


def read_pixels(path: Path) -> np.ndarray:
    """A picture as (height, width, 3) uint8. Raises FileNotFoundError, and DataError if it is none."""
    return np.array(read_picture(path, "RGB"))


def check_apart(out: Path, source: Path) -> None:
    """Raises DataError if the folder to write and one that is read for it are the same, or one lies in the other."""
    written, read = Path(out).resolve(), Path(source).resolve()
    if written == read or read in written.parents:
        raise DataError(f"{out}: lies inside {source}, which it is made from; choose a folder beside it")
    if written in read.parents:
        raise DataError(f"{out}: holds {source}, which it is made from; choose a folder beside it")


def fingerprint(structure: dict, page_size: Size, pixel_hashes: dict[str, str]) -> str:
    """Hash of graph, layout and pixels; ``pixel_hashes`` has ``hash_pixels`` of every page."""
    text = json.dumps([structure["pages"], page_size, pixel_hashes], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_pixels(pixels: np.ndarray | Image.Image) -> str:
    """Hash of an RGB picture's bytes, row by row."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()
