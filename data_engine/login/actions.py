"""The answer grammar of the forms: each action is declared once, here; prompt, parser and history walk over it.

A model answers ``Thought: <text>`` and, on the next line, ``Action: <one call>``. Text in quotes is escaped so that any
text comes back as it was. ``parse`` is total and linear: any text gives an Answer whose ``action`` is one of the
space's, or a ParseFailure.

A new action is a class like Click, its name in SPACE, and a rule in ``env.Filling``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

from .. import answer
from ..answer import BLANKS, Grammar, Reading, after_think, read

MODES = ("coord", "som")  # coordinates, or Set-of-Marks numbers
PLACE = "x={x}, y={y}"
ANSWER = "Thought: {thought}\nAction: {action}"


class Call(NamedTuple):
    """A way to write an action: ``template`` with its fields, as str.format takes it.

    The system prompt of each of ``modes`` states it, with ``shown`` for the fields, and says ``meaning`` of it.
    """

    template: str
    meaning: str
    shown: Mapping[str, Any] = {}
    modes: tuple[str, ...] = MODES


class Action(answer.Action):
    """An action and all that is said of it: its calls, and in ``kind`` what scores and reports count it as."""

    __slots__ = ()
    kind: ClassVar[str]
    calls: ClassVar[tuple[Call, ...]]

    @property
    def call(self) -> Call:
        """The way in which this action is written."""
        return self.calls[0]

    def written(self, decimals: int = 2) -> str:
        """The call of this action, coordinates with so many decimals."""
        words = {field.name: _written(field.type, getattr(self, field.name), decimals) for field in fields(self)}
        return self.call.template.format(**words)


def _written(kind: type, value: Any, decimals: int) -> Any:
    """A value as it stands in a call, by the type of its field."""
    return f"{value:.{decimals}f}" if kind is float else escape(value) if kind is str else value


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})
_ESCAPED = re.compile(r"\\([\\\"'/nr])")
_MEANT = {"n": "\n", "r": "\r"}


def escape(text: str) -> str:
    """Text as it stands between quotes: one line, and (as in JSON) no ``</`` that could close a block of thought."""
    return text.translate(_ESCAPES).replace("</", "<\\/")


def unescape(text: str) -> str:
    """The text that was escaped. A backslash before any other sign is a backslash."""
    return _ESCAPED.sub(lambda match: _MEANT.get(match[1], match[1]), text)


_IS = f"{BLANKS}={BLANKS}"
_NUMBER = r"-?(?:[0-9]{1,9}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})"
_MARK = rf"\[{BLANKS}(?P<mark>[0-9]{{1,4}}){BLANKS}\]"
# No possessive quantifiers: Python 3.11 and 3.12 can match them wrongly (gh-101955). A text between
# quotes can be read in one way only, so that backtracking stays linear.
_DOUBLE = r'"(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"'
_SINGLE = r"'(?P<single>[^'\\]*(?:\\.[^'\\]*)*)'"


@dataclass(frozen=True, slots=True)
class Click(Action):
    """A click at (x, y), fractions meant to be 0..1 of the page; out-of-range numbers are kept, never clamped."""

    kind = "click"
    calls = (
        Call(
            f"CLICK({PLACE})",
            "clicks a point; a click on a text field puts the cursor there",
            {"x": 0, "y": 0},
            ("coord",),
        ),
    )
    pattern = rf"CLICK[ \t]*\({BLANKS}x{_IS}(?P<x>{_NUMBER}){BLANKS},{BLANKS}y{_IS}(?P<y>{_NUMBER}){BLANKS}\)"

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Pick(Action):
    """A click on the element with a number."""

    kind = "click"
    calls = (
        Call(
            "CLICK([{mark}])",
            "clicks element N; a click on a text field puts the cursor there",
            {"mark": "N"},
            ("som",),
        ),
    )
    pattern = rf"CLICK[ \t]*\({BLANKS}{_MARK}{BLANKS}\)"

    mark: int


@dataclass(frozen=True, slots=True)
class Type(Action):
    """Type ``text`` into the field in focus, or into the field with a number."""

    kind = "type"
    calls = (
        Call(
            'TYPE(text="{text}")',
            "types into the field that has the cursor, in place of what it holds",
            {"text": "TEXT"},
            ("coord",),
        ),
        Call(
            'TYPE([{mark}], "{text}")',
            "types into text field N, in place of what it holds",
            {"text": "TEXT", "mark": "N"},
            ("som",),
        ),
    )
    pattern = (
        rf"TYPE[ \t]*\({BLANKS}(?:text{_IS}|{_MARK}{BLANKS},{BLANKS}(?:text{_IS})?)?(?:{_DOUBLE}|{_SINGLE}){BLANKS}\)"
    )

    text: str
    mark: int | None = None

    @property
    def call(self) -> Call:
        return self.calls[self.mark is not None]

    @classmethod
    def read(cls, mark: str | None, double: str | None, single: str | None) -> Self:
        return cls(unescape(single if double is None else double), None if mark is None else int(mark))


@dataclass(frozen=True, slots=True)
class Wait(Action):
    """Do nothing for a turn."""

    kind = "wait"
    calls = (Call("WAIT()", "does nothing for a turn"),)
    pattern = rf"WAIT[ \t]*\({BLANKS}\)"


@dataclass(frozen=True, slots=True)
class Done(Action):
    """The claim that the goal is reached."""

    kind = "done"
    calls = (Call("DONE()", "says that the form was accepted"),)
    pattern = rf"DONE[ \t]*\({BLANKS}\)"


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """Why a text is no action; ``reason`` is one of FAILURES."""

    reason: str


FAILURES = {
    "no action": "the text has no 'Action:' and is no call itself",
    "malformed action": "what follows 'Action:' is none of the calls, or has other text on its line",
    "several actions": "the text has two or more different actions",
    "truncated answer": "the text ends inside a call, or at 'Action:'",
    "unclosed think": "the text opens <think> and never closes it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer, read. ``well_formed`` says that the text has exactly the declared format."""

    action: Action | ParseFailure
    thought: str = ""
    well_formed: bool = False


