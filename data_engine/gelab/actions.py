"""The answer grammar of GE-Lab: declared once here, read by the prompt, the parser, the environment and the scores.

A model answers one line, ``Explain:<text>\\tAction: <action>``. Special tokens around the point may be kept or
stripped by the engine; both read the same. ``parse`` is total and linear: any text gives an Answer whose ``action`` is
a Click, a Scroll, a Complete or a ParseFailure.

An action space says which forms an answer may have. ``click`` is the paper's; ``click_scroll`` is that of worlds whose
pages are taller than the screen, and the only one that can read a scroll.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..answer import after_think
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


_ACTION = re.compile(r"\baction:", re.IGNORECASE)
_EXPLAIN = re.compile(r"\bexplain:", re.IGNORECASE)
_POINT = r"(?:<\|box_start\|>)?\(\s*(-?[0-9]{1,6})\s*,\s*(-?[0-9]{1,6})\s*\)(?:<\|box_end\|>)?"
_CLICK = re.compile(rf"click\(\s*start_box\s*=\s*(['\"]?){_POINT}\1\s*\)", re.IGNORECASE)
_COMPLETE = re.compile(r"complete\.?", re.IGNORECASE)
_SCROLL = re.compile(r"scroll\(\s*direction\s*=\s*(['\"]?)(down|up)\1\s*\)", re.IGNORECASE)
_STRICT_CLICK = r"click\(start_box='(?:<\|box_start\|>)?\([0-9]{1,4}, ?[0-9]{1,4}\)(?:<\|box_end\|>)?'\)"
_STRICT_SCROLL = r"scroll\(direction='(?:down|up)'\)"
_LEAD = r"[Ee]xplain:(?:(?!<\||<image>)[^\t])+\tAction: "  # no token in the prose


@dataclass(frozen=True, slots=True)
class Space:
    """An action space: the answers that it has, as the prompt states them, and exactly that in a pattern."""

    forms: tuple[str, ...]
    strict: re.Pattern
    scrolls: bool


_CLICK_FORM = format_click("NAME", "PAGE", "x", "y")
SPACES = {
    CLICK_SPACE: Space((_CLICK_FORM, COMPLETE_ANSWER), re.compile(rf"{_LEAD}(?:{_STRICT_CLICK}|complete)"), False),
    SCROLL_SPACE: Space(
        (_CLICK_FORM, format_scroll("down", "PAGE"), format_scroll("up", "PAGE"), COMPLETE_ANSWER),
        re.compile(rf"{_LEAD}(?:{_STRICT_CLICK}|{_STRICT_SCROLL}|complete)"),
        True,
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
    marks = list(_ACTION.finditer(text))
    if not marks:
        return Answer(ParseFailure("no action"), explain=_explain(text))
    actions = {_read_action(body, SPACES[space].scrolls) for body in _bodies(text, marks)}
    explain = _explain(text[: marks[0].start()])
    icon, page = _claim(explain)
    if None in actions:
        action: Click | Scroll | Complete | ParseFailure = ParseFailure("malformed action")
    elif len(actions) > 1:
        action = ParseFailure("several actions")
    else:
        action = actions.pop()
    well_formed = not isinstance(action, ParseFailure) and SPACES[space].strict.fullmatch(text) is not None
    return Answer(action, explain, icon, page, well_formed)


def _bodies(text: str, marks: list[re.Match]) -> Iterator[str]:
    """What follows each ``Action:``, up to the next one or to the ``Explain:`` that leads it in."""
    for mark, following in zip(marks, marks[1:], strict=False):
        lead = _EXPLAIN.search(text, mark.end(), following.start())
        yield text[mark.end() : lead.start() if lead else following.start()].strip()
    yield text[marks[-1].end() :].strip()


def _explain(text: str) -> str:
    mark = _EXPLAIN.search(text)
    return text[mark.end() :].strip() if mark else ""


def _claim(explain: str) -> tuple[str | None, str | None]:
    """(icon, page) of ``click X icon on page_3.``; the page may be missing, the icon may not."""
    if explain[:6].lower() != "click ":
        return None, None
    icon, found, page = explain[6:].rpartition(" icon on ")
    if found:
        return icon.strip(), page.rstrip(". ") or None
    icon, found, rest = explain[6:].rpartition(" icon")
    return (icon.strip(), None) if found and not rest.strip(". ") else (None, None)


def _read_action(body: str, scrolls: bool) -> Click | Scroll | Complete | None:
    match = _CLICK.fullmatch(body)
    if match:
        return Click(int(match[2]), int(match[3]))
    if scrolls and (match := _SCROLL.fullmatch(body)):
        return Scroll(match[2].lower())
    return Complete() if _COMPLETE.fullmatch(body) else None
