"""The one prompt builder: rows, rollouts and evaluation all ask through it.

The system prompt states exactly the format of the labels, because it is built from the same templates. No text here
holds a literal ``<image>`` but the user turns, where ms-swift puts the screenshot.
"""

import hashlib
from dataclasses import fields, replace

from ..answer import disarmed, quoted
from .actions import ANSWER, MODES, SPACE, Action, ParseFailure, Space

IMAGE = "<image>"  # ms-swift's placeholder; it stands once, at the head of a user turn

_PLACES = {
    "coord": """x and y are fractions of the screenshot with {decimals} decimals:
x from 0 (left) to 1 (right), y from 0 (top) to 1 (bottom).""",
    "som": "A number in a square stands left of the element that it names.",
}
_SYSTEM = """You fill in a form, which you see in a screenshot, one action a turn.
{places} The actions are:
{actions}
In quotes, write \\\\ for a backslash, \\" for a quote and \\n for a new line.
Answer in two lines:
{answer}"""


def system(mode: str, decimals: int = 2, space: Space = SPACE) -> str:
    """The system prompt of a mode; ``decimals`` are those of the labels' coordinates."""
    return _SYSTEM.format(
        places=_PLACES[mode].format(decimals=decimals),
        actions="\n".join(space.lines(mode, decimals)),
        answer=ANSWER.format(thought="what to do next, and why", action="the action"),
    )


def question(goal: str, history: list[str] | None = None, steps: int | None = None) -> str:
    """The user turn: the goal alone, or (scripted) with the actions so far and the number of this step of ``steps``."""
    if history is None:
        return f"{IMAGE}Goal: {goal}\nWhat is the next action?"
    past = disarmed(" ".join(f"{i}. {entry}" for i, entry in enumerate(history, 1))) or "nothing"
    return f"{IMAGE}Goal: {goal}\nDone so far: {past}\nStep {len(history) + 1} of {steps}. What is the next action?"


NO_ACTION = "an answer that could not be read"  # history entry


def acted(action: Action | ParseFailure, decimals: int = 2) -> str:
    """History entry of an answer: its action as the grammar writes it, a typed text as far as ``quoted`` shows it."""
    if isinstance(action, ParseFailure):
        return NO_ACTION
    short = {field.name: quoted(getattr(action, field.name)) for field in fields(action) if field.type is str}
    return replace(action, **short).written(decimals)


def sha256(space: Space = SPACE) -> str:
    """Hash of everything that this module and the grammar can say; rows carry it and loaders compare it."""
    texts = [system(mode, decimals, space) for mode in MODES for decimals in (2, 4)]
    texts += [question("GOAL"), question("GOAL", [], 6), question("GOAL", ["A", NO_ACTION], 6)]
    texts += [ANSWER, *space.templates]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
