"""An episode, proven: its form against the arguments, its rows replayed in the environment, its pictures drawn anew.

The code that wrote the rows is not called: each answer is read from its own text and acts on the form; what must be
asked, shown and answered next follows from the state that results. Findings are ``(kind, what)``.
"""

from pathlib import Path

import msgspec
import numpy as np

from ...dataset import DataError
from ...geometry import Box
from ...pictures import read_picture
from ...shapes import Message
from .. import prompts
from ..actions import KINDS, Action, Click, Done, ParseFailure, Pick, Type, Wait, format_action, parse
from ..env import MISS, Filling
from ..forms import BUTTON, CANVAS, Element, Form, View
from ..tasks import Task

Faults = list[tuple[str, str]]


class Truth(msgspec.Struct, forbid_unknown_fields=True):
    """The right action: fractions 0..1, null where it does not apply."""

    type: str
    x: float | None
    y: float | None
    text: str | None
    bbox: tuple[float, float, float, float] | None
    element: int | None


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One step, as rows.py describes it."""

    idx: int
    episode: str
    step: int
    scenario: str
    mode: str
    protocol: str
    element: str | None
    messages: list[Message]
    images: tuple[str]
    truth: Truth


class TaskRow(msgspec.Struct, forbid_unknown_fields=True):
    """One episode, as rows.py describes it."""

    idx: int
    episode: str
    messages: list[Message]
    images: tuple[str]
    env_config: dict
    form: Form


def layout_faults(form: Form) -> Faults:
    """Boxes and labels are inside of the canvas and overlap nothing."""
    boxes = [("the title", form.title)]
    for element in form.elements:
        boxes.append((element.name, element.box))
        if element.label:
            boxes.append((f"the label of {element.name}", element.label))
    outside = [(name, tuple(box)) for name, box in boxes if not box.inside(CANVAS)]
    faults = [("bad layout", f"{name} {box} is outside of the canvas") for name, box in outside]
    for i, (name, box) in enumerate(boxes):
        for other, there in boxes[i + 1 :]:
            if _overlap(box, there):
                faults.append(("bad layout", f"{name} {tuple(box)} overlaps {other} {tuple(there)}"))
    marks = [element.mark for element in form.elements if element.mark is not None]
    return faults + [("bad layout", "two elements have one mark")] * (len(set(marks)) < len(marks))


def _overlap(first: Box, second: Box) -> bool:
    """Rectangles that share more than an edge."""
    return first.x1 < second.x2 and second.x1 < first.x2 and first.y1 < second.y2 and second.y1 < first.y2


class Replay:
    """Takes the rows of one episode in order; ``check`` finds what is wrong with the next."""

    def __init__(self, folder: Path, task: Task, system: bool):
        self.folder, self.task, self.rules = folder, task, task.rules
        self.state, self.screen = Filling(task), task.screen()
        self.head = [("system", prompts.system(task.options.mode, task.rules.decimals))] if system else []
        self.step = 0
        self.proven: dict[str, View] = {}

    def check_task(self, row: TaskRow) -> Faults:
        """The first question and picture, and what rebuilds the task."""
        o = self.task.options
        config = {"name": "login", "scenario": o.scenario, "mode": o.mode, "protocol": o.protocol, "seed": o.seed}
        config |= {"split": o.split, "page_size": list(o.page_size), "index": self.task.index}
        faults = [] if row.env_config == config else [("wrong column", f"env_config is {row.env_config}")]
        return faults + self._messages(row.messages) + self._picture(row.images[0], self.state.view)

    def check(self, row: Row) -> Faults:
        faults = self._columns(row)
        exchange = [message.content for message in row.messages]
        if [message.role for message in row.messages][-1:] != ["assistant"]:
            return faults + [("wrong messages", "the last message is no answer")]
        faults += self._messages(row.messages[:-1])
        view = self.state.view
        action, element, answered = self._answer(row, exchange[-1], view)
        shown = self.state.view if self.rules.as_published and isinstance(action, Type) else view
        self.step += 1
        return faults + answered + self._truth(row, action, element) + self._picture(row.images[0], shown)

    def ended(self) -> Faults:
        """What is lacking once the rows are through."""
        if self.state.declared:
            return []
        return [("lost episode", f"{self.task.key} ends after {self.step} rows")]

    def _columns(self, row: Row) -> Faults:
        o = self.task.options
        wanted = {"step": self.step, "scenario": o.scenario, "mode": o.mode, "protocol": o.protocol}
        return [
            ("wrong column", f"{name} is {getattr(row, name)!r}, not {value!r}")
            for name, value in wanted.items()
            if getattr(row, name) != value
        ]

    def _messages(self, messages: list[Message]) -> Faults:
        """System prompt (if wanted) and question, word for word."""
        exchange = [(message.role, message.content) for message in messages]
        if [role for role, _ in exchange] != [role for role, _ in self.head] + ["user"]:
            return [("wrong messages", f"the roles are {[role for role, _ in exchange]}")]
        faults = [("system prompt", f"is {exchange[0][1][:60]!r}...")] if exchange[:-1] != self.head else []
        wanted = self.state.question()
        return faults + [("wrong question", f"{exchange[-1][1]!r}, not {wanted!r}")] * (exchange[-1][1] != wanted)

    def _answer(self, row: Row, text: str, view: View) -> tuple[Action | ParseFailure, Element | None, Faults]:
        """Act as the answer says. It must be well formed and bring the form nearer to its goal."""
        answer, state = parse(text), self.state
        action = answer.action
        if state.done:
            return action, None, [("wrong answer", "the episode is over before this row")]
        outcome = state.act(action)
        name = state.events[-1][1]
        element = self.task.form.element(name) if name else None
        faults = [] if answer.well_formed else [("wrong answer", f"{text!r} is not written as the grammar writes it")]
        if not self._helps(action, element, view) or outcome == MISS:
            faults.append(("wrong answer", f"{format_or_not(action)} is not the next action; outcome {outcome!r}"))
        elif row.element != name:
            faults.append(("wrong column", f"element is {row.element!r}, the answer is about {name!r}"))
        return action, element, faults

    def _helps(self, action: Action | ParseFailure, element: Element | None, view: View) -> bool:
        """True if the action is the script's next one: fields in order, a click and its text for each, then submit."""
        if isinstance(action, Wait):
            return self.rules.as_published and self.step == 0
        if view.accepted or element is None:
            return view.accepted and isinstance(action, Done)
        values, texts = self.task.form.values, dict(zip(self.task.form.values, view.texts, strict=True))
        first = next((name for name, value in values.items() if texts[name] != value), None)
        if first is None:
            return element.kind == BUTTON
        if view.focus != first:
            return element.name == first and isinstance(action, Click | Pick)
        return element.name == first and isinstance(action, Type) and action.text == values[first]

    def _truth(self, row: Row, action: Action | ParseFailure, element: Element | None) -> Faults:
        """The columns that are scored against agree with the answer and the element's box."""
        truth, som = row.truth, self.task.options.mode == "som"
        wanted = {"type": KINDS[type(action)], "text": getattr(action, "text", None)}
        wanted["element"] = element.mark if som and element else None
        wrong = [(name, value) for name, value in wanted.items() if getattr(truth, name) != value]
        faults = [("wrong truth", f"{name} is {getattr(truth, name)!r}, not {value!r}") for name, value in wrong]
        if not (element and isinstance(action, Click | Pick)):
            placed = (truth.x, truth.y, truth.bbox) != (None, None, None)
            return faults + [("wrong truth", f"a {truth.type} has no point or box")] * placed
        (x1, y1, x2, y2), (w, h) = element.box, CANVAS
        if truth.bbox is None or not np.allclose(truth.bbox, (x1 / w, y1 / h, x2 / w, y2 / h), atol=1e-9):
            return [*faults, ("wrong truth", f"bbox is {truth.bbox}, the element's is {tuple(element.box)} pixels")]
        at = (x1 + (x2 - x1) // 2) / w, (y1 + (y2 - y1) // 2) / h
        near = truth.x is not None and truth.y is not None and np.allclose((truth.x, truth.y), at, atol=1e-9)
        return faults + [("wrong truth", f"the point is {truth.x, truth.y}, the middle is {at}")] * (not near)

    def _picture(self, name: str, view: View) -> Faults:
        """The file shows the state, pixel for pixel."""
        shown = view if self.rules.focus else View(view.texts, None, view.accepted)
        if self.proven.get(name) == shown:
            return []
        try:
            pixels = np.array(read_picture(self.folder / name, "RGB"))
        except (OSError, DataError) as error:
            return [("wrong picture", str(error).replace(f"{self.folder}/", "", 1))]
        wanted = np.asarray(self.screen.picture(view))
        if pixels.shape != wanted.shape:
            return [("page size", f"{name} has {pixels.shape[1]}x{pixels.shape[0]} pixels")]
        if not np.array_equal(pixels, wanted):
            rows, columns = np.nonzero((pixels != wanted).any(axis=2))
            where = f"x {columns.min()}..{columns.max()}, y {rows.min()}..{rows.max()}"
            return [("wrong picture", f"{name} is not the state of this row: pixels differ at {where}")]
        self.proven[name] = shown
        return []


def format_or_not(action: Action | ParseFailure) -> str:
    return action.reason if isinstance(action, ParseFailure) else format_action(action)
