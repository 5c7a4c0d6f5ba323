"""A folder of form episodes: manifest, hashes, counts, and every episode in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ...dataset import MANIFEST, DataError
from ...faults import UNREADABLE, Report, Step, check_files
from .. import prompts
from ..tasks import Task, options_of, tasks
from ..write import ROWS, TASKS, fingerprint
from .episode import Faults, Replay, Row, TaskRow, layout_faults
from .faults import Fault


class Arguments(msgspec.Struct):
    """What decides the folder."""

    scenario: str
    mode: str
    protocol: str
    episodes: int
    seed: int
    split: str
    page_size: tuple[int, int]
    system: bool


class Manifest(msgspec.Struct):
    """What data_engine.login.write writes beside the rows."""

    kind: Literal["login-rows"]
    arguments: Arguments
    fingerprint: str
    prompt_sha256: str
    page_size: tuple[int, int]
    max_pixels: int
    rows: dict[str, int]
    files: dict[str, str]


def verify(
    folder: Path,
    limit: int | None = None,
    done: Callable[[str, int], None] = lambda name, rows: None,
    step: Step = lambda: None,
) -> Report:
    """Prove a folder (``limit``: the first rows alone); calls ``done`` after each file."""
    report = Report()
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        expected = tasks(options_of(msgspec.to_builtins(manifest.arguments)))
    except (*UNREADABLE, DataError) as error:
        report.faults.append(Fault(MANIFEST, None, "broken manifest", str(error)))
        return report
    report.faults += check_files(folder, manifest.files, fault=Fault)
    report.faults += [Fault(MANIFEST, None, *fault) for fault in _manifest_faults(manifest)]
    file = Folder(folder, manifest, expected, limit, step)
    for name, faults in (TASKS, file.task_faults), (ROWS, file.row_faults):
        if (folder / name).is_file():
            report.faults += faults()
            report.checked[name] = file.checked[name]
            done(name, file.checked[name])
    report.faults += [Fault(*where) for where in file.lost()]
    return report


def _manifest_faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if manifest.prompt_sha256 != prompts.sha256():
        yield "other prompts", f"prompt_sha256 {manifest.prompt_sha256[:12]}, here it is {prompts.sha256()[:12]}"
    width, height = manifest.page_size
    if manifest.page_size != manifest.arguments.page_size or manifest.max_pixels != width * height:
        yield "page size", f"{manifest.page_size}, {manifest.arguments.page_size} and {manifest.max_pixels} disagree"
    digest = fingerprint(manifest.files)
    if digest != manifest.fingerprint:
        yield "wrong fingerprint", f"the files give {digest[:12]}, the manifest says {manifest.fingerprint[:12]}"


class Folder:
    """The two files of a folder. ``checked`` counts the lines that were read as rows, or tried."""

    def __init__(self, folder: Path, manifest: Manifest, expected: list[Task], limit: int | None, step: Step):
        self.folder, self.manifest, self.expected, self.limit, self.step = folder, manifest, expected, limit, step
        self.checked = {TASKS: 0, ROWS: 0}
        self.replays = {task.key: Replay(folder, task, manifest.arguments.system) for task in expected}

    def task_faults(self) -> Iterator[Fault]:
        for line, row in self._rows(TASKS, TaskRow):
            yield from [row] if isinstance(row, Fault) else self._named(TASKS, line, self._task(line, row))
        yield from self._count(TASKS, len(self.expected))

    def _task(self, line: int, row: TaskRow) -> Faults:
        faults = [("row order", f"idx is {row.idx}, not {line - 1}")] if row.idx != line - 1 else []
        replay = self.replays.get(row.episode)
        if replay is None or replay.task.index != row.idx:
            return [*faults, ("wrong column", f"{row.episode!r} is not the episode of this line")]
        if row.form != replay.task.form:
            faults.append(("other form", f"the arguments give {row.episode} another form"))
        hard = self.manifest.arguments.protocol == "hard"
        return faults + (layout_faults(row.form) if hard else []) + replay.check_task(row)

    def row_faults(self) -> Iterator[Fault]:
        for line, row in self._rows(ROWS, Row):
            if isinstance(row, Fault):
                yield row
                continue
            faults = [("row order", f"idx is {row.idx}, not {line - 1}")] if row.idx != line - 1 else []
            replay = self.replays.get(row.episode)
            faults += (
                replay.check(row) if replay else [("wrong column", f"{row.episode!r} is no episode of this folder")]
            )
            yield from self._named(ROWS, line, faults)
        wait = any(replay.rules.as_published for replay in self.replays.values())
        yield from self._count(ROWS, sum(task.steps + wait for task in self.expected))

    def lost(self) -> Iterator[tuple]:
        """Episodes whose rows do not reach the end; with ``limit`` they need not."""
        if self.limit is None:
            for replay in self.replays.values():
                yield from ((ROWS, None, *fault) for fault in replay.ended())

    def _rows(self, name: str, kind: type) -> Iterator[tuple]:
        decoder = msgspec.json.Decoder(kind)
        with open(self.folder / name, "rb") as file:
            for line, text in enumerate(file, 1):
                if self.limit is not None and line > self.limit:
                    return
                self.checked[name] = line
                self.step()
                try:
                    yield line, decoder.decode(text)
                except msgspec.ValidationError as error:
                    yield line, Fault(name, line, "wrong column", str(error))
                except UNREADABLE as error:
                    yield line, Fault(name, line, "broken line", str(error))

    def _count(self, name: str, wanted: int) -> Iterator[Fault]:
        stated, there = self.manifest.rows.get(name), self.checked[name]
        if self.limit is None and not stated == there == wanted:
            yield Fault(
                name, None, "row count", f"{there:,} rows, the manifest says {stated}, the arguments give {wanted:,}"
            )

    @staticmethod
    def _named(name: str, line: int, faults: Faults) -> Iterator[Fault]:
        yield from (Fault(name, line, *fault) for fault in faults)
