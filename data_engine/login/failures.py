"""Which kind of failure an answer on a form is: step by step, and in the closed loop."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from ..dataset import DataError
from ..failures import ACTION, EARLY, LATE, LOOP, MISSED, PARSE, RIGHT, TEXT, WRONG
from ..foreign import check
from .actions import KINDS, Action, Click, Done, ParseFailure, Pick, Type, parse
from .env import Filling
from .forms import CANVAS, Element, Form, View
from .metrics import Judged, Trajectory, answered, name_of
from .metrics import Turn as Answered
from .oracle import next_action
from .tasks import Task

ASKED = ("click", "type", "wait", "done")  # what is due
DONE = ("click right", "click other", "click nothing", "type right", "type other", "wait", "done", "unreadable")


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer in the closed loop: what was seen, said and due, and the kind of the answer."""

    view: View
    action: Action | ParseFailure
    element: Element | None
    due: Action
    due_element: Element | None
    kind: str


class WalkTurn(Answered, kw_only=True):
    """An answer of a trajectory, with its text."""

    answer: str
    element: str | None = None


class Walk(Trajectory, kw_only=True):
    """A trajectory that can be acted out once more."""

    key: str
    turns: Annotated[list[WalkTurn], msgspec.Meta(min_length=1)]


def read_walk(tasks: Mapping[str, Task], row: dict) -> dict:
    """A trajectory of one of the tasks. Raises DataError."""
    name = f"episode {row.get('key')!r}"
    check(row, Walk, name, "run the evaluation again")
    if row["key"] not in tasks:
        raise DataError(f"{name}: none of the forms of its rows; run the evaluation again")
    state = Filling(tasks[row["key"]], len(row["turns"]))
    for turn in row["turns"]:
        if state.done:
            raise DataError(f"{name}: has turns after its end; run the evaluation again")
        state.act(parse(turn["answer"]).action)
    return row


def read_answered(tasks: Mapping[str, Task], row: dict) -> dict:
    """A row of predictions.jsonl of one of the tasks. Raises DataError."""
    row = answered(row)
    if row["episode"] not in tasks:
        raise DataError(f"{name_of(row)}: none of the forms of its rows; run the evaluation again")
    names = {element.name for element in tasks[row["episode"]].form.elements}
    if row.get("element") not in {None, *names} or not row.get("images"):
        raise DataError(f"{name_of(row)}: no element of the form, or no picture; run the evaluation again")
    return row


def aimed_at(form: Form, mode: str, action: Action | ParseFailure) -> Element | None:
    """The element that an action points at, by place or by number."""
    if isinstance(action, Click) and mode != "som":
        return form.hit(action.x * CANVAS.width, action.y * CANVAS.height)
    if isinstance(action, Pick | Type) and mode == "som" and action.mark is not None:
        return form.marked(action.mark)
    return None


def kind_of(form: Form, mode: str, action: Action | ParseFailure, due: str, name: str | None, text: str | None) -> str:
    """The kind of an action where ``due`` (click, type, wait, done) is due, with element ``name`` and ``text``."""
    did, element = KINDS[type(action)], aimed_at(form, mode, action)
    if isinstance(action, ParseFailure):
        return PARSE
    if due != did:
        return EARLY if isinstance(action, Done) else LATE if due == "done" else ACTION
    pointed = did == "click" or (did == "type" and mode == "som")
    if pointed and (element is None or element.name != name):
        return MISSED if element is None else WRONG
    return TEXT if isinstance(action, Type) and action.text != text else RIGHT


def row_kind(form: Form, judged: Judged) -> str:
    """The kind of a row's prediction; right exactly where strict scoring counts it as right."""
    row, truth = judged.row, judged.truth
    if judged.strict.right:
        return RIGHT
    kind = kind_of(form, row["mode"], judged.action, truth.type, row.get("element"), truth.text)
    return WRONG if kind == RIGHT else kind  # a text with a number on a page that has none


def steps_left(form: Form, view: View) -> int:
    """Actions that still are due until the form is accepted: a click and a text for each field, then the button."""
    if view.accepted:
        return 0
    wrong = [f.name for f, text in zip(form.fields, view.texts, strict=True) if text != form.values[f.name]]
    return 2 * len(wrong) - (view.focus in wrong) + 1


def replay(task: Task, walk: dict) -> Iterator[Turn]:
    """The turns of a trajectory, as eval/login_eval.py --closed-loop writes it, acted out once more.

    An answer is right if it leaves fewer steps to do, in whatever order; the answer after acceptance, if it is DONE.
    """
    state, seen, mode = Filling(task, len(walk["turns"])), set(), task.options.mode
    for turn in walk["turns"]:
        view, action = state.view, parse(turn["answer"]).action
        due, element = next_action(task.form, mode, view)
        state.act(action)
        if steps_left(task.form, state.view) < steps_left(task.form, view):
            kind = RIGHT
        else:
            expected = KINDS[type(due)], element and element.name, getattr(due, "text", None)
            kind = kind_of(task.form, mode, action, *expected)
        if kind in (WRONG, ACTION, TEXT):
            kind = LOOP if (view, action) in seen else kind
            seen.add((view, action))
        yield Turn(view, action, aimed_at(task.form, mode, action), due, element, kind)


def done(form: Form, mode: str, action: Action | ParseFailure, name: str | None, text: str | None) -> str:
    """What an action did where element ``name`` and ``text`` were due, one of DONE."""
    kind = KINDS[type(action)]
    if kind == "click":
        element = aimed_at(form, mode, action)
        return "click nothing" if element is None else "click right" if element.name == name else "click other"
    if kind == "type":
        return "type right" if action.text == text else "type other"
    return {"wait": "wait", "done": "done", "fail": "unreadable"}[kind]
