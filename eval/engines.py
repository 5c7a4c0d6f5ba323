"""The one door to a model: an engine answers requests in text. ``make_engine(settings)`` gives the one they name.

transformers, vllm   a checkpoint through ms-swift's engines: checkpoint.py
oracle         the right answer
random, text_only, blind  GE-Lab's policies that never look: data_engine/gelab/baselines.py
replay         the answers of an earlier run, by key
openai, anthropic   a model behind a server: api.py
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
from api import DIALECTS, Api
from checkpoint import Transformers, Vllm
from settings import Settings

from data_engine.dataset import DataError
from data_engine.episode import Request
from data_engine.foreign import check, read_lines
from data_engine.gelab.baselines import Blind, Random, TextOnly
from data_engine.shapes import Message

CHECKPOINTS = {"transformers": Transformers, "vllm": Vllm}
MODELS = dict.fromkeys(CHECKPOINTS, "a checkpoint") | {"replay": "a results file"}
MODELS |= dict.fromkeys(DIALECTS, "its name there")
LEARNERS = {"blind": Blind, "text_only": TextOnly}  # from training rows
ENGINES = (*CHECKPOINTS, "oracle", "random", *LEARNERS, "replay", *DIALECTS)


class Engine(Protocol):
    """Answers a batch of requests. ``temperature``, one for all or one for each, 0 is greedy; a sample depends on
    ``seed`` and the request's key, whoever shares the batch. Returns one text for each request, in their order; raises
    DataError."""

    def answer(self, requests: Sequence[Request], temperature: float | Sequence[float], seed: int) -> list[str]: ...


def make_engine(settings: Settings, max_pixels: int | None = None) -> Engine:
    """The engine that the settings name; ``max_pixels`` of the rows. Raises DataError in one line: unknown name,
    missing model or key, wrong MAX_PIXELS."""
    name, model = settings.engine, settings.model
    if name not in ENGINES:
        raise DataError(f"--engine {name}: unknown; known are {', '.join(ENGINES)}")
    if name in MODELS and not model:
        raise DataError(f"--engine {name}: needs --model ({MODELS[name]})")
    if name in CHECKPOINTS:
        return CHECKPOINTS[name](settings, max_pixels)
    if name in DIALECTS:
        return Api(settings)
    if name == "replay":
        return Replay(Path(model))
    if name in LEARNERS:
        return LEARNERS[name](training_rows(settings.train_rows, name))
    return Oracle() if name == "oracle" else Random()


class Oracle:
    """Answers with the gold; where it does not score 1.0, rows, environment and scores disagree."""

    def answer(self, requests: Sequence[Request], temperature: object, seed: int) -> list[str]:
        return [request.gold() for request in requests]


class Exchanged(msgspec.Struct):
    """A row whose last two messages are a question and its answer."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=2)]


def exchanged(row: dict) -> dict:
    """A training row. Raises DataError."""
    return check(row, Exchanged, "row", "name training rows with --train-rows")


def training_rows(path: Path | None, name: str) -> list[dict]:
    """Rows to learn from without looking, one or more. Raises DataError."""
    if path is None or not path.is_file():
        raise DataError(f"--engine {name}: no training rows at {path}; name them with --train-rows")
    rows = read_lines(path, exchanged)
    if not rows:
        raise DataError(f"{path}: holds no rows; name training rows with --train-rows")
    return rows


class Predicted(Exchanged, kw_only=True):
    """A line of predictions.jsonl."""

    idx: Any
    prediction: str


class Said(msgspec.Struct):
    """A turn of a trajectory."""

    answer: str


class Walked(msgspec.Struct):
    """A line of trajectories.jsonl."""

    key: str
    turns: list[Said]


def replayed(row: dict) -> dict:
    """A line of either file. Raises DataError."""
    return check(
        row, Predicted if "prediction" in row else Walked, "row", "give a run's predictions.jsonl or trajectories.jsonl"
    )


class Replay:
    """Answers of an earlier run: a predictions.jsonl (same rows, same questions) or trajectories.jsonl (same tasks)."""

    def __init__(self, path: Path):
        self.path = path
        self.said: dict[str, tuple[str | None, str]] = {}  # key -> question (None: not kept), answer
        for row in read_lines(path, replayed):
            if "prediction" in row:
                self.said[str(row["idx"])] = row["messages"][-2]["content"], row["prediction"]
            else:
                self.said |= {f"{row['key']}/{i}": (None, turn["answer"]) for i, turn in enumerate(row["turns"])}

    def answer(self, requests: Sequence[Request], temperature: object, seed: int) -> list[str]:
        for request in requests:
            question = self.said.get(request.key, ("", ""))[0]
            if question not in (None, request.prompt):
                raise DataError(f"{self.path}: has no answer for {request.key}; replay a run of the same rows or tasks")
        return [self.said[request.key][1] for request in requests]
