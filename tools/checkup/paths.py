"""A row's two ways to tokens: as ms-swift trains on it, and as the evaluation scripts ask it. They must not differ.

Training: the dataset plugin's own preprocessing and the template of the recipe, as ``swift sft`` uses them. Evaluation:
the scripts' own request, through their engine, which loads everything but the weights.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import checkpoint
from PIL import Image
from settings import Settings

from data_engine.benchmark import Benchmark
from data_engine.dataset import DataError, verified_path
from data_engine.episode import Request
from data_engine.gelab.env import NavigationEpisode
from data_engine.gelab.metrics import NULL_HISTORY
from data_engine.gelab.placements import shown_world
from data_engine.gelab.rows import SINGLE_STEPS
from data_engine.gelab.tasks import Task
from data_engine.gelab.world import World
from data_engine.model_folder import base_and_adapters

from .findings import Finding, fault, ok

TOKENS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
AROUND, SHOWN = 16, 60  # tokens and characters shown from a divergence on
PAST = re.compile(r"\bstep\d+: ")  # an entry of GE-Lab's history


@dataclass(frozen=True)
class Encoded:
    """A row as tokens: the prompt, the answer up to its end token, and the pictures' patches (n, 3: time, y, x)."""

    prompt: list[int]
    answer: list[int]
    patches: list[list[int]]


def check_engine() -> Finding:
    """The version that the evaluation's engine needs."""
    try:
        checkpoint.check_transformers()
    except (DataError, PackageNotFoundError) as error:
        what, _, fix = str(error).partition("; ")
        return fault("evaluation engine", what, fix or "pip install -r requirements.txt")
    return ok("evaluation engine", "transformers is new enough for it")


class Training:
    """What ``swift sft --model M --template T --dataset NAME`` makes of rows."""

    def __init__(self, model: str, template: str, system: str | None):
        from swift import get_processor, get_template

        import swift_plugins.register  # noqa: F401  (registers templates and datasets)

        base, _ = base_and_adapters(model)
        processor = get_processor(base, model_type=checkpoint.family_of(base))
        self.template = get_template(processor, template_type=template, default_system=system)
        self.template.set_mode("train")
        self.tokenizer = self.template.tokenizer

    def encode(self, folder: Path, manifest: dict, rows: Sequence[dict]) -> list[Encoded]:
        from swift_plugins.gui_datasets import AbsolutePaths

        names = {name for row in rows for name in row["images"]}
        pictures = {name: str(verified_path(folder, name, manifest=manifest)) for name in names}
        plugin = AbsolutePaths(folder, pictures)
        plain = ({"messages": row["messages"], "images": row["images"]} for row in rows)
        return [self._encode(plugin.preprocess(row)) for row in plain]

    def _encode(self, row: dict) -> Encoded:
        found = self.template.encode(dict(row))
        ids, labels = found["input_ids"], found["labels"]
        begin = next(i for i, label in enumerate(labels) if label != -100)
        end = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        answer = [label for label in labels[begin:] if label != -100]
        return Encoded(ids[:begin], answer[: answer.index(end) + 1], found["image_grid_thw"].tolist())


def engine_without_weights(**options):
    """ms-swift's engine with its processor and template, and no model."""
    from swift import TransformersEngine

    class Weightless(TransformersEngine):
        def _add_adapter(self, *_, **__): ...

    return Weightless(load_model=False, **options)


class Evaluation(checkpoint.Transformers):
    """The scripts' engine without weights: what a request is to the model, and how it reads a model's tokens."""

    def __init__(self, model: str, template: str, max_pixels: int, rows: int):
        given = {"model": model, "template": template, "max_new_tokens": 1, "batch_size": rows}
        super().__init__(Settings(engine="transformers", **given), max_pixels)

    @cached_property
    def engine(self):
        import swift_plugins.register  # noqa: F401  (registers the templates)

        family = checkpoint.family_of(self.base)
        return engine_without_weights(
            model=self.base, adapters=self.adapters, model_type=family, template_type=self.template
        )

    def encode(self, requests: Sequence[Request]) -> list[list[int]]:
        """The tokens of each request."""
        self.engine.template.set_mode("transformers")
        return [self.engine.template.encode(checkpoint.infer_request(one))["input_ids"] for one in requests]

    def read(self, answers: Sequence[list[int]]) -> list[str]:
        """The text of each answer's tokens."""
        return [self.engine.template.decode_generate_ids(ids) for ids in answers]


def walkable(row: dict) -> bool:
    """Whether the right answers alone lead to a row: a path's, or an edge's first."""
    single = row["source"].endswith(SINGLE_STEPS) and not row["messages"][-2]["content"].endswith(NULL_HISTORY)
    return row["task"].startswith("From ") and not single


def walked(world: World, row: dict, explain: str) -> Request:
    """The question of such a row as gelab_interactive.py asks it: the right answers walk there."""
    start, goal = row["task"].removeprefix("From ").split(" to ")
    task, steps = Task(start, goal, row["path"]), row["path"] + 1
    episode = NavigationEpisode(world, task, "doctor", max_steps=steps, explain=explain)
    for _ in PAST.findall(row["messages"][-2]["content"]):
        episode.answer(episode.request().gold())
    return episode.request()


