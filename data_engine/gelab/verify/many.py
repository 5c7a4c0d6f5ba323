"""A folder of many worlds: each of them. A folder of rows over many worlds: each world, split, row, Parquet file."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice, zip_longest
from pathlib import Path

from ...dataset import MANIFEST, DataError, sha256
from ...faults import Report, Step, check_files
from ..build_many import KIND as WORLDS_KIND
from ..graph import PageGraph
from ..parquet import pyarrow, read_parquet
from ..write_many import KIND as ROWS_KIND
from ..write_many import SPLITS
from .faults import Fault
from .files import ManyRowsManifest, WorldsManifest, load_manifest, stale
from .lines import RowLines
from .pages import check_world
from .rows import RowChecker
from .text import StepRow

MANY_KINDS = (WORLDS_KIND, ROWS_KIND)
_PICTURE = re.compile(r"worlds/(\d+)/pages/page_\d+\.png")
Done = Callable[[str, int], None]


def check_many(folder: Path, kind: str, limit: int | None, done: Done, step: Step) -> Report:
    """Prove a folder of one of ``MANY_KINDS``; ``limit``: the first worlds, or the first rows of each file."""
    manifest = load_manifest(folder, WorldsManifest if kind == WORLDS_KIND else ManyRowsManifest)
    if isinstance(manifest, Fault):
        return Report(faults=[manifest])
    report = Report()
    check = _check_worlds if kind == WORLDS_KIND else _check_rows
    report.faults += check(folder, manifest, limit, report.checked, done, step)
    report.faults = list(dict.fromkeys(report.faults))  # a page's hash stands in two manifests
    return report


def _check_worlds(
    folder: Path, manifest: WorldsManifest, limit: int | None, checked: dict[str, int], done: Done, step: Step
) -> Iterator[Fault]:
    there = {path.name for path in folder.iterdir()} - {MANIFEST}
    for name in sorted(there - manifest.worlds.keys()):
        yield Fault(name, None, "extra file", "the manifest does not have it")
    pages = 0
    for name, made in islice(manifest.worlds.items(), limit):
        if not (folder / name / MANIFEST).is_file():
            yield Fault(name, None, "missing file", "the manifest has this world")
            continue
        if sha256(folder / name / MANIFEST) != made.manifest:
            yield Fault(f"{name}/{MANIFEST}", None, "edited file", "was changed after it was written")
        graph, faults = _world(folder / name, f"{name}/", made.fingerprint, step)
        yield from faults
        pages += len(graph.pages) if graph else 0
    checked["*/pages"] = pages
    done("*/pages", pages)


def _world(folder: Path, below: str, fingerprint: str, step: Step) -> tuple[PageGraph | None, list[Fault]]:
    """The graph of a world of this fingerprint, and what is wrong with the world."""
    world = check_world(folder, below, step)
    if world.manifest and world.manifest.fingerprint != fingerprint:
        what = f"is world {world.manifest.fingerprint[:12]}, the manifest above says {fingerprint[:12]}"
        world.faults.append(Fault(below + MANIFEST, None, "other world", what))
    return world.graph, world.faults


def _check_rows(
    folder: Path, manifest: ManyRowsManifest, limit: int | None, checked: dict[str, int], done: Done, step: Step
) -> Iterator[Fault]:
    worlds = manifest.split.train | manifest.split.eval
    own = frozenset(f"worlds/{name}/{MANIFEST}" for name in worlds)
    yield from check_files(folder, manifest.files, ignore=own, fault=Fault)
    yield from (Fault(MANIFEST, None, *fault) for fault in [*stale(manifest), *_shared(manifest)])
    for split in SPLITS:
        name = f"{split}.jsonl"
        if not (folder / name).is_file():
            continue  # the check of files names it
        file = _SplitFile(folder, split, manifest, limit, step)
        yield from file.faults()
        checked[name] = file.checked
        done(name, file.checked)
        if (folder / f"{split}.parquet").is_file():
            faults, same = _parquet(folder, split, limit)
            yield from faults
            checked[f"{split}.parquet"] = same
            done(f"{split}.parquet", same)


def _shared(manifest: ManyRowsManifest) -> Iterator[tuple[str, str]]:
    """Files that must be, and worlds that stand in both splits, by name or by content."""
    wanted = {f"{split}.jsonl" for split in SPLITS}
    wanted |= {f"{split}.parquet" for split in SPLITS if manifest.arguments.parquet}
    yield from (("broken manifest", f"has no {name}") for name in sorted(wanted - manifest.files.keys()))
    trained = set(manifest.split.train) | set(manifest.split.train.values())
    for name, fingerprint in manifest.split.eval.items():
        if {name, fingerprint} & trained:
            yield "wrong split", f"world {name} of eval is one of train, too"


class _SplitFile(RowLines):
    """One file of rows, which lie together world by world."""

    def __init__(self, folder: Path, split: str, manifest: ManyRowsManifest, limit: int | None, step: Step):
        super().__init__(folder / f"{split}.jsonl", StepRow, manifest, limit, step)
        self.folder, self.split, self.worlds = folder, split, getattr(manifest.split, split)
        self.world, self.checker, self.seen, self.planned = "", None, set(), 0

    def faults(self) -> list[Fault]:
        faults = [*self.lines(), *self._close()]
        if self.whole and not faults:
            faults += self._counts()
        elif self.total != self.manifest.rows.get(self.name):
            stated = self.manifest.rows.get(self.name, 0)
            faults.append(self.count(f"{self.total:,} rows, the manifest says {stated:,}"))
        return faults

    def check(self, row: StepRow) -> Iterator[Fault]:
        match = _PICTURE.fullmatch(row.images[0]) if row.images else None
        if not match or match[1] not in self.worlds:
            what = f"shows {row.images[:1]}, no page of a world of {self.split}"
            yield Fault(self.name, self.total, "wrong image", what)
            return
        if match[1] != self.world:
            yield from self._close()
            yield from self._open(match[1])
        if self.checker:
            yield from self.against(self.checker, row)

    def _open(self, name: str) -> Iterator[Fault]:
        self.world, self.checker = name, None
        if name in self.seen:
            yield Fault(self.name, self.total, "row order", f"the rows of world {name} do not lie together")
            return
        self.seen.add(name)
        graph, faults = _world(self.folder / "worlds" / name, f"worlds/{name}/", self.worlds[name], self.step)
        yield from faults
        if graph:
            clicks, pages = self.manifest.arguments.clicks, [set(graph.pages)]
            self.checker = RowChecker({f"worlds/{name}": graph}, clicks, pages, rl=False)

    def _close(self) -> Iterator[Fault]:
        """The world's rows are through: its tasks are as many as there must be, each with all of its steps."""
        if not self.checker:
            return
        graph, steps = self.checker.graph, self.checker.steps
        pairs = len(graph.pages) * (len(graph.pages) - 1)
        tasks = {(start, goal) for _, start, goal, _ in steps}
        wanted = sum(graph.distances_to(goal)[start] + 1 for start, goal in tasks)
        self.planned += wanted
        self.planned += (len(graph.edges) + 2 * len(graph.places)) if self.split == "train" else 0
        if self.whole and (len(tasks), len(steps)) != (min(self.manifest.arguments.tasks_per_world, pairs), wanted):
            what = f"world {self.world}: {len(steps):,} steps of {len(tasks):,} tasks, {wanted:,} are in the world"
            yield self.count(what)

    def _counts(self) -> Iterator[Fault]:
        """Lines, manifest and worlds agree."""
        yield from self.counts(self.planned, "the worlds give")
        if missing := self.worlds.keys() - self.seen:
            yield self.count(f"no row of world {min(missing)} ({len(missing)} such worlds)")


def _parquet(folder: Path, split: str, limit: int | None) -> tuple[list[Fault], int]:
    """(faults, equal rows) of a Parquet file against the proven JSON lines: each row, each screenshot byte for byte."""
    name, same = f"{split}.parquet", 0
    pyarrow()  # where it is missing, that is no fault of the file
    try:
        with open(folder / f"{split}.jsonl", "rb") as lines:
            for number, (line, row) in enumerate(zip_longest(lines, read_parquet(folder / name)), 1):
                if limit is not None and number > limit:
                    break
                if line is None or row is None or row != _embedded(folder, json.loads(line)):
                    what = f"row {number} is not line {number} of {split}.jsonl"
                    return [Fault(name, None, "wrong parquet", what)], same
                same = number
    except (DataError, ValueError) as error:
        return [Fault(name, None, "wrong parquet", str(error))], same
    return [], same


def _embedded(folder: Path, row: dict) -> dict:
    """A row as its Parquet file must hold it. A picture that is not there equals none."""
    paths = [folder / name for name in row["images"]]
    pictures = [path.read_bytes() if path.is_file() else None for path in paths]
    return row | {"images": [{"bytes": b, "path": name} for b, name in zip(pictures, row["images"], strict=True)]}
