"""The answer grammar of GE-Lab: declared once here, read by the prompt, the parser, the environment and the scores.

A model answers one line, ``Explain:<text>\\tAction: <action>``. Special tokens around the point may be kept or
stripped by the engine; both read the same. ``parse`` is total and linear: any text gives an Answer whose ``action`` is
a Click, a Complete or a ParseFailure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..answer import after_think

CLICK_TEMPLATE = "Explain:click {icon} icon on {page}.\tAction: click(start_box='<|box_start|>({x},{y})<|box_end|>')"
COMPLETE_ANSWER = "Explain: this is target page.\tAction: complete"


@dataclass(frozen=True, slots=True)
class Click:
    """A click at (x, y), integers meant to be 0..1000; out-of-range numbers are kept as written, never clamped."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Complete:
    """The claim that the goal is reached."""


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """Why a text is no action; ``reason`` is one of FAILURES."""

    reason: str


FAILURES = {
    "no action": "the text has no 'Action:'",
    "malformed action": "what follows 'Action:' is neither a click with two integers nor 'complete'",
    "several actions": "the text has two or more different actions",
    "unclosed think": "the text opens <think> and never closes it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer, read.

    ``icon`` and ``page`` are what the text *claims* to click on (None where it claims nothing); no state may ever be
    taken from them. ``well_formed`` says that the text has exactly the declared format.
    """

    action: Click | Complete | ParseFailure
    explain: str = ""
    icon: str | None = None
    page: str | None = None
    well_formed: bool = False


def format_click(icon: str, page: str, x: int, y: int) -> str:
    return CLICK_TEMPLATE.format(icon=icon, page=page, x=x, y=y)


_ACTION = re.compile(r"\baction:", re.IGNORECASE)
_EXPLAIN = re.compile(r"\bexplain:", re.IGNORECASE)
_POINT = r"(?:<\|box_start\|>)?\(\s*(-?[0-9]{1,6})\s*,\s*(-?[0-9]{1,6})\s*\)(?:<\|box_end\|>)?"
_CLICK = re.compile(rf"click\(\s*start_box\s*=\s*(['\"]?){_POINT}\1\s*\)", re.IGNORECASE)
_COMPLETE = re.compile(r"complete\.?", re.IGNORECASE)
_STRICT_ACTION = r"(?:click\(start_box='(?:<\|box_start\|>)?\([0-9]{1,4}, ?[0-9]{1,4}\)(?:<\|box_end\|>)?'\)|complete)"
_STRICT = re.compile(rf"[Ee]xplain:(?:(?!<\||<image>)[^\t])+\tAction: {_STRICT_ACTION}")  # no token in the prose


def parse(text: str) -> Answer:
    """Read an answer; never raises. Time is linear in the length of ``text``."""
    text = after_think(text)
    if text is None:
        return Answer(ParseFailure("unclosed think"))
    marks = list(_ACTION.finditer(text))
    if not marks:
        return Answer(ParseFailure("no action"), explain=_explain(text))
    actions = {_read_action(body) for body in _bodies(text, marks)}
    explain = _explain(text[: marks[0].start()])
    icon, page = _claim(explain)
    if None in actions:
        action: Click | Complete | ParseFailure = ParseFailure("malformed action")
    elif len(actions) > 1:
        action = ParseFailure("several actions")
    else:
        action = actions.pop()
    well_formed = not isinstance(action, ParseFailure) and _STRICT.fullmatch(text) is not None
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


def _read_action(body: str) -> Click | Complete | None:
    match = _CLICK.fullmatch(body)
    if match:
        return Click(int(match[2]), int(match[3]))
    return Complete() if _COMPLETE.fullmatch(body) else None
