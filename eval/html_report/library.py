"""Worlds and rows that scores were made with, found by their manifests, wherever they lie."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from data_engine.benchmarks import BENCHMARKS
from data_engine.dataset import MANIFEST, DataError, read_manifest
from data_engine.foreign import read_object

from .score import LeftOut, Score

World = TypeVar("World")
WORLDS = {benchmark.world_kind for benchmark in BENCHMARKS if benchmark.world_kind}  # kinds of manifests
ROWS = {benchmark.rows_kind for benchmark in BENCHMARKS}


class Record(msgspec.Struct):
    """A run.json or a manifest, of whatever kind."""

    kind: str


class Library:
    """Worlds and rows below some folders, by the fingerprint that scores carry."""

    def __init__(self, folders: list[Path], left: LeftOut):
        self._worlds: dict[str, Path] = {}
        self._rows: dict[tuple[str, str], tuple[Path, dict]] = {}
        self._open: dict = {}
        for path, manifest in (item for folder in folders for item in _manifests(folder, left)):
            if manifest["kind"] in WORLDS:
                self._worlds.setdefault(manifest["fingerprint"], path.parent)
                continue
            for name, digest in manifest["files"].items():
                if name.endswith(".jsonl"):
                    self._rows.setdefault((name, digest), (path.parent, manifest))

    def world(self, score: Score, opened: Callable[[Path], World]) -> World | None:
        """The world that a score was made in, opened once."""
        fingerprint = score.run["data"].get("fingerprint")
        if fingerprint not in self._open and fingerprint in self._worlds:
            self._open[fingerprint] = opened(self._worlds[fingerprint])
        return self._open.get(fingerprint)

    def rows(self, score: Score) -> tuple[Path, dict] | None:
        """(folder, manifest) of the very data file that a score names, by its hash."""
        return self._rows.get((score.run["data"]["name"], score.run["data"].get("sha256")))


def _manifests(folder: Path, left: LeftOut) -> Iterator[tuple[Path, dict]]:
    """Manifests of worlds and rows; those of other programs are passed over."""
    for path in sorted(folder.rglob(MANIFEST)):
        try:
            kind = read_object(path, Record)["kind"]
        except DataError:
            continue  # ours are written whole
        if kind in WORLDS | ROWS:
            manifests = []
            with left.part():
                manifests.append((path, read_manifest(path.parent, kind)))
            yield from manifests
