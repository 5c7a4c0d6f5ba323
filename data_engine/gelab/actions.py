"""The answer grammar of GE-Lab: declared once here, read by the prompt, the parser, the environment and the scores.

A model answers one line, ``Explain:<text>\\tAction: <action>``. Special tokens around the point may be kept or
stripped by the engine; both read the same. ``parse`` is total and linear: any text gives an Answer whose ``action`` is
a Click, a Complete or a ParseFailure.
"""

import re
from dataclasses import dataclass

from ..answer import ASCII, BLANKS, Grammar, Reading, after_think, label, read

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
    "malformed action": "what follows 'Action:' is no click with two integers and no 'complete'",
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


_POINT = rf"(?:<\|box_start\|>)?\({BLANKS}(-?[0-9]{{1,6}}){BLANKS},{BLANKS}(-?[0-9]{{1,6}}){BLANKS}\)(?:<\|box_end\|>)?"
_CLICK = rf"click[ \t]*\({BLANKS}start_box{BLANKS}={BLANKS}(['\"]?){_POINT}\1{BLANKS}\)"
_LINE = r"^[ \t`*]*complete(?=[ \t\r`*.;]*$)"  # the word alone, not in a sentence


_CLAIM = re.compile("click ", ASCII)
_AFTER_CLAIM = ". `*"


_GRAMMAR = Grammar(
    label("explain"), re.compile(rf"{_CLICK}|complete", ASCII), re.compile(rf"{_CLICK}|{_LINE}", ASCII | re.MULTILINE)
)
_STRICT_CLICK = r"click\(start_box='(?:<\|box_start\|>)?\([0-9]{1,4}, ?[0-9]{1,4}\)(?:<\|box_end\|>)?'\)"
_LEAD = r"[Ee]xplain:(?:(?!<\||<image>)[^\t])+\tAction: "  # no token in the prose
_STRICT = re.compile(rf"{_LEAD}(?:{_STRICT_CLICK}|complete)")


def parse(text: str) -> Answer:
    """Read an answer; no text raises. Time is linear in the length of ``text``."""
    text = after_think(text)
    if text is None:
        return Answer(ParseFailure("unclosed think"))
    reading = read(text, _GRAMMAR)
    if not reading.labelled:
        return Answer(ParseFailure("no action"), explain=reading.prose)
    action = _action(reading)
    well_formed = len(reading.actions) == 1 and _STRICT.fullmatch(text) is not None
    return Answer(action, reading.prose, *_claim(reading.prose), well_formed)


def _action(reading: Reading) -> Click | Complete | ParseFailure:
    if reading.missing is not None or reading.crowded:
        return ParseFailure("malformed action")
    actions = {_said(match) for match in reading.actions}
    return ParseFailure("several actions") if len(actions) > 1 else actions.pop()


def _said(match: re.Match) -> Click | Complete:
    _, x, y = match.groups()
    return Complete() if x is None else Click(int(x), int(y))


def _claim(explain: str) -> tuple[str | None, str | None]:
    """(icon, page) of ``click X icon on page_3.``; the page may be missing, the icon may not."""
    if not _CLAIM.match(explain):
        return None, None
    icon, found, page = explain[6:].rpartition(" icon on ")
    if found:
        return icon.strip(), page.rstrip(_AFTER_CLAIM) or None
    icon, found, rest = explain[6:].rpartition(" icon")
    return (icon.strip(), None) if found and not rest.strip(_AFTER_CLAIM) else (None, None)
