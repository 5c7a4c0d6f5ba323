"""What a benchmark is: two records that a benchmark fills in, and that the commands of all benchmarks read.

To add one:

1. Write ``data_engine/NAME/``: rows with a manifest, proof, metrics; and ``benchmark.py``, which fills the records in::

       STEPS = Protocol(kind="NAME-steps", answers_file="predictions.jsonl", read=answered, metrics=metrics, ...)
       NAME = Benchmark(name="NAME", rows_kind=KIND, verify=verify, protocols=(STEPS,), ...)

2. Enter it in ``benchmarks.py``: ``BENCHMARKS = (GELAB, LOGIN, NAME)``. Rows can now be proven (verify_data, doctor)
   and trained on (``--dataset NAME/rows --template NAME_qwen3_vl``), and its runs watched (progress).
3. Write ``eval/NAME_eval.py``: it asks a model, and scores the answers with ``STEPS.metrics``.
4. Write ``eval/html_report/NAME.py``: what a report shows; enter it in ``reporters.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from .episode import Request
from .faults import Report
from .shapes import Message

Rows = Sequence[dict]
Metrics = Callable[[Rows], dict]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Rows under a name of ms-swift's: ``--dataset NAME/rows``."""

    name: str
    """Benchmark and file: ``gelab/sft``"""
    file: str
    """Of the folder: ``sft.jsonl``"""
    variable: str
    """Environment variable that names the folder"""
    kind: str
    """Of the folder's manifest"""
    command: str
    """Module below ``data_engine`` that writes the folder: ``gelab.write``"""
    prompt_hash: Callable[[dict], str]
    """(arguments of the folder's manifest) -> hash of the prompt builder that its rows must come from"""
    chat: bool = False
    """Whether the rows of a task are joined to one conversation"""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to ask a model and to score its answers; each run of it is a folder with run.json and answers."""

    kind: str
    """``kind`` of its run.json"""
    answers_file: str
    """Of the run's folder, one answer or episode a line"""
    script: str
    """Path of the program that makes its runs"""
    read: Callable[[dict], dict]
    """A line of the file as the metrics read it. Raises DataError"""
    metrics: Metrics
    """Lines -> ``metrics`` of metrics.json: fractions 0..1, None for no rows"""
    headline: Metrics
    """Lines -> the few of all metrics that are watched while a run goes on"""
    unit: str
    """Of a line: ``rows`` or ``episodes``"""
    sentence: str
    """How far an agent gets: a text with ``{agent}``, ``{good}`` of ``{count}``, and perhaps ``{set}``"""
    whole_walks: bool
    """Whether a success is an episode that got there; else it is a single right answer"""
    set_name: str | None = None
    """What reports call the set of a score; None: after its data file (``held in``, ``held out``, else the name)"""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """All that a command for any benchmark asks of one."""

    name: str
    """Prefix of its datasets and templates"""
    title: str
    """What reports call it"""
    rows_kind: str
    """``kind`` of the manifest of its folders of rows"""
    other_kinds: tuple[str, ...] = ()
    """Kinds of further folders that ``verify`` takes"""
    world_kind: str | None = None
    """The one of them that is the world of the rows, if episodes need it: rows lie beside it, in ``world/``"""
    pictures: str | None = None
    """Subfolder that tells rows whose manifest cannot be read; None: nothing does"""
    gold_file: str
    """Of a folder of rows: questions with right answers, as models are trained on them"""
    datasets: tuple[Dataset, ...]
    """Its rows under names of ms-swift's"""
    system: str | None = None
    """System prompt of its templates ``NAME_FAMILY``; None: the one of each row"""
    tokens: tuple[str, ...] = ()
    """Special tokens of its answers; a tokenizer must have each as one id"""
    tuner: str
    """How its recipes train: ``full`` or ``lora``"""
    verify: Callable[..., Report]
    """(folder, limit, done, step) -> the faults of a folder; ``done`` is called for each file, ``step`` for each row"""
    prompt_hash: Callable[[dict], str]
    """As of Dataset, for the folders of rows"""
    request: Callable[[dict, Path], Request]
    """(row, its folder) -> its question, as evaluation asks it"""
    lost: Callable[[dict, str], str | None]
    """(row, answer) -> what the answer fails to earn, in words; None if it is right in all"""
    protocols: tuple[Protocol, ...]
    """How it is scored"""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of all folders that ``verify`` takes."""
        return self.rows_kind, *self.other_kinds


def picked(metrics: Metrics, *names: str) -> Metrics:
    """The metrics of these names alone."""
    return lambda rows: {name: values[name] for values in [metrics(rows)] for name in names}


class Row(msgspec.Struct):
    """A row that can be asked: its last two messages are the question and the right answer."""

    idx: int
    messages: Annotated[list[Message], msgspec.Meta(min_length=2)]
    images: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1)]


def row_request(row: dict, folder: Path, system: str) -> Request:
    """The question of such a row; ``system``: the prompt where the row has none of its own."""
    *own, asked, answer = row["messages"]
    if own and own[0]["role"] == "system":
        system = own[0]["content"]
    return Request(system, asked["content"], folder / row["images"][0], str(row["idx"]), lambda: answer["content"])
