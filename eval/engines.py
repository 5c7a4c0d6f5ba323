"""The one door to a model: an engine answers requests in text. ``make_engine(name, ...)`` gives one by name.

transformers   a checkpoint through ms-swift's own engine, so template, pixels and special tokens are training's
oracle         the right answer                    random   a click anywhere, naming nothing
blind          text only: never opens the screenshot; answers what the training rows answer to the nearest prompt
replay         the answers of an earlier run, by key
openai, anthropic   a model behind a server: api.py
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from api import DIALECTS, Api

from data_engine.dataset import DataError, read_json, read_rows
from data_engine.episode import Request
from data_engine.gelab.actions import format_click
from data_engine.geometry import THOUSAND
from data_engine.seeds import rng

MODELS = {"transformers": "a checkpoint", "replay": "a results file"} | dict.fromkeys(DIALECTS, "its name there")
ENGINES = ("transformers", "oracle", "random", "blind", "replay", *DIALECTS)
TEMPLATES = {"qwen2_5_vl": "gelab_qwen2_5_vl", "qwen3_vl": "gelab_qwen3_vl"}  # config.json's model_type -> ours


class Engine(Protocol):
    """Answers a batch of requests; ``temperature`` 0 is greedy, otherwise ``seed`` decides the samples."""

    def answer(self, requests: Sequence[Request], temperature: float, seed: int) -> list[str]: ...


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
    if name == "transformers":
        return Transformers(model, max_pixels, template, max_new_tokens, batch_size)
    if name in DIALECTS:
        return Api(name, model, max_new_tokens, batch_size, log, cache, extra)
    if name == "replay":
        return Replay(Path(model))
    if name == "blind":
        return Blind(train_rows)
    return Oracle() if name == "oracle" else Random()


class Oracle:
    """Always right; shows that rows, environment and scores agree."""

    def answer(self, requests: Sequence[Request], temperature: float, seed: int) -> list[str]:
        return [request.gold() for request in requests]


class Random:
    """Clicks a uniformly random point and names no icon: the floor of interactive success."""

    def answer(self, requests: Sequence[Request], temperature: float, seed: int) -> list[str]:
        points = (rng(seed, "random", request.key).integers(0, THOUSAND + 1, 2).tolist() for request in requests)
        return [format_click("?", "?", *point) for point in points]


class Blind:
    """What the text alone is worth: the most frequent training answer to the same prompt, then to nearer and nearer
    parts of it (same goal and last step, same last step, same goal), then to any prompt."""

    def __init__(self, train_rows: Path | None):
        if train_rows is None or not train_rows.is_file():
            raise DataError(f"--engine blind: no training rows at {train_rows}; name them with --train-rows")
        counts: dict[tuple, Counter] = defaultdict(Counter)
        for row in read_rows(train_rows):
            question, answer = (message["content"] for message in row["messages"][-2:])
            for key in _text_keys(question):
                counts[key][answer] += 1
        self.best = {key: counter.most_common(1)[0][0] for key, counter in counts.items()}

    def answer(self, requests: Sequence[Request], temperature: float, seed: int) -> list[str]:
        return [next(self.best[key] for key in _text_keys(r.prompt) if key in self.best) for r in requests]


def _text_keys(prompt: str) -> list[tuple]:
    """From the whole prompt to nothing of it."""
    task, _, history = prompt.partition(" History: ")
    goal, last = task.rpartition(" to ")[2], history.rpartition(": ")[2]
    return [(0, prompt), (1, goal, last), (2, last), (3, goal), (4,)]


class Replay:
    """Answers of an earlier run: a predictions.jsonl (same rows, same questions) or trajectories.jsonl (same tasks)."""

    def __init__(self, path: Path):
        self.path = path
        self.said: dict[str, tuple[str | None, str]] = {}  # key -> question (None: not kept), answer
        for row in read_rows(path):
            if "prediction" in row:
                self.said[str(row["idx"])] = row["messages"][-2]["content"], row["prediction"]
            else:
                self.said |= {f"{row['key']}/{i}": (None, turn["answer"]) for i, turn in enumerate(row["turns"])}

    def answer(self, requests: Sequence[Request], temperature: float, seed: int) -> list[str]:
        for request in requests:
            question = self.said.get(request.key, ("", ""))[0]
            if question not in (None, request.prompt):
                raise DataError(f"{self.path}: has no answer for {request.key}; replay a run of the same rows or tasks")
        return [self.said[request.key][1] for request in requests]


class Transformers:
    """ms-swift's TransformersEngine, on the GPU if there is one; loaded when first asked, so a finished run is free."""

    def __init__(self, model: str, max_pixels: int | None, template: str | None, max_new_tokens: int, batch_size: int):
        _set_max_pixels(max_pixels)
        self.base, self.adapters = _base_and_adapters(model)
        self.template = template or _template_of(self.base)
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size

    @cached_property
    def engine(self):
        import torch
        from swift import TransformersEngine

        import swift_plugins.register  # noqa: F401  (registers the templates)

        on_gpu = torch.cuda.is_available()
        return TransformersEngine(
            self.base,
            adapters=self.adapters,
            torch_dtype=torch.bfloat16 if on_gpu else torch.float32,
            attn_impl="sdpa",
            device_map=None if on_gpu else "cpu",
            max_batch_size=self.batch_size,
            model_type=_family_of(self.base),  # Qwen3-VL's architecture alone fits three of ms-swift's model types
            template_type=self.template,
        )

    def answer(self, requests: Sequence[Request], temperature: float, seed: int) -> list[str]:
        """The samples depend on ``seed`` and on who shares the batch, so runs resume by whole batches."""
        engine = self.engine
        from swift import RequestConfig
        from transformers import set_seed

        asked = [infer_request(request) for request in requests]
        # every field set: what is left open comes from the model's generation_config (Qwen ships a penalty of 1.05)
        config = RequestConfig(
            max_tokens=self.max_new_tokens, temperature=temperature, top_k=-1, top_p=1.0, repetition_penalty=1.0
        )
        set_seed(seed)
        return [out.choices[0].message.content for out in engine.infer(asked, config, use_tqdm=False)]


