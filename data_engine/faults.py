"""Faults of a written folder, each with its fix, and what the proofs of all benchmarks share."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import msgspec

from .dataset import MANIFEST, sha256

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what a reader of JSON may raise
Step = Callable[[], object]  # called after each page and each row that was looked at
_AGAIN = "write the folder again"
FILE_KINDS = {
    "broken manifest": _AGAIN,
    "missing file": _AGAIN,
    "extra file": "keep it elsewhere",
    "edited file": _AGAIN,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. ``file`` is relative to the folder, ``line`` counts from 1 (None: the whole file).

    Each benchmark has a subclass whose ``KINDS`` gives the fix of each kind.
    """

    KINDS: ClassVar[dict[str, str]] = FILE_KINDS

    file: str
    line: int | None
    kind: str
    what: str

    @property
    def fix(self) -> str:
        return self.KINDS[self.kind]

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.kind}: {' '.join(self.what.splitlines())}; {self.fix}"


@dataclass
class Report:
    """``checked``: file -> rows proven or found wrong (for a world: pages). ``faults``: all that were found."""

    checked: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def kinds(self) -> Counter:
        return Counter(fault.kind for fault in self.faults)


def check_files(
    folder: Path,
    files: dict[str, str],
    below: str = "",
    ignore: frozenset[str] = frozenset(),
    fault: type[Fault] = Fault,
) -> Iterator[Fault]:
    """Yield the files that are missing, extra or not of the hash that the manifest has."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files.keys() - there):
        yield fault(below + name, None, "missing file", "the manifest has it")
    for name in sorted(there - files.keys() - ignore - {MANIFEST}):
        yield fault(below + name, None, "extra file", "the manifest does not have it")
    for name in sorted(files.keys() & there):
        if sha256(folder / name) != files[name]:
            yield fault(below + name, None, "edited file", "was changed after it was written")
