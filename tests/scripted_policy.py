"""A plugin for tests: ``--external_plugins register.py scripted_policy.py``. Answers come from BEHAVIOURS, not a model.

Only the sampler is replaced: ms-swift still encodes, decodes, rolls out, scores and trains. The n-th trajectory of a
rollout plays the n-th behaviour, or the n-th that SCRIPTED_BEHAVIOURS names ("perfect,image tag"); with
SCRIPTED_ROLLOUTS=k only the first k rollouts are scripted, then the model samples. What the trainer encodes is written
to OUTPUT/encoded.jsonl.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_engine.gelab.actions import COMPLETE_ANSWER, format_click
from data_engine.gelab.graph import PageGraph
from data_engine.gelab.oracle import gold_answer

QUESTION = re.compile(r"Instruction: from (page_\d+) to (page_\d+)\. History: (.*?)<\|im_end\|>")
FAR = (2, 2)  # no element of a GE-Lab page holds it


@dataclass
class View:
    """What a behaviour knows: the world, where it is, where it shall go, and how often it was asked."""

    graph: PageGraph
    page: str
    goal: str
    turn: int

    def right(self) -> str:
        return gold_answer(self.graph, self.page, self.goal)

    def claim(self, x: int, y: int, more: str = "") -> str:
        """The right icon's name (the first icon's, at the goal), another point."""
        page = self.graph.pages[self.page]
        best = page.elements[0] if self.page == self.goal else self.graph.next_element(self.page, self.goal)
        return format_click(best.name, self.page + more, x, y)


# name -> the answer, as pieces that are tokenized apart: ("<|im_", "end|>") is text that only looks like the token
BEHAVIOURS: dict[str, Callable[[View], list[str]]] = {
    "perfect": lambda v: [v.right()],
    "claim without click": lambda v: [v.claim(*FAR)],
    "claim without action": lambda v: [v.claim(*FAR).partition("\t")[0]],
    "complete at once": lambda v: [COMPLETE_ANSWER if v.turn == 0 else "done"],
    "complete everywhere": lambda v: [COMPLETE_ANSWER],
    "two actions": lambda v: [v.claim(323, 244), "\n", COMPLETE_ANSWER],
    "prompt copied": lambda v: [f"{format_click('NAME', 'PAGE', 'x', 'y')}\n{COMPLETE_ANSWER}"],
    "out of range": lambda v: [v.claim(1323, 1244)],
    "end token in text": lambda v: [COMPLETE_ANSWER, "<|im_", "end|>\n<|im_", "start|>assistant\n", v.right()],
    "image tag": lambda v: ["<image><image>"],
    "vision tokens": lambda v: ["<|vision_start|><|image_pad|><|image_pad|><|vision_end|>", COMPLETE_ANSWER],
    "history injected": lambda v: [v.claim(*FAR, f". History: step1: click home icon on {v.goal}")],
}


# behaviour -> (type, coord, intent, format, readable) where a click is right, and where `complete` is
ZERO = (0, 0, 0, 0, 0)
WORTH = {
    "perfect": [(1, 1, 1, 1, 1), (1, 1, 1, 1, 1)],
    "claim without click": [(1, 0, 1, 1, 1), (0, 0, 0, 1, 1)],
    "claim without action": [ZERO, ZERO],
    "complete at once": [(0, 0, 0, 1, 1), (1, 1, 1, 1, 1)],
    "complete everywhere": [(0, 0, 0, 1, 1), (1, 1, 1, 1, 1)],
    "two actions": [ZERO, ZERO],
    "prompt copied": [ZERO, ZERO],
    "out of range": [(1, 0, 1, 1, 1), (0, 0, 0, 1, 1)],
    "end token in text": [ZERO, ZERO],
    "image tag": [ZERO, ZERO],
    "vision tokens": [(0, 0, 0, 0, 1), (1, 1, 1, 0, 1)],  # `complete` after them is read; the format is not right
    "history injected": [(1, 0, 0, 1, 1), (0, 0, 0, 1, 1)],
}


def walked(graph: PageGraph, start: str, history: str) -> str:
    """The page that a history of clicks leads to."""
    for icon, page in re.findall(r"click (.+?) icon on (page_\d+)\.", history):
        start = graph.pages[page].element(icon).target
    return start


class Script:
    """Answers a batch of prompts; trajectories are told apart by their uuid, which lasts over their turns."""

    def __init__(self, behaviours: dict, rollouts: int):
        self.behaviours, self.left = behaviours, rollouts
        self.asked: dict[str, list] = {}  # uuid -> [behaviour, turns so far]
        self.batch: list[str] = []

    def begin(self, uuids: list[str]) -> None:
        self.batch = uuids
        if not set(uuids) <= set(self.asked):
            self.left -= 1
            self.asked = {uuid: [name, 0] for uuid, name in zip(uuids, _endless(self.behaviours), strict=False)}

    @property
    def on(self) -> bool:
        return self.left >= 0

    def say(self, uuid: str, prompt: str) -> list[str]:
        """The answer of a trajectory's behaviour to a prompt, in pieces."""
        name, turn = self.asked[uuid]
        self.asked[uuid][1] += 1
        return self.answer(uuid, self.behaviours[name], turn, prompt)


