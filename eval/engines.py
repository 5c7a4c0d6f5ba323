"""The one door to a model: an engine answers requests in text. ``make_engine(name, ...)`` gives one by name.

transformers, vllm   a checkpoint through ms-swift's engines: checkpoint.py
oracle         the right answer                    random   a click anywhere, naming nothing
blind          text only: never opens the screenshot; answers what the training rows answer to the nearest prompt
replay         the answers of an earlier run, by key
openai, anthropic   a model behind a server: api.py
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
from api import DIALECTS, Api
from checkpoint import Transformers, Vllm

from data_engine.dataset import DataError
from data_engine.episode import Request
from data_engine.foreign import check, read_lines
from data_engine.gelab.actions import format_click
from data_engine.geometry import THOUSAND
from data_engine.seeds import rng
from data_engine.shapes import Message

CHECKPOINTS = {"transformers": Transformers, "vllm": Vllm}
MODELS = dict.fromkeys(CHECKPOINTS, "a checkpoint") | {"replay": "a results file"}
MODELS |= dict.fromkeys(DIALECTS, "its name there")
ENGINES = (*CHECKPOINTS, "oracle", "random", "blind", "replay", *DIALECTS)


class Engine(Protocol):
    """Answers a batch of requests. ``temperature``, one for all or one for each, 0 is greedy; a sample depends on
    ``seed`` and the request's key, whoever shares the batch."""

    def answer(self, requests: Sequence[Request], temperature: float | Sequence[float], seed: int) -> list[str]: ...


def make_engine(
    name: str,
    *,
    model: str | None = None,
    train_rows: Path | None = None,
    max_pixels: int | None = None,
    template: str | None = None,
    max_new_tokens: int = 256,
    batch_size: int = 16,
    log: Path | None = None,
    cache: Path | None = None,
    extra: Mapping[str, object] | None = None,
) -> Engine:
    """An engine by name; the last three are a server's. Raises DataError in one line: unknown name, missing model or
    key, wrong MAX_PIXELS."""
    if name not in ENGINES:
        raise DataError(f"--engine {name}: unknown; known are {', '.join(ENGINES)}")
    if name in MODELS and not model:
        raise DataError(f"--engine {name}: needs --model ({MODELS[name]})")
    if name in CHECKPOINTS:
        return CHECKPOINTS[name](model, max_pixels, template, max_new_tokens, batch_size)
    if name in DIALECTS:
        return Api(name, model, max_new_tokens, batch_size, log, cache, extra)
    if name == "replay":
        return Replay(Path(model))
    if name == "blind":
        return Blind(train_rows)
    return Oracle() if name == "oracle" else Random()


class Oracle:
    """Always right; shows that rows, environment and scores agree."""

    def answer(self, requests: Sequence[Request], temperature: object, seed: int) -> list[str]:
        return [request.gold() for request in requests]


class Random:
    """Clicks a uniformly random point and names no icon: the floor of interactive success."""

    def answer(self, requests: Sequence[Request], temperature: object, seed: int) -> list[str]:
        points = (rng(seed, "random", request.key).integers(0, THOUSAND + 1, 2).tolist() for request in requests)
        return [format_click("?", "?", *point) for point in points]


class Exchanged(msgspec.Struct):
    """A row whose last two messages are a question and its answer."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=2)]


def exchanged(row: dict) -> dict:
    """A training row. Raises DataError."""
    return check(row, Exchanged, "row", "name training rows with --train-rows")


class Blind:
    """What the text alone is worth: the most frequent training answer to the same prompt, then to nearer and nearer
    parts of it (same goal and last step, same last step, same goal), then to any prompt."""

    def __init__(self, train_rows: Path | None):
        if train_rows is None or not train_rows.is_file():
            raise DataError(f"--engine blind: no training rows at {train_rows}; name them with --train-rows")
        counts: dict[tuple, Counter] = defaultdict(Counter)
        for row in read_lines(train_rows, exchanged):
            question, answer = (message["content"] for message in row["messages"][-2:])
            for key in _text_keys(question):
                counts[key][answer] += 1
        if not counts:
            raise DataError(f"{train_rows}: holds no rows; name training rows with --train-rows")
        self.best = {key: counter.most_common(1)[0][0] for key, counter in counts.items()}

    def answer(self, requests: Sequence[Request], temperature: object, seed: int) -> list[str]:
        return [next(self.best[key] for key in _text_keys(r.prompt) if key in self.best) for r in requests]


def _text_keys(prompt: str) -> list[tuple]:
    """From the whole prompt to nothing of it."""
    task, _, history = prompt.partition(" History: ")
    goal, last = task.rpartition(" to ")[2], history.rpartition(": ")[2]
    return [(0, prompt), (1, goal, last), (2, last), (3, goal), (4,)]


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
