"""What the page of a run shows of each benchmark: one module each, with all that ``Reporter`` names."""

from collections.abc import Sequence
from typing import Any, Protocol

from . import gelab, login
from .diagnosis import Walk
from .library import Library
from .pictures import Pictures
from .score import Score


class Reporter(Protocol):
    """The parts of such a module."""

    SHAPES: dict[str, type]
    """Kind of a score -> shape of its metrics.json, as far as it is shown"""
    HEADINGS: dict[str, str]
    """Columns of the table, and other words on the page -> what they mean"""
    PARTNERS: tuple[str, ...]
    """Agents without a model that scores should stand beside, and that are scored on their own"""
    NOTE: str
    """What the charts need to be understood"""
    ASKED: Sequence[str]
    """What may be due, for the table of actions"""
    DONE: Sequence[str]
    """What may be done there"""

    def metrics(self, score: Score) -> dict:
        """All numbers that are shown of a score, of the answers so far while it runs. Raises DataError."""

    def values(self, scores: list[Score]) -> tuple[list[dict], dict[str, list]]:
        """The table: columns ``{"set", "name"}``; agent -> a fraction 0..1 or None for each."""

    def chart(self, score: Score) -> tuple[str, str, list] | None:
        """Its line in a chart: title, what x counts, points [x, y, low, high, n]; None: it has none."""

    def walks(self, score: Score, library: Library, pictures: Pictures) -> tuple[list[Walk], dict[str, Any]]:
        """Its walks, and what the maps that they name are made of. Raises DataError, NotShown."""

    def backdrop(self, maps: dict[str, Any]) -> dict:
        """Behind its clicks: ``{"boxes": of elements, 0..1000, "size": width and height, pixels}``."""

    def page_map(self, made_of: Any) -> dict:
        """A map: ``{"nodes": name -> [x, y] in -1..1, "edges": pairs of names}``."""


REPORTERS: dict[str, Reporter] = {"gelab": gelab, "login": login}  # benchmark -> reporter