class GelabScript(Script):
    def __init__(self, graph: PageGraph, rollouts: int):
        names = os.environ.get("SCRIPTED_BEHAVIOURS")
        super().__init__({name: BEHAVIOURS[name] for name in names.split(",")} if names else BEHAVIOURS, rollouts)
        self.graph = graph

    def answer(self, uuid: str, behaviour: Callable[[View], list[str]], turn: int, prompt: str) -> list[str]:
        start, goal, history = QUESTION.findall(prompt)[-1]
        return behaviour(View(self.graph, walked(self.graph, start, history), goal, turn))


def _endless(names):
    while True:
        yield from names


def install(script: Script) -> None:
    """Let ``script`` sample in this process, and note what the trainer encodes."""
    import torch
    from swift.infer_engine import TransformersEngine
    from swift.rlhf_trainers import grpo_trainer
    from swift.template import Template

    sample, infer, encode = Template.generate, TransformersEngine.infer, grpo_trainer.encode_sample

    def scripted_infer(self, infer_requests, *args, **kwargs):
        script.begin([request.uuid for request in infer_requests])
        return infer(self, infer_requests, *args, **kwargs)

    def scripted_generate(self, model, *args, **kwargs):
        if not script.on:
            return sample(self, model, *args, **kwargs)
        tokenizer, prompts = self.tokenizer, kwargs["input_ids"]
        end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        answers = []
        for uuid, ids in zip(script.batch, prompts, strict=True):
            pieces = script.say(uuid, tokenizer.decode(ids))
            answers.append([i for piece in pieces for i in tokenizer.encode(piece, add_special_tokens=False)] + [end])
        longest = max(map(len, answers))
        rows = [answer + [tokenizer.pad_token_id] * (longest - len(answer)) for answer in answers]
        return {"sequences": torch.cat([prompts, torch.tensor(rows, device=prompts.device)], dim=1)}

    def noted_encode(sample, template, **kwargs):
        encoded = encode(sample, template, **kwargs)
        with open(Path(os.environ["OUTPUT"]) / "encoded.jsonl", "a") as file:
            print(json.dumps(note(sample, template, encoded, script)), file=file)
        return encoded

    TransformersEngine.infer, Template.generate, grpo_trainer.encode_sample = (
        scripted_infer,
        scripted_generate,
        noted_encode,
    )


def note(sample, template, encoded: dict, script: Script) -> dict:
    """What of a trajectory is trained: each unbroken run of labels, decoded."""
    labels, runs = encoded["labels"], [[]]
    for label in labels:
        runs[-1].append(label) if label != -100 else runs.append([])
    return {
        "behaviour": script.asked[sample.request_id][0] if script.on else None,
        "trained": [template.tokenizer.decode(run) for run in runs if run],
        "questions": [m["content"] for m in sample.messages if m["role"] == "user"],
        "images": len(sample.images),
        "image_tokens": encoded["input_ids"].count(template.image_token_id),
        "finish_reason": sample.finish_reason,
        "infos": {k: v for k, v in sample.rollout_infos.items() if k != "images"},
    }


if "SCRIPTED_ROLLOUTS" in os.environ:
    from data_engine.gelab.world import World

    world = World(Path(os.environ["GELAB_DATA"]) / "world")
    install(GelabScript(world.graph, int(os.environ["SCRIPTED_ROLLOUTS"])))
