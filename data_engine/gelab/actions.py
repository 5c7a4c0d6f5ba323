"""The answer grammar of GE-Lab: declared once here, read by the prompt, the parser, the environment and the scores.

A model answers one line, ``Explain:<text>\\tAction: <action>``. Special tokens around the point may be kept or
stripped by the engine; both read the same. ``parse`` is total and linear: any text gives an Answer whose ``action`` is
a Click, a Scroll, a Complete or a ParseFailure.

An action space says which forms an answer may have. ``click`` is the paper's; ``click_scroll`` is that of worlds whose
pages are taller than the screen, and the only one that can read a scroll.
"""

import re
from dataclasses import dataclass

from ..answer import ASCII, BLANKS, Grammar, Reading, after_think, label, read
from ..dataset import DataError

CLICK_TEMPLATE = "Explain:click {icon} icon on {page}.\tAction: click(start_box='<|box_start|>({x},{y})<|box_end|>')"
COMPLETE_ANSWER = "Explain: this is target page.\tAction: complete"
SCROLL_TEMPLATE = "Explain:scroll {direction} on {page}.\tAction: scroll(direction='{direction}')"
CLICK_SPACE, SCROLL_SPACE = "click", "click_scroll"


@dataclass(frozen=True, slots=True)
class Click:
    """A click at (x, y), integers meant to be 0..1000; out-of-range numbers are kept as written, never clamped."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Complete:
    """The claim that the goal is reached."""


@dataclass(frozen=True, slots=True)
class Scroll:
    """A scroll by half a screen; ``direction`` is ``down`` (further parts come into view) or ``up``."""

    direction: str


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """Why a text is no action; ``reason`` is one of FAILURES."""

    reason: str


FAILURES = {
    "no action": "the text has no 'Action:'",
    "malformed action": "what follows 'Action:' is no click with two integers, no 'complete', no scroll of its space",
    "several actions": "the text has two or more different actions",
    "unclosed think": "the text opens <think> and never closes it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer, read.

    ``icon`` and ``page`` are what the text *claims* to click on (None where it claims nothing); no state may ever be
    taken from them. ``well_formed`` says that the text has exactly the declared format.
    """

    action: Click | Scroll | Complete | ParseFailure
    explain: str = ""
    icon: str | None = None
    page: str | None = None
    well_formed: bool = False


def format_click(icon: str, page: str, x: int, y: int) -> str:
    return CLICK_TEMPLATE.format(icon=icon, page=page, x=x, y=y)


def format_scroll(direction: str, page: str) -> str:
    return SCROLL_TEMPLATE.format(direction=direction, page=page)


def space_of(scroll: int) -> str:
    """The action space of a world whose pages are ``scroll`` half screens taller than the screen."""
    return SCROLL_SPACE if scroll else CLICK_SPACE


_POINT = rf"(?:<\|box_start\|>)?\({BLANKS}(-?[0-9]{{1,6}}){BLANKS},{BLANKS}(-?[0-9]{{1,6}}){BLANKS}\)(?:<\|box_end\|>)?"
_CLICK = rf"click[ \t]*\({BLANKS}start_box{BLANKS}={BLANKS}(['\"]?){_POINT}\1{BLANKS}\)"
_SCROLL = rf"scroll[ \t]*\({BLANKS}direction{BLANKS}={BLANKS}(['\"]?)(down|up)\4{BLANKS}\)"
_LINE = r"^[ \t`*]*complete(?=[ \t\r`*.;]*$)"  # the word alone, not in a sentence


_CLAIM = re.compile("click ", ASCII)
_AFTER_CLAIM = ". `*"


def _grammar(call: str) -> Grammar:
    below = re.compile(rf"{call}|{_LINE}", ASCII | re.MULTILINE)
    return Grammar(label("explain"), re.compile(rf"{call}|complete", ASCII), below)


_CLICK_GRAMMAR, _SCROLL_GRAMMAR = _grammar(_CLICK), _grammar(f"{_CLICK}|{_SCROLL}")
_STRICT_CLICK = r"click\(start_box='(?:<\|box_start\|>)?\([0-9]{1,4}, ?[0-9]{1,4}\)(?:<\|box_end\|>)?'\)"
_STRICT_SCROLL = r"scroll\(direction='(?:down|up)'\)"
_LEAD = r"[Ee]xplain:(?:(?!<\||<image>)[^\t])+\tAction: "  # no token in the prose


@dataclass(frozen=True, slots=True)
class Space:
    """An action space: its answers as the prompt states them, exactly those in a pattern, and as they are read."""

    forms: tuple[str, ...]
    strict: re.Pattern
    grammar: Grammar


_CLICK_FORM = format_click("NAME", "PAGE", "x", "y")
_SCROLL_FORMS = (format_scroll("down", "PAGE"), format_scroll("up", "PAGE"))
SPACES = {
    CLICK_SPACE: Space(
        (_CLICK_FORM, COMPLETE_ANSWER),
        re.compile(rf"{_LEAD}(?:{_STRICT_CLICK}|complete)"),
        _CLICK_GRAMMAR,
    ),
    SCROLL_SPACE: Space(
        (_CLICK_FORM, *_SCROLL_FORMS, COMPLETE_ANSWER),
        re.compile(rf"{_LEAD}(?:{_STRICT_CLICK}|{_STRICT_SCROLL}|complete)"),
        _SCROLL_GRAMMAR,
    ),
}


def known_space(name: str) -> str:
    """The name of an action space. Raises DataError if it is none."""
    if name not in SPACES:
        raise DataError(f"action space {name!r}: unknown; known are {', '.join(SPACES)}")
    return name


def parse(text: str, space: str = CLICK_SPACE) -> Answer:
    """Read an answer in a space, one of ``SPACES``; no text raises. Time is linear in the length of ``text``."""
    text = after_think(text)
    if text is None:
        return Answer(ParseFailure("unclosed think"))
    reading = read(text, SPACES[space].grammar)
    if not reading.labelled:
        return Answer(ParseFailure("no action"), explain=reading.prose)
    action = _action(reading)
    well_formed = len(reading.actions) == 1 and SPACES[space].strict.fullmatch(text) is not None
    return Answer(action, reading.prose, *_claim(reading.prose), well_formed)


def _action(reading: Reading) -> Click | Complete | Scroll | ParseFailure:
    if reading.missing is not None or reading.crowded:
        return ParseFailure("malformed action")
    actions = {_said(match) for match in reading.actions}
    return ParseFailure("several actions") if len(actions) > 1 else actions.pop()


def _said(match: re.Match) -> Click | Complete | Scroll:
    _, x, y, *scroll = match.groups()
    if x is not None:
        return Click(int(x), int(y))
    return Scroll(scroll[1].lower()) if scroll and scroll[1] else Complete()


def _claim(explain: str) -> tuple[str | None, str | None]:
    """(icon, page) of ``click X icon on page_3.``; the page may be missing, the icon may not."""
    if not _CLAIM.match(explain):
        return None, None
    icon, found, page = explain[6:].rpartition(" icon on ")
    if found:
        return icon.strip(), page.rstrip(_AFTER_CLAIM) or None
    icon, found, rest = explain[6:].rpartition(" icon")
    return (icon.strip(), None) if found and not rest.strip(_AFTER_CLAIM) else (None, None)
