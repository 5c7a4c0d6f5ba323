"""The answer grammar of the forms: declared once here, read by the prompt, the parser, the environment and the scores.

A model answers ``Thought: <text>`` and, on the next line, ``Action: <one call>``. The calls are those of FORMS. Text in
quotes is escaped so that any text comes back as it was. ``parse`` is total and linear: any text gives an Answer whose
``action`` is one of the five actions or a ParseFailure.
"""

import re
from dataclasses import dataclass

from ..answer import ASCII, BLANKS, Grammar, Reading, after_think, label, read

PLACE = "x={x}, y={y}"
FORMS = {
    "click": f"CLICK({PLACE})",
    "pick": "CLICK([{mark}])",
    "type": 'TYPE(text="{text}")',
    "type into": 'TYPE([{mark}], "{text}")',
    "wait": "WAIT()",
    "done": "DONE()",
}
ANSWER = "Thought: {thought}\nAction: {action}"


@dataclass(frozen=True, slots=True)
class Click:
    """A click at (x, y), fractions meant to be 0..1 of the page; out-of-range numbers are kept, never clamped."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Pick:
    """A click on the element with a number."""

    mark: int


@dataclass(frozen=True, slots=True)
class Type:
    """Type ``text`` into the field in focus, or into the field with a number."""

    text: str
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a turn."""


@dataclass(frozen=True, slots=True)
class Done:
    """The claim that the goal is reached."""


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """Why a text is no action; ``reason`` is one of FAILURES."""

    reason: str


Action = Click | Pick | Type | Wait | Done
KINDS = {Click: "click", Pick: "click", Type: "type", Wait: "wait", Done: "done", ParseFailure: "fail"}
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


def format_place(x: float, y: float, decimals: int = 2) -> str:
    """A point as a call names it, fractions of the page."""
    return PLACE.format(**_digits(x, y, decimals))


def _digits(x: float, y: float, decimals: int) -> dict[str, str]:
    return {"x": f"{x:.{decimals}f}", "y": f"{y:.{decimals}f}"}


def format_action(action: Action, decimals: int = 2) -> str:
    """The call of an action, coordinates with so many decimals."""
    match action:
        case Click(x, y):
            return FORMS["click"].format(**_digits(x, y, decimals))
        case Pick(mark):
            return FORMS["pick"].format(mark=mark)
        case Type(text, None):
            return FORMS["type"].format(text=escape(text))
        case Type(text, mark):
            return FORMS["type into"].format(mark=mark, text=escape(text))
        case _:
            return FORMS[KINDS[type(action)]]


def format_answer(thought: str, action: Action, decimals: int = 2) -> str:
    return ANSWER.format(thought=thought, action=format_action(action, decimals))


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})
_ESCAPED = re.compile(r"\\([\\\"'/nr])")
_MEANT = {"n": "\n", "r": "\r"}


def escape(text: str) -> str:
    """Text as it stands between quotes: one line, and (as in JSON) no ``</`` that could close a block of thought."""
    return text.translate(_ESCAPES).replace("</", "<\\/")


def unescape(text: str) -> str:
    """The text that was escaped. A backslash before any other sign is a backslash."""
    return _ESCAPED.sub(lambda match: _MEANT.get(match[1], match[1]), text)


_NUMBER = r"(-?(?:[0-9]{1,9}(?:\.[0-9]{0,18})?|\.[0-9]{1,18}))"
_MARK = rf"\[{BLANKS}([0-9]{{1,4}}){BLANKS}\]"
# No possessive quantifiers: Python 3.11 and 3.12 can match them wrongly (gh-101955). A text between
# quotes can be read in one way only, so that backtracking stays linear.
_STRING = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_QUOTED = rf"(?:{_STRING}|{_STRING.replace(chr(34), chr(39))})"
_IS = f"{BLANKS}={BLANKS}"
_CALL = re.compile(
    rf"CLICK[ \t]*\({BLANKS}(?:x{_IS}{_NUMBER}{BLANKS},{BLANKS}y{_IS}{_NUMBER}|{_MARK}){BLANKS}\)"
    rf"|TYPE[ \t]*\({BLANKS}(?:text{_IS}|{_MARK}{BLANKS},{BLANKS}(?:text{_IS})?)?{_QUOTED}{BLANKS}\)"
    rf"|(WAIT|DONE)[ \t]*\({BLANKS}\)",
    ASCII | re.DOTALL,
)
_GRAMMAR = Grammar(label("thought"), _CALL, _CALL, bare=True)
_TEXT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*\\?(?:"|\Z)', re.DOTALL)  # between quotes, or from a quote to the end
_LETTERS = re.compile("[A-Za-z]*")
_NAMES = ("CLICK", "TYPE", "WAIT", "DONE")


def parse(text: str) -> Answer:
    """Read an answer; never raises. Time is linear in the length of ``text``."""
    text = after_think(text)
    if text is None:
        return Answer(ParseFailure("unclosed think"))
    reading = read(text, _GRAMMAR)
    action = _read_action(text, reading)
    exact = not isinstance(action, ParseFailure) and text in {
        format_answer(reading.prose, action, decimals) for decimals in (2, 4)
    }
    return Answer(action, reading.prose, exact)


def _read_action(text: str, reading: Reading) -> Action | ParseFailure:
    at = reading.missing
    if at is not None and (reading.labelled or at < len(text)) and _is_cut(text, at):
        return ParseFailure("truncated answer")
    if at is not None or reading.crowded:
        return ParseFailure("malformed action" if reading.labelled else "no action")
    actions = {_action(call) for call in reading.actions}
    return ParseFailure("several actions") if len(actions) > 1 else actions.pop()


def _is_cut(text: str, start: int) -> bool:
    """True if the text ends before the call at ``start`` does: in its name, or before a bracket outside of quotes."""
    name, _, inside = text[start:].partition("(")
    name = name.rstrip(" \t")
    outside = _TEXT.sub("", inside)
    return bool(_LETTERS.fullmatch(name)) and ")" not in outside and any(n.startswith(name.upper()) for n in _NAMES)


def _action(call: re.Match) -> Action:
    x, y, picked, into, double, single, plain = call.groups()
    if plain:
        return Wait() if plain.upper() == "WAIT" else Done()
    if x is not None:
        return Click(float(x), float(y))
    if picked is not None:
        return Pick(int(picked))
    text = unescape(double if double is not None else single)
    return Type(text, None if into is None else int(into))
