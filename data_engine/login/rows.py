"""Rows of an episode in ms-swift format: the oracle fills in the form, and each of its steps is a row.

A row has ``messages`` and ``images`` (one path, relative to the file), and columns of ours:

    idx        position in its file
    episode    the task's name                      step      0, 1, ... in the episode
    scenario, mode, protocol                        element   name of the element that the answer is about, or null
    truth      the right action: type; x, y and bbox as fractions 0..1 (unrounded); text; element: the mark in Set-of-
               Marks mode; each null where it does not apply

A row, its system prompt and question cut:

    {"idx": 0, "episode": "hard-login-coord-train-123-0000", "step": 0, "scenario": "login", "mode": "coord",
     "protocol": "hard", "element": "username", "images": ["images/0000_00.png"], "messages": [..., {"role":
     "assistant", "content": "Thought: Username is next, so I click it.\\nAction: CLICK(x=0.23, y=0.41)"}],
     "truth": {"type": "click", "x": 0.235, "y": 0.408, "text": null, "bbox": [0.067, 0.383, 0.402, 0.433],
     "element": null}}
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from . import prompts
from .actions import KINDS, Action, Type, Wait
from .env import Filling
from .forms import CANVAS, Element, View
from .oracle import answer_text, centre, next_action
from .tasks import Task


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the script: what is seen and asked, the right action, and the element that it is about."""

    view: View
    question: str
    action: Action
    element: Element | None


def script(task: Task) -> Iterator[Step]:
    """The steps of the oracle. As published: WAIT first, and TYPE is asked for when its text is there already."""
    state, rules = Filling(task), task.rules
    if rules.as_published:
        yield Step(state.view, state.question(), Wait(), None)
    while not state.done:
        view, question = state.view, state.question()
        action, element = next_action(task.form, task.options.mode, view)
        state.act(action)
        late = rules.as_published and isinstance(action, Type)
        yield Step(state.view if late else view, question, action, element)


def truth(step: Step, mode: str) -> dict:
    """The right action as the scores read it."""
    kind, element = KINDS[type(step.action)], step.element
    box = element.box if kind == "click" else None
    x, y = centre(box) if box else (None, None)
    sides = (CANVAS.width, CANVAS.height) * 2
    return {
        "type": kind,
        "x": x,
        "y": y,
        "text": step.action.text if kind == "type" else None,
        "bbox": [edge / side for edge, side in zip(box, sides, strict=True)] if box else None,
        "element": element.mark if element and mode == "som" else None,
    }


def seen(task: Task, view: View) -> View:
    """A state without what its picture does not show."""
    return view if task.rules.focus else replace(view, focus=None)


def episode_rows(task: Task, steps: Sequence[Step], pictures: dict[View, str], system: bool) -> Iterator[dict]:
    """The rows of a task's script but for ``idx``; ``pictures`` names the picture of each state that is seen."""
    options = task.options
    for number, step in enumerate(steps):
        answer = answer_text(step.action, step.element, task.rules)
        yield {
            "episode": task.key,
            "step": number,
            "scenario": options.scenario,
            "mode": options.mode,
            "protocol": options.protocol,
            "element": step.element and step.element.name,
            "messages": [
                *system_messages(task, system),
                {"role": "user", "content": step.question},
                {"role": "assistant", "content": answer},
            ],
            "images": [pictures[seen(task, step.view)]],
            "truth": truth(step, options.mode),
        }


def system_messages(task: Task, wanted: bool) -> list[dict]:
    """The system prompt as a message; empty if not wanted (the published Qwen training drops it)."""
    content = prompts.system(task.options.mode, task.rules.decimals)
    return [{"role": "system", "content": content}] if wanted else []


def task_row(task: Task, pictures: dict[View, str], system: bool) -> dict:
    """A row of multi-turn RL and of the closed loop: the first question, what rebuilds the task, and its form."""
    options, state = task.options, Filling(task)
    return {
        "idx": task.index,
        "episode": task.key,
        "messages": [*system_messages(task, system), {"role": "user", "content": state.question()}],
        "images": [pictures[state.view]],
        "env_config": {
            "name": "login",
            "scenario": options.scenario,
            "mode": options.mode,
            "protocol": options.protocol,
            "seed": options.seed,
            "split": options.split,
            "page_size": list(options.page_size),
            "index": task.index,
        },
        "form": task.form,
    }
