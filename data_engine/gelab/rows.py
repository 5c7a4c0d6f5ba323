"""Rows of every stage in ms-swift format, with the paper's counts (its Table 6 and 9 and the composition behind them).

A row has ``messages`` and ``images`` (one path, relative to the file), and columns of ours:

    idx      position in its file
    task     "From page_A to page_B"; "caption" or "grounding" for icon rows
    path     length of the task's shortest path; 1 for edge rows, 0 for icon rows
    source   "subN" (N: number of the goal's subtree), "subN_edge", "subN_recovery" (after a mishap), "icon",
             "page", "opening"
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
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from ..geometry import to_thousand
from ..seeds import rng
from . import prompts
from .actions import COMPLETE_ANSWER, HIT, MISS, UNREADABLE, format_click
from .graph import ROOT, Element, PageGraph
from .oracle import gold_way, pages_above
from .tasks import Task, subtree_of
from .world import picture_path

MIDDLE = (0.25, 0.75)  # the authors' click points keep to about the middle half of the box
# Ends of the sources of rows that stand for themselves, in no path of a task.
SINGLE_STEPS = ("_edge_recovery", "_edge", "_recovery")
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


@dataclass(frozen=True)
class Placement:
    """A graph with its places, and the path of its world below the folder of rows."""

    graph: PageGraph
    images: str


def placement_of(placements: Sequence[Placement], seed: int, stream: str, turn: int, *name: str) -> Placement:
    """Where something of this name is shown: on one of the placements, on the next one in the next ``turn``."""
    if len(placements) == 1:
        return placements[0]
    first = int(rng(seed, "placement", stream, *name).integers(len(placements)))
    return placements[(first + turn) % len(placements)]


class Labels(NamedTuple):
    """What a row says of its task."""

    task: str
    path: int
    source: str


class RowMaker:
    """Makes the rows of one file, one by one. Rows equal in prompt, picture and answer are sampled apart, or merged.

    With ``uniform`` clicks a repeated row gets another point; with ``center`` it cannot, so it is left out and counted
    in ``merged``. ``placements``: each task, edge and icon is shown on one of them, and on the next one in another
    ``turn``. ``recovering``: numbers of the clicks after which a second row shows what to do after a mishap, and of
    ``held_out`` sources ("sub5") none that is a step of another task.
    """

    def __init__(
        self,
        placements: Sequence[Placement],
        clicks: str,
        seed: int,
        stream: str,
        system: bool = False,
        explain: str = "step",
        recovering: frozenset[int] = frozenset(),
        held_out: frozenset[str] = frozenset(),
    ):
        self.placements, self.mode, self.explain = placements, clicks, explain
        self.recovering, self.held_out = recovering, held_out
        self.graph = placements[0].graph  # whose ways are those of all
        self.head = system_messages(system, explain)
        self.clicks = Clicks(clicks, seed, stream)
        self.questions = Clicks("uniform", seed, f"{stream}/questions")
        self.order, self.mishaps = rng(seed, "icons", stream), rng(seed, "mishaps", stream)
        self._placement = partial(placement_of, placements, seed, stream)
        self.seen: set[str] = set()
        self.count = self.merged = self.clicked = 0

    def path(self, task: Task, turn: int = 0) -> Iterator[dict]:
        """One row per step of the shortest path, then the final ``complete``."""
        history: list[str] = []
        where = self._placement(turn, task.name)
        labels = Labels(task.name, task.length, f"sub{_subtree(self.graph, task)}")
        for page, element in self.graph.shortest_path(task.start, task.goal):
            yield from self._step(where, task, history, page, element, labels)
            yield from self._recovery(where, task, list(history), page, element, labels)
            history.append(prompts.entry(HIT, page, element.name))
        yield from self._complete(where, task, history, labels)

    def edge(self, page: str, element: Element, turn: int = 0, pair: bool = False) -> Iterator[dict]:
        """A single step, from a page to a neighbour; as a ``pair``, the ``complete`` there too."""
        task = Task(page, element.target, 1)
        where = self._placement(turn, task.name, element.name)
        labels = Labels(task.name, 1, f"sub{_subtree(self.graph, task)}_edge")
        yield from self._step(where, task, [], page, element, labels)
        yield from self._recovery(where, task, [], page, element, labels)
        if pair:
            yield from self._complete(where, task, [prompts.entry(HIT, page, element.name)], labels)

    def icon(self, name: str, copies: int = ICON_COPIES, turn: int = 0) -> Iterator[dict]:
        """``copies`` captioning and as many grounding rows for one name, spread over the pages that show it."""
        places = self.graph.places[name]
        order = self.order.permutation(len(places))
        for i in range(copies):
            page, _ = places[order[i % len(places)]]
            where = self._placement(turn + i, name)
            element = where.graph.pages[page].element(name)
            question = self._caption(where, element)
            while self._key(question, where, page, name) in self.seen:
                question = self._caption(where, element)
            yield from self._row(where, question, page, name, Labels("caption", 0, "icon"))
            asked = prompts.grounding(name)
            yield from self._click(where, asked, page, element, "", Labels("grounding", 0, "icon"))

    def page(self, page: str, turn: int = 0) -> Iterator[dict]:
        """Which page is shown; and what opens it, asked over a picture of any page."""
        where = self._placement(turn, page)
        chain = pages_above(self.graph, page)
        yield from self._row(where, prompts.shown(), page, " ".join(chain), Labels("page", 0, "page"))
        if page == ROOT:
            return
        shown = list(self.graph.pages)[self.order.integers(len(self.graph.pages))]
        icon = next(e.name for e in self.graph.pages[chain[1]].elements if e.target == page)
        answer = prompts.opened(chain, icon)
        yield from self._row(where, prompts.opening(page), shown, answer, Labels("opening", 0, "opening"))

    def _caption(self, where: Placement, element: Element) -> str:
        return prompts.captioning(*self.questions.point(element, where.graph))

    def _step(
        self, where: Placement, task: Task, history: list[str], page: str, element: Element, labels: Labels
    ) -> Iterator[dict]:
        prompt = prompts.navigation(task.start, task.goal, history)
        way = gold_way(self.graph, page, task.goal, self.explain)
        yield from self._click(where, prompt, page, where.graph.pages[page].element(element.name), way, labels)

    def _complete(self, where: Placement, task: Task, history: list[str], labels: Labels) -> Iterator[dict]:
        prompt = prompts.navigation(task.start, task.goal, history)
        answer = gold_way(self.graph, task.goal, task.goal, self.explain) + COMPLETE_ANSWER
        yield from self._row(where, prompt, task.goal, answer, labels)

    def _recovery(
        self, where: Placement, task: Task, history: list[str], page: str, element: Element, labels: Labels
    ) -> Iterator[dict]:
        """For a click in ``recovering``: the right step after one or two misses or unreadable answers, after a click
        that led elsewhere (not for an edge of a held-out subtree), or after such a click and the one back."""
        self.clicked += 1
        if self.clicked - 1 not in self.recovering:
            return
        kind, count = self.mishaps.integers(4), int(self.mishaps.integers(1, 3))
        wrong = [e for e in self.graph.pages[page].elements if e.target not in (None, element.target, task.goal)]
        clicked = wrong[self.mishaps.integers(len(wrong))] if kind >= 2 and wrong else None
        back = (
            next((e for e in self.graph.pages[clicked.target].elements if e.target == page), None) if clicked else None
        )
        held_out = labels.source.endswith("_edge") and labels.source.removesuffix("_edge") in self.held_out
        if clicked and kind == 2 and not held_out:
            history.append(prompts.entry(HIT, page, clicked.name))
            page, element = clicked.target, self.graph.next_element(clicked.target, task.goal)
        elif back:
            history += [prompts.entry(HIT, page, clicked.name), prompts.entry(HIT, clicked.target, back.name)]
        else:
            history += [prompts.entry(UNREADABLE if kind == 0 else MISS, page)] * count
        source = f"{labels.source}_recovery"
        yield from self._step(where, task, history, page, element, labels._replace(source=source))

    def _click(
        self, where: Placement, prompt: str, page: str, element: Element, way: str, labels: Labels
    ) -> Iterator[dict]:
        answer = way + format_click(element.name, page, *self.clicks.point(element, where.graph))
        while self.mode == "uniform" and self._key(prompt, where, page, answer) in self.seen:
            answer = way + format_click(element.name, page, *self.clicks.point(element, where.graph))
        yield from self._row(where, prompt, page, answer, labels, element.box)

    @staticmethod
    def _key(prompt: str, where: Placement, page: str, answer: str) -> str:
        return f"{prompt}\n{where.images}/{page}\n{answer}"

    def _row(
        self, where: Placement, prompt: str, page: str, answer: str, labels: Labels, bbox: Sequence[int] = ()
    ) -> Iterator[dict]:
        key = self._key(prompt, where, page, answer)
        repeats = self.mode == "uniform" and labels.source.endswith("_edge")  # `complete` has no other point
        if key in self.seen and not repeats:
            self.merged += 1
            return
        self.seen.add(key)
        yield {
            "idx": self.count,
            "task": labels.task,
            "path": labels.path,
            "messages": [
                *self.head,
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": answer},
            ],
            "images": [f"{where.images}/{picture_path(page)}"],
            "bbox": list(bbox),
            "canvas": list(where.graph.canvas),
            "source": labels.source,
        }
        self.count += 1


def _subtree(graph: PageGraph, task: Task) -> int:
    """The subtree that a task counts to: its goal's, or its start's where the goal is page_0."""
    return subtree_of(graph, task.start if task.goal == ROOT else task.goal)


def without_answer(row: dict) -> dict:
    """The same row for RL: the question in ``messages``, the gold in ``solution``."""
    *question, answer = row["messages"]
    return row | {"messages": question, "solution": answer["content"]}


def system_messages(wanted: bool, explain: str = "step") -> list[dict]:
    """The system prompt as a message, for trainers that have no template of ours; empty if not wanted."""
    return [{"role": "system", "content": prompts.system(explain=explain)}] if wanted else []


def episode_row(
    idx: int, task: Task, graph: PageGraph, images: str, system: bool = False, explain: str = "step"
) -> dict:
    """A row of multi-turn RL: the first question of a task, and what the environment needs to play it on."""
    prompt = prompts.navigation(task.start, task.goal, [])
    said = {} if explain == "step" else {"explain": explain}
    return {
        "idx": idx,
        "task": task.name,
        "path": task.length,
        "messages": [*system_messages(system, explain), {"role": "user", "content": prompt}],
        "images": [f"{images}/{picture_path(task.start)}"],
        "env_config": {"name": "gelab", "world": images, "start": task.start, "goal": task.goal, **said},
        "source": f"sub{_subtree(graph, task)}",
    }


def task_row(idx: int, task: Task, world: str = "world") -> dict:
    """A task of interactive evaluation; ``world``: its placement, where it is not on the world itself."""
    where = {} if world == "world" else {"world": world}
    return {"idx": idx, "task": task.name, "path": task.length, "start": task.start, "goal": task.goal, **where}