@dataclass(frozen=True)
class Space:
    """The actions that answers may have, in the order in which system prompts state them."""

    actions: tuple[type[Action], ...]

    @property
    def templates(self) -> list[str]:
        return [call.template for action in self.actions for call in action.calls]

    @cached_property
    def names(self) -> list[str]:
        """What calls begin with, before the bracket."""
        return [template.partition("(")[0] for template in self.templates]

    @cached_property
    def grammar(self) -> Grammar:
        return Grammar.of(self.actions, lead="thought", bare=True)

    def lines(self, mode: str, decimals: int) -> list[str]:
        """What the system prompt of a mode says of each action."""
        calls = [(action, call) for action in self.actions for call in action.calls if mode in call.modes]
        return [f"{action(**call.shown).written(decimals)}  {call.meaning}" for action, call in calls]


SPACE = Space((Click, Pick, Type, Wait, Done))
KINDS = {action: action.kind for action in SPACE.actions} | {ParseFailure: "fail"}


def format_place(x: float, y: float, decimals: int = 2) -> str:
    """A point as a call names it, fractions of the page."""
    return PLACE.format(x=f"{x:.{decimals}f}", y=f"{y:.{decimals}f}")


def format_action(action: Action, decimals: int = 2) -> str:
    """The call of an action, coordinates with so many decimals."""
    return action.written(decimals)


def format_answer(thought: str, action: Action, decimals: int = 2) -> str:
    return ANSWER.format(thought=thought, action=action.written(decimals))


_TEXT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*\\?(?:"|\Z)', re.DOTALL)  # between quotes, or from a quote to the end
_LETTERS = re.compile("[A-Za-z]*")


def parse(text: str, space: Space = SPACE) -> Answer:
    """Read an answer; never raises. Time is linear in the length of ``text``."""
    text = after_think(text)
    if text is None:
        return Answer(ParseFailure("unclosed think"))
    reading = read(text, space.grammar)
    action = _action(text, reading, space)
    exact = not isinstance(action, ParseFailure) and text in {
        format_answer(reading.prose, action, decimals) for decimals in (2, 4)
    }
    return Answer(action, reading.prose, exact)


def _action(text: str, reading: Reading, space: Space) -> Action | ParseFailure:
    at = reading.missing
    if at is not None and (reading.labelled or at < len(text)) and _is_cut(text, at, space.names):
        return ParseFailure("truncated answer")
    if at is not None or reading.crowded:
        return ParseFailure("malformed action" if reading.labelled else "no action")
    actions = set(map(space.grammar.meant, reading.actions))
    return ParseFailure("several actions") if len(actions) > 1 else actions.pop()


def _is_cut(text: str, start: int, names: list[str]) -> bool:
    """True if the text ends before the call at ``start`` does: in its name, or before a bracket outside of quotes."""
    name, _, inside = text[start:].partition("(")
    name = name.rstrip(" \t")
    outside = _TEXT.sub("", inside)
    return bool(_LETTERS.fullmatch(name)) and ")" not in outside and any(n.startswith(name.upper()) for n in names)
