"""A row's columns and messages, as far as they can be judged without the world.

Findings are ``(kind, what)``; the kinds are those of faults.py.
"""

import re
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from .. import prompts
from ..actions import Click, parse
from ..prompts import IMAGE

Faults = list[tuple[str, str]]
_ENTRIES = re.compile(r"step\d+: click .+? icon on page_\d+\.")


class _Record(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a line may hold: these columns, of these types, and no other."""


class Message(_Record):
    role: Literal["system", "user", "assistant"]
    content: str


class EnvConfig(_Record):
    name: Literal["gelab"]
    world: str
    start: str
    goal: str
    explain: Literal["step", "way"] = "step"


class TaskRow(_Record):
    """A line of tasks_*.jsonl."""

    idx: int
    task: str
    path: int
    start: str
    goal: str
    world: str = "world"


class EpisodeRow(_Record):
    """A line of mt_rl.jsonl."""

    idx: int
    task: str
    path: int
    messages: list[Message]
    images: list[str]
    env_config: EnvConfig
    source: str


class StepRow(_Record):
    """A line of any other file; only RL rows have ``solution``."""

    idx: int
    task: str
    path: int
    messages: list[Message]
    images: list[str]
    bbox: list[int]
    canvas: list[int]
    source: str
    solution: str | UnsetType = UNSET


class Exchange(NamedTuple):
    """What a row says: the question with its image tag at the head (put there if missing), and the gold answer."""

    question: str
    answer: str


def read_messages(row: StepRow | EpisodeRow, rl: bool, wanted: str) -> tuple[Faults, Exchange | None]:
    """Findings about roles, image tags and system prompt, which must be ``wanted``; None where question and answer
    cannot be told."""
    system = row.messages[0].content if row.messages and row.messages[0].role == "system" else None
    turns = row.messages[system is not None :]
    roles = ["user"] if rl else ["user", "assistant"]
    if [turn.role for turn in turns] != roles:
        if rl and turns and turns[-1].role == "assistant":
            return [("leaked target", "the messages of an RL row end with an assistant turn")], None
        return [("wrong messages", f"the turns are not {' and '.join(roles)}")], None
    solution = row.solution if isinstance(row, StepRow) else UNSET
    if (solution is UNSET) == (rl and isinstance(row, StepRow)):
        return [("wrong column", "'solution' must hold the gold in st_rl.jsonl, and nowhere else")], None
    answer = turns[1].content if len(turns) > 1 else "" if solution is UNSET else solution
    question = turns[0].content
    faults = _system(system, answer, wanted) + _tags(row.images, question, answer)
    return faults, Exchange(IMAGE + question.replace(IMAGE, ""), answer)


def _system(system: str | None, answer: str, wanted: str) -> Faults:
    if system == wanted or (system is None and wanted == prompts.SYSTEM):  # the template's own
        return []
    if system is None:
        return [("system prompt", "is not in the row, and the template has another")]
    if IMAGE in system:
        return [("image tag", f"a literal {IMAGE} in the system prompt, where ms-swift would put the screenshot")]
    return leak(system.replace(wanted, ""), answer) or [("system prompt", "is not the prompt builder's")]


def _tags(images: list[str], question: str, answer: str) -> Faults:
    """One picture, and its tag once, at the head of the question."""
    if len(images) != 1:
        return [("wrong image", f"the row has {len(images)} images, not 1")]
    if question.startswith(IMAGE) and question.count(IMAGE) == 1 and IMAGE not in answer:
        return []
    return [("image tag", f"{IMAGE} does not stand once, at the head of the user turn")]


def leak(text: str, answer: str, named: bool = False) -> Faults:
    """The answer, told by a text outside of its history entries; ``named``: the text may name the icon."""
    rest, gold = loose(_ENTRIES.sub("", text)), parse(answer)
    clues = [answer]
    if isinstance(gold.action, Click):
        clues += [f"{gold.action.x},{gold.action.y}", f"{gold.action.x}, {gold.action.y}"]
        clues += [gold.icon] if gold.icon and not named else []
    for clue in filter(None, clues):
        if re.search(rf"(?<!\w){re.escape(loose(clue))}(?!\w)", rest):
            return [("leaked target", f"the prompt holds {clue!r}, which is the answer")]
    return []


def loose(text: str) -> str:
    """A text with blanks for underscores, in lower case: what careless spelling leaves of it."""
    return text.replace("_", " ").lower()


def odd_question(question: str, answer: str) -> Faults:
    """Why a question is none that the prompt builder asks for navigation."""
    if faults := leak(question, answer):
        return faults
    if not re.search(r"History: \S", question):
        return [("missing history", "the question has no 'History: Null' and no steps")]
    return [("wrong question", f"{question[:120]!r} is none of the prompt builder's")]


def columns(row: object, kind: str = "wrong column", **wanted: object) -> Faults:
    """Columns that are not what they must be."""
    has = {name: getattr(row, name) for name in wanted}
    return [(kind, f"{name} is {has[name]!r}, not {wanted[name]!r}") for name in wanted if has[name] != wanted[name]]
