"""metrics.json files, read as the readers of scores need them: a number that is none is one line, not a traceback."""

from pathlib import Path
from typing import Any

import msgspec

from data_engine.foreign import read_object
from data_engine.shapes import Count, Number

AGAIN = "run the evaluation again (nothing is asked anew)"
Rate = Number | None


class Metrics(msgspec.Struct):
    """The metrics that some reader shows, of both benchmarks; null or absent where there is none."""

    overall_paper: Rate = None
    path_paper: Rate = None
    edge_paper: Rate = None
    step_all: Rate = None
    task_all: Rate = None
    pass_at_1: Rate = None
    pass_at_k: Rate = None
    greedy: Rate = None
    action_type_accuracy: Rate = None
    step_accuracy: Rate = None
    type_accuracy: Rate = None
    click_accuracy: Rate = None
    text_accuracy: Rate = None
    episode_success_rate: Rate = None
    success_rate: Rate = None
    num_episodes: Count | None = None
    rows: Count | None = None
    tasks: Count | None = None
    k: Count | None = None
    intervals: dict[str, tuple[Number, Number] | None] = {}
    by_length: dict[str, "Metrics"] = {}


class Data(msgspec.Struct):
    """What was asked: a file of rows, and the world or forms behind it."""

    name: str
    fingerprint: str | None = None
    sha256: str | None = None
    blank_of: str | None = None
    rows: Count | None = None


class Model(msgspec.Struct):
    name: str


class Run(msgspec.Struct):
    """The record of a run that asked a model."""

    kind: str
    data: Data
    engine: str
    model: Model | None = None
    limit: Count | None = None
    attempts: Count | None = None
    max_steps: Count | None = None
    temperature: Number | None = None


class Ceiling(msgspec.Struct):
    type_accuracy: Rate = None


class Score(msgspec.Struct):
    """A metrics.json."""

    metrics: Metrics
    commit: str | None = None
    command: str | None = None


class Steps(Score, kw_only=True):
    """Of forms, step by step."""

    strict: Metrics
    ceiling: Ceiling | None = None
    baselines: dict[str, dict[str, Metrics | None]] | None = None


class Loop(Score, kw_only=True):
    """Of forms, in the closed loop."""

    baselines: dict[str, Metrics | None] | None = None


class Recorded(Score, kw_only=True):
    """With the record of its run."""

    run: Run
    commit: str


def read_score(path: Path, shape: type = Score) -> dict[str, Any]:
    """A metrics.json that fits. Raises DataError: file, key, what stands there, how to fix it."""
    return read_object(path, shape, AGAIN)
