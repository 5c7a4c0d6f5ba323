"""One score of a run, and what of a run cannot be shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from results import read_score

from data_engine.benchmark import Benchmark, Protocol
from data_engine.benchmarks import OF_RUNS, PROTOCOLS
from data_engine.dataset import DataError
from data_engine.foreign import placed, read_growing

SETS = {"id": "held in", "ood": "held out"}  # end of a data file's name -> what it is called
REFERENCES = ("oracle", "random", "blind", "text_only")
AGENTS = (*REFERENCES, "base", "qwen_base", "sft", "qwen_ft", "st_rl", "mt_rl")  # reference policies, then the stages
_WALKS = [kind for kind, protocol in PROTOCOLS.items() if protocol.whole_walks]
ORDER = (*_WALKS, *(kind for kind in reversed(PROTOCOLS) if kind not in _WALKS))  # kinds: what to look at first
LEFT_OUT = "Left out: "


@dataclass(frozen=True)
class Score:
    """One folder that an evaluation wrote: who was asked, on which set, and every whole answer so far.

    ``shape``: of its metrics.json.
    """

    folder: Path
    run: dict
    agent: str
    finished: bool
    shape: type

    @property
    def kind(self) -> str:
        return self.run["kind"]

    @property
    def protocol(self) -> Protocol:
        return PROTOCOLS[self.kind]

    @property
    def benchmark(self) -> Benchmark:
        return OF_RUNS[self.kind]

    @property
    def set(self) -> str:
        """As the protocol names it; else ``held in``, ``held out``, or the name of the data file."""
        stem = Path(self.run["data"]["name"]).stem
        return self.protocol.set_name or SETS.get(stem.rpartition("_")[2], stem)

    @cached_property
    def answers(self) -> list[dict]:
        """The lines that are whole. Raises DataError at a broken one before the last."""
        return read_growing(self.folder / self.protocol.answers_file, self.protocol.read)

    def read(self, read: Callable[[dict], dict]) -> list[dict]:
        """The answers, as ``read`` gives them. Raises DataError."""
        path = self.folder / self.protocol.answers_file
        return [placed(f"{path}:{number}", read, row) for number, row in enumerate(self.answers, 1)]

    @cached_property
    def result(self) -> dict:
        """metrics.json; empty while the evaluation runs. Raises DataError."""
        return read_score(self.folder / "metrics.json", self.shape) if self.finished else {}


class NotShown(Exception):
    """Why the walks of a score cannot be shown: a sentence to follow its name."""

    LOST = "neither walks nor failures can be shown"

    @classmethod
    def without(cls, what: str) -> "NotShown":
        """``what``: ``world is``, ``rows are``."""
        return cls(f"its {what} not below this folder, so {cls.LOST}; name their folder with --data.")


@dataclass
class LeftOut:
    """The parts of a run that cannot be read, each in a sentence that names it."""

    sentences: list[str] = field(default_factory=list)

    @contextmanager
    def part(self, name: str = "") -> Iterator[None]:
        """A part ends at its first DataError or OSError, and is noted; all others go on."""
        try:
            yield
        except (DataError, OSError) as error:
            self.sentences.append(f"{LEFT_OUT}{name}{error}.")
