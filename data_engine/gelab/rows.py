"""Rows of every stage in ms-swift format, with the paper's counts (its Table 6 and 9 and the composition behind them).

A row has ``messages`` and ``images`` (one path, relative to the file), and columns of ours:

    idx      position in its file
    task     "From page_A to page_B"; "caption" or "grounding" for icon rows
    path     length of the task's shortest path; 1 for edge rows, 0 for icon rows
    source   "subN" (N: number of the goal's subtree), "subN_edge", "icon"
    bbox     box of the right element, canvas pixels; [] where the answer is `complete` or a name
    canvas   [width, height] that bbox refers to, pixels
    solution the gold answer, where the messages do not hold it (RL rows)

A row of st_rl.jsonl:

    {"idx": 0, "task": "From page_0 to page_3", "path": 1, "source": "sub3", "images": ["world/pages/page_0.png"],
     "messages": [{"role": "user", "content": "<image>Instruction: from page_0 to page_3. History: Null"}],
     "bbox": [244, 1948, 444, 2148], "canvas": [1179, 2556], "solution": "Explain:click dump truck icon on page_0.\\t
     Action: click(start_box='<|box_start|>(323,784)<|box_end|>')"}
"""

from collections.abc import Iterator, Sequence

from ..geometry import to_thousand
from ..seeds import rng
from . import prompts
from .actions import COMPLETE_ANSWER, HIT, format_click
from .graph import ROOT, Element, PageGraph
from .tasks import Task, subtree_of
from .world import picture_path

MIDDLE = (0.25, 0.75)  # the authors' click points keep to about the middle half of the box
ICON_COPIES = 10  # 232 names x 10 = the paper's 2,320 captioning and 2,320 grounding rows


class Clicks:
    """Click points inside a box, in 0..1000: ``uniform`` in the middle of the box (as the authors'), or ``center``."""

    def __init__(self, mode: str, seed: int, stream: str):
        self.mode = mode
        self._draws = self._uniform(seed, stream)

    @staticmethod
    def _uniform(seed: int, stream: str) -> Iterator[list[float]]:
        generator = rng(seed, "clicks", stream)
        while True:
            yield from generator.uniform(*MIDDLE, (4096, 2)).tolist()

    def point(self, element: Element, graph: PageGraph) -> tuple[int, int]:
        u, v = next(self._draws) if self.mode == "uniform" else (0.5, 0.5)
        return to_thousand(*element.box.at(u, v), graph.canvas)


class RowMaker:
    """Makes the rows of one file, one by one. Rows equal in prompt, picture and answer are sampled apart, or merged.

    With ``uniform`` clicks a repeated row gets another point; with ``center`` it cannot, so it is left out and counted
    in ``merged``.
    """

    def __init__(self, graph: PageGraph, images: str, clicks: str, seed: int, stream: str, system: bool = False):
        self.graph, self.images, self.mode = graph, images, clicks
        self.head = system_messages(system)
        self.clicks = Clicks(clicks, seed, stream)
        self.questions = Clicks("uniform", seed, f"{stream}/questions")
        self.order = rng(seed, "icons", stream)
        self.seen: set[str] = set()
        self.count = self.merged = 0

    def path(self, task: Task) -> Iterator[dict]:
        """One row per step of the shortest path, then the final ``complete``."""
        history: list[str] = []
        source = f"sub{_subtree(self.graph, task)}"
        for page, element in self.graph.shortest_path(task.start, task.goal):
            prompt = prompts.navigation(task.start, task.goal, history)
            yield from self._click(prompt, page, element, task.name, task.length, source)
            history.append(prompts.entry(HIT, page, element.name))
        prompt = prompts.navigation(task.start, task.goal, history)
        yield from self._row(prompt, task.goal, COMPLETE_ANSWER, task.name, task.length, source)

    def edge(self, page: str, element: Element) -> Iterator[dict]:
        """A single step: from a page to a neighbour."""
        task = Task(page, element.target, 1)
        prompt = prompts.navigation(task.start, task.goal, [])
        yield from self._click(prompt, page, element, task.name, 1, f"sub{_subtree(self.graph, task)}_edge")

    def icon(self, name: str, copies: int = ICON_COPIES) -> Iterator[dict]:
        """``copies`` captioning and as many grounding rows for one name, spread over the pages that show it."""
        places = self.graph.places[name]
        order = self.order.permutation(len(places))
        for i in range(copies):
            page, element = places[order[i % len(places)]]
            question = prompts.captioning(*self.questions.point(element, self.graph))
            while self._key(question, page, name) in self.seen:
                question = prompts.captioning(*self.questions.point(element, self.graph))
            yield from self._row(question, page, name, "caption", 0, "icon")
            yield from self._click(prompts.grounding(name), page, element, "grounding", 0, "icon")

    def _click(self, prompt: str, page: str, element: Element, task: str, path: int, source: str) -> Iterator[dict]:
        answer = format_click(element.name, page, *self.clicks.point(element, self.graph))
        while self.mode == "uniform" and self._key(prompt, page, answer) in self.seen:
            answer = format_click(element.name, page, *self.clicks.point(element, self.graph))
        yield from self._row(prompt, page, answer, task, path, source, element.box)

    @staticmethod
    def _key(prompt: str, page: str, answer: str) -> str:
        return f"{prompt}\n{page}\n{answer}"

    def _row(
        self, prompt: str, page: str, answer: str, task: str, path: int, source: str, bbox: Sequence[int] = ()
    ) -> Iterator[dict]:
        key = self._key(prompt, page, answer)
        if key in self.seen:
            self.merged += 1
            return
        self.seen.add(key)
        yield {
            "idx": self.count,
            "task": task,
            "path": path,
            "messages": [
                *self.head,
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": answer},
            ],
            "images": [f"{self.images}/{picture_path(page)}"],
            "bbox": list(bbox),
            "canvas": list(self.graph.canvas),
            "source": source,
        }
        self.count += 1


def _subtree(graph: PageGraph, task: Task) -> int:
    """The subtree that a task counts to: its goal's, or its start's where the goal is page_0."""
    return subtree_of(graph, task.start if task.goal == ROOT else task.goal)


def without_answer(row: dict) -> dict:
    """The same row for RL: the question in ``messages``, the gold in ``solution``."""
    *question, answer = row["messages"]
    return row | {"messages": question, "solution": answer["content"]}


def system_messages(wanted: bool) -> list[dict]:
    """The system prompt as a message, for trainers that have no template of ours; empty if not wanted."""
    return [{"role": "system", "content": prompts.SYSTEM}] if wanted else []


def episode_row(idx: int, task: Task, graph: PageGraph, images: str, system: bool = False) -> dict:
    """A row of multi-turn RL: the first question of a task, and what the environment needs to play it on."""
    prompt = prompts.navigation(task.start, task.goal, [])
    return {
        "idx": idx,
        "task": task.name,
        "path": task.length,
        "messages": [*system_messages(system), {"role": "user", "content": prompt}],
        "images": [f"{images}/{picture_path(task.start)}"],
        "env_config": {"name": "gelab", "world": images, "start": task.start, "goal": task.goal},
        "source": f"sub{_subtree(graph, task)}",
    }


def task_row(idx: int, task: Task) -> dict:
    """A task of interactive evaluation."""
    return {"idx": idx, "task": task.name, "path": task.length, "start": task.start, "goal": task.goal}