@dataclass
class Checkup:
    """Both paths of one model and folder, and what is found on them."""

    benchmark: Benchmark
    folder: Path
    manifest: dict
    rows: list[dict]
    world: World | None
    training: Training
    evaluation: Evaluation

    def findings(self) -> Iterator[Finding]:
        yield from self.special_tokens()
        yield self.templates()
        self.encoded = self.training.encode(self.folder, self.manifest, self.rows)
        yield from self.pictures()
        asked = self.evaluation.encode([self.benchmark.request(row, self.folder) for row in self.rows])
        yield from self.prompts("evaluation", range(len(self.rows)), asked)
        yield from self.answers(self.evaluation.read([one.answer for one in self.encoded]))
        if self.world:
            walks = [i for i, row in enumerate(self.rows) if walkable(row)]
            explain = self.manifest["arguments"].get("explain", "step")
            shown = {i: shown_world(self.world, self.folder, self.rows[i]) for i in walks}
            asked = self.evaluation.encode([walked(shown[i], self.rows[i], explain) for i in walks])
            yield from self.prompts("interactive", walks, asked)

    @property
    def longest(self) -> int:
        """Tokens of the longest row, answer included."""
        return max(len(one.prompt) + len(one.answer) for one in self.encoded)

    def special_tokens(self) -> Iterator[Finding]:
        names = TOKENS + self.benchmark.tokens
        pieces = {name: len(self.training.tokenizer.encode(name, add_special_tokens=False)) for name in names}
        broken = [f"{name} is {count} tokens" for name, count in pieces.items() if count != 1]
        if broken:
            fix = "use the tokenizer files that came with the model; they were changed or replaced"
            yield fault("special tokens", f"the tokenizer splits {', '.join(broken)}", fix)
        else:
            yield ok("special tokens", f"one id each: {' '.join(names)}")

    def templates(self) -> Finding:
        train, test = (path.template_meta.template_type for path in (self.training.template, self._tested_template))
        if train != test:
            fix = f"train with --template {test}" if self._ours(test) else f"score a checkpoint trained with {train}"
            return fault("template", f"training uses {train}, evaluation {test} (a checkpoint's args.json rules)", fix)
        return ok("template", f"{train} on both paths")

    def _ours(self, name: str) -> bool:
        return name.startswith(f"{self.benchmark.name}_")

    @property
    def _tested_template(self):
        return self.evaluation.engine.template

    def pictures(self) -> Iterator[Finding]:
        """Every picture enters at the size of its file, and has one token for each merged patch."""
        processor = self.training.template.processor.image_processor
        side, merged = processor.patch_size, processor.merge_size
        pad = self.training.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        for row, one in zip(self.rows, self.encoded, strict=True):
            (_, high, wide), *_ = one.patches
            with Image.open(self.folder / row["images"][0]) as picture:
                size = picture.size
            if size != (wide * side, high * side):
                fix = f"build pages with sides in multiples of {side * merged}, and keep MAX_PIXELS at width x height"
                what = f"{row['images'][0]}: {size[0]}x{size[1]} enters as {wide * side}x{high * side}"
                yield fault("resize", what, fix)
                return
            if one.prompt.count(pad) != high * wide // merged**2:
                what = f"row {row['idx']}: {one.prompt.count(pad)} image tokens for {high * wide // merged**2} features"
                fix = f"train with --template {self._tested_template.template_meta.template_type}, which reads the ids"
                yield fault("image tokens", what, fix)
                return
        what = f"{size[0]}x{size[1]} enters unchanged, {self.encoded[0].prompt.count(pad)} tokens a picture"
        yield ok("resize", f"{what}; the longest of {len(self.rows)} rows has {self.longest} tokens")

    def prompts(self, path: str, places: Sequence[int], asked: Sequence[list[int]]) -> Iterator[Finding]:
        """Token for token; the first divergence is shown."""
        for place, test in zip(places, asked, strict=True):
            train = self.encoded[place].prompt
            if train == test:
                continue
            at = len(os.path.commonprefix([train, test]))
            said = [repr(self.training.tokenizer.decode(ids[at : at + AROUND])[:SHOWN]) for ids in (train, test)]
            systems = [self._system(ids) for ids in (train, test)]
            check = "system prompt" if systems[0] != systems[1] else f"{path} prompt"
            what = f"row {self.rows[place]['idx']} diverges at token {at}: training has {said[0]}, {path} {said[1]}"
            fix = "leave out --system and use our --template" if check == "system prompt" else "one --template for both"
            yield fault(check, what, fix)
            return
        what = f"{len(asked)} prompts, {sum(map(len, asked)):,} tokens: equal to training's, token for token"
        yield ok(f"{path} prompt", what)

    def _system(self, ids: list[int]) -> str:
        head, mark, _ = self.training.tokenizer.decode(ids).partition("<|im_start|>user")
        return head if mark else ""

    def answers(self, answers: Sequence[str]) -> Iterator[Finding]:
        """The gold's tokens, read as a model's answer is read, give the gold's text and score 1."""
        for row, text in zip(self.rows, answers, strict=True):
            gold = row["messages"][-1]["content"]
            if text != gold:
                fix = "use the tokenizer files that came with the model"
                yield fault("gold answers", f"row {row['idx']}: {gold!r} is read back as {text!r}", fix)
                return
            missing = self.benchmark.lost(row, text)
            if missing:
                what = f"row {row['idx']}: the gold answer {text!r} has {missing}"
                yield fault("gold answers", what, "write the rows again; answers must keep their special tokens")
                return
        yield ok("gold answers", f"{len(answers)} read back from their tokens, each scores 1.0")


def quiet() -> None:
    """ms-swift logs errors only."""
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