def infer_request(request: Request):
    """ms-swift's form of a question: the same for each engine, and the same as a row of training."""
    from swift import InferRequest

    messages = [{"role": "system", "content": request.system}, {"role": "user", "content": request.prompt}]
    return InferRequest(messages=messages, images=[str(request.image)])


def _set_max_pixels(max_pixels: int | None) -> None:
    """MAX_PIXELS must be that of the rows: a resized screenshot moves every score."""
    given = os.environ.get("MAX_PIXELS")
    if max_pixels and given and int(given) != max_pixels:
        raise DataError(f"MAX_PIXELS={given}, but the rows were made for {max_pixels}; unset it or write other rows")
    if max_pixels:
        os.environ["MAX_PIXELS"] = str(max_pixels)


def _base_and_adapters(model: str) -> tuple[str, list[str]]:
    """A LoRA checkpoint names its base in ms-swift's args.json; any other model is its own base."""
    if not (Path(model) / "adapter_config.json").is_file():
        return model, []
    return read_json(Path(model) / "args.json")["model"], [model]


def _family_of(model: str) -> str | None:
    """``model_type`` of a checkpoint folder's config.json; None (ms-swift goes by the name) for a hub name."""
    config = Path(model) / "config.json"
    return read_json(config).get("model_type") if config.is_file() else None


def _template_of(model: str) -> str | None:
    """Our template for the model's family; None (ms-swift decides) for a hub name."""
    family = _family_of(model)
    if family and family not in TEMPLATES:
        raise DataError(f"{model}: model type {family!r} has no template of ours; name one with --template")
    return TEMPLATES.get(family)
