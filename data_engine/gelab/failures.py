"""Which kind of failure an answer in GE-Lab is: on a walk, and in teacher-forced rows."""

from pathlib import PurePosixPath
from typing import Annotated

import msgspec

from ..dataset import DataError
from ..failures import ACTION, EARLY, LATE, LOOP, MISSED, NAME, PARSE, RIGHT, WRONG
from ..foreign import check
from ..shapes import Count
from .actions import COMPLETE, HIT, MISS, SPACE, UNREADABLE, Action, Click, Complete, ParseFailure, parse
from .graph import BACK, HOME, Element, PageGraph
from .metrics import Trajectory, Turn, answered, score_prediction

ASKED = ("icon", BACK, HOME, "complete")  # what is due on a page
DONE = ("right icon", "other icon", BACK, HOME, "nothing")  # what was done there: a click, or another action
DONE += (*(action.__name__.lower() for action in SPACE.actions if action is not Click), "unreadable")


class WalkTurn(Turn, kw_only=True):
    """A turn of a walk: on which page, what was said, which element it hit."""

    page: str
    answer: str
    element: str | None = None


class Walk(Trajectory, kw_only=True):
    """A trajectory that can be walked once more."""

    idx: int
    start: str
    goal: str
    steps: Count
    turns: Annotated[list[WalkTurn], msgspec.Meta(min_length=1)]


def read_walk(graph: PageGraph, row: dict) -> dict:
    """A trajectory in this graph. Raises DataError."""
    name = f"task {row.get('task')!r}"
    check(row, Walk, name, "run the evaluation again")
    _known(graph, name, row["start"], row["goal"], *(turn["page"] for turn in row["turns"]))
    for turn in row["turns"]:
        elements = {element.name for element in graph.pages[turn["page"]].elements}
        if turn["outcome"] == HIT and turn.get("element") not in elements:
            raise DataError(f"{name}: no {turn.get('element')!r} on {turn['page']}; run the evaluation again")
    return row


class Pictured(msgspec.Struct):
    """What a row of a task needs to be shown, beside what the metrics need."""

    idx: int
    images: Annotated[list[str], msgspec.Meta(min_length=1)]


def read_answered(graph: PageGraph, row: dict) -> dict:
    """A row of predictions.jsonl in this graph. Raises DataError."""
    row = answered(row)
    if is_step(row):
        check(row, Pictured, f"row {row.get('idx')}", "run the evaluation again")
        _known(graph, f"row {row.get('idx')}", *row_place(row))
    return row


def is_step(row: dict) -> bool:
    """True for a row of a task from page to page, false for those of single icons."""
    return "path" in row and row.get("task", "").startswith("From ")


def _known(graph: PageGraph, where: str, *pages: str) -> None:
    for page in pages:
        if page not in graph.pages:
            raise DataError(f"{where}: no page {page!r} in its world; run the evaluation again")


def walk_kinds(graph: PageGraph, walk: dict) -> list[str]:
    """The kind of each turn of a trajectory, as eval/gelab_interactive.py writes it.

    A click is right if it shortens the way to the goal. The answer after arrival is right if it is ``complete``.
    """
    left, seen, kinds = graph.distances_to(walk["goal"]), set(), []
    for turn in walk["turns"]:
        page, outcome = turn["page"], turn["outcome"]
        if outcome == UNREADABLE:
            kind = PARSE
        elif page == walk["goal"]:
            kind = RIGHT if outcome == COMPLETE else LATE
        elif outcome != HIT:
            kind = {MISS: MISSED, COMPLETE: EARLY}.get(outcome, ACTION)
        else:
            kind = _click_kind(graph, left, page, turn["element"], seen)
        kinds.append(kind)
    return kinds


def _click_kind(graph: PageGraph, left: dict[str, int], page: str, name: str, seen: set) -> str:
    """The kind of a click on an element; ``seen`` gets every wrong one."""
    target = graph.pages[page].element(name).target
    if target and left[target] < left[page]:
        return RIGHT
    kind = LOOP if (page, name) in seen else WRONG
    seen.add((page, name))
    return kind


def shown_on(row: dict) -> str:
    """Path of the world that a row of predictions or a trajectory was shown on, below the folder of rows."""
    return row.get("world") or (row["images"][0].partition("/pages/")[0] if "images" in row else "world")


def row_place(row: dict) -> tuple[str, str]:
    """(page, goal) of a navigation row."""
    return PurePosixPath(row["images"][0]).stem, row["task"].rpartition(" to ")[2]


def row_kind(graph: PageGraph, row: dict) -> str:
    """The kind of a navigation row's ``prediction``; right exactly where the metric counts it as right."""
    page, goal = row_place(row)
    action = parse(row["prediction"]).action
    if score_prediction(row)["right"]:
        return RIGHT
    if isinstance(action, ParseFailure):
        return PARSE
    if not isinstance(action, Click):
        return EARLY if isinstance(action, Complete) else ACTION
    if page == goal:
        return LATE
    hit = element_at(graph, page, [action.x, action.y])
    if hit is None:
        return MISSED
    return NAME if hit == graph.next_element(page, goal) else WRONG


def element_at(graph: PageGraph, page: str, point: list[int]) -> Element | None:
    """The element under a point in 0..1000."""
    for x1, y1, x2, y2, name, _ in graph.click_table[page]:
        if x1 <= point[0] <= x2 and y1 <= point[1] <= y2:
            return graph.pages[page].element(name)
    return None


def asked(graph: PageGraph, page: str, goal: str) -> str:
    """What is due on a page, one of ASKED."""
    if page == goal:
        return "complete"
    element = graph.next_element(page, goal)
    return element.name if element.system else "icon"


def done(graph: PageGraph, page: str, goal: str, action: Action | ParseFailure) -> str:
    """What an action did there, one of DONE."""
    if not isinstance(action, Click):
        return "unreadable" if isinstance(action, ParseFailure) else type(action).__name__.lower()
    hit = element_at(graph, page, [action.x, action.y])
    if hit is None:
        return "nothing"
    if hit.system:
        return hit.name
    return "right icon" if page != goal and hit == graph.next_element(page, goal) else "other icon"
