"""A file of rows, line by line: what a file over one world and one over many have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from ...faults import UNREADABLE, Step
from .faults import Fault
from .files import Written
from .rows import RowChecker
from .text import EpisodeRow, StepRow, TaskRow

Row = TypeVar("Row", StepRow, EpisodeRow, TaskRow)


class RowLines(ABC):
    """Reads the rows of a file; a subclass says in ``check`` what is wrong with one.

    ``total`` counts the lines, ``checked`` those that were read as rows, or tried.
    """

    def __init__(self, path: Path, shape: type[Row], manifest: Written, limit: int | None, step: Step):
        self.path, self.name, self.manifest, self.limit, self.step = path, path.name, manifest, limit, step
        self.decode = msgspec.json.Decoder(shape).decode
        self.checked = self.total = self.next_idx = 0

    @property
    def whole(self) -> bool:
        """True where ``limit`` lets all lines be read."""
        return self.limit is None or self.total <= self.limit

    def lines(self) -> Iterator[Fault]:
        with open(self.path, "rb") as file:
            for self.total, line in enumerate(file, 1):  # noqa: B007
                if self.whole:
                    self.checked = self.total
                    self.step()
                    yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[Fault]:
        try:
            row = self.decode(line)
        except UNREADABLE as error:
            self.next_idx += 1
            kind = "wrong column" if isinstance(error, msgspec.ValidationError) else "broken line"
            yield Fault(self.name, self.total, kind, str(error))
        else:
            yield from self.check(row)
            self.next_idx = row.idx + 1

    @abstractmethod
    def check(self, row: Row) -> Iterator[Fault]:
        """What is wrong with a row."""

    def against(self, checker: RowChecker, row: Row) -> Iterator[Fault]:
        """The faults of a row against its world."""
        checker.next_idx = self.next_idx
        yield from (Fault(self.name, self.total, *fault) for fault in checker.check(row, self.total))

    def count(self, what: str) -> Fault:
        return Fault(self.name, None, "row count", what)

    def counts(self, planned: int, planner: str) -> Iterator[Fault]:
        """Lines, manifest and the rows that are planned (``planner`` says by what) agree."""
        stated, merged = self.manifest.rows.get(self.name, 0), self.manifest.merged.get(self.name, 0)
        if self.total != stated:
            yield self.count(f"{self.total:,} rows, the manifest says {stated:,}")
        if stated + merged != planned or (merged and self.manifest.arguments.clicks == "uniform"):
            yield self.count(f"{stated:,} rows and {merged:,} merged in the manifest, {planner} {planned:,}")
