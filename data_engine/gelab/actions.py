"""The answer grammar of GE-Lab: each action is declared once, here; prompt, parser, history and scores walk over it.

A model answers one line, ``Explain:<text>\\tAction: <action>``. Special tokens around the point may be kept or
stripped by the engine; both read the same. ``parse`` is total and linear: any text gives an Answer whose ``action`` is
one of the space's, or a ParseFailure.

What stands before the answer is the row's choice (``EXPLAIN``): nothing (``step``, the paper's), or a line of its own
that says the way (``way``): the pages above the one that is shown and above the goal, up to page_0, and the page to
open next, which at the goal is the goal::

    Way:page_9 page_2 page_0. page_21 page_8 page_2 page_0. page_2.

A new action is a class like Click, its name in SPACE, and a rule in ``env.Navigation``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

from .. import answer
from ..answer import BLANKS, Grammar, Reading, after_think, read

HIT, MISS, COMPLETE, UNREADABLE = "hit", "miss", "complete", "unreadable"  # what comes of an answer


class Action(answer.Action):
    """An action and all that is said of it.

    ``template``: the answer that states it, as str.format takes it, with its fields and what an explanation claims.
    ``shown``: what stands for these in the system prompt. ``strict``: what a well-formed answer has after "Action: ".
    ``history``: what may come of it -> how later prompts tell it, with {page} and {icon}. ``intent``: what the
    explanation must hold where the action is right and has no box.
    """

    __slots__ = ()
    template: ClassVar[str]
    shown: ClassVar[Mapping[str, str]] = {}
    strict: ClassVar[str]
    history: ClassVar[Mapping[str, str]] = {}
    intent: ClassVar[str] = ""

    def written(self, **claim: Any) -> str:
        """The answer that states this action and claims so."""
        return self.template.format(**{field.name: getattr(self, field.name) for field in fields(self)}, **claim)


_X, _Y = (rf"(?P<{name}>-?[0-9]{{1,6}})" for name in "xy")
_POINT = rf"(?:<\|box_start\|>)?\({BLANKS}{_X}{BLANKS},{BLANKS}{_Y}{BLANKS}\)(?:<\|box_end\|>)?"


@dataclass(frozen=True, slots=True)
class Click(Action):
    """A click at (x, y), integers meant to be 0..1000; out-of-range numbers are kept as written, never clamped."""

    template = "Explain:click {icon} icon on {page}.\tAction: click(start_box='<|box_start|>({x},{y})<|box_end|>')"
    shown = {"icon": "NAME", "page": "PAGE", "x": "x", "y": "y"}
    pattern = rf"click[ \t]*\({BLANKS}start_box{BLANKS}={BLANKS}(?P<quote>['\"]?){_POINT}(?P=quote){BLANKS}\)"
    strict = r"click\(start_box='(?:<\|box_start\|>)?\([0-9]{1,4}, ?[0-9]{1,4}\)(?:<\|box_end\|>)?'\)"
    history = {HIT: "click {icon} icon on {page}.", MISS: "click missed on {page}."}

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Complete(Action):
    """The claim that the goal is reached."""

    template = "Explain: this is target page.\tAction: complete"
    pattern = strict = "complete"
    below = r"^[ \t`*]*complete(?=[ \t\r`*.;]*$)"  # the word alone, not in a sentence
    intent = "target page"


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """Why a text is no action; ``reason`` is one of FAILURES."""

    reason: str


FAILURES = {
    "no action": "the text has no 'Action:'",
    "malformed action": "what follows 'Action:' is no action, or has other text on its line",
    "several actions": "the text has two or more different actions",
    "unclosed think": "the text opens <think> and never closes it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer, read.

    ``icon`` and ``page`` are what the text *claims* to click on (None where it claims nothing); no state may ever be
    taken from them. ``well_formed`` says that the text has exactly the declared format; ``way`` is the line that says
    the way, None where there is none.
    """

    action: Action | ParseFailure
    explain: str = ""
    icon: str | None = None
    page: str | None = None
    well_formed: bool = False
    way: str | None = None


EXPLAIN = ("step", "way")  # what a row asks to be said: the paper's sentence alone, or the way before it
_PAGES = r"[A-Za-z0-9_]{1,100}(?: [A-Za-z0-9_]{1,100})*"
_WAY = re.compile(rf"(Way:{_PAGES}\. {_PAGES}\. [A-Za-z0-9_]{{1,100}}\.)\n")


def format_way(here: Sequence[str], goal: Sequence[str], to_open: str) -> str:
    """The line before an answer that says the way: two chains of page ids, each up to page_0, and the next page."""
    return f"Way:{' '.join(here)}. {' '.join(goal)}. {to_open}.\n"


_LEAD = r"[Ee]xplain:(?:(?!<\||<image>)[^\t])+\tAction: "  # no token in the prose


@dataclass(frozen=True)
class Space:
    """The actions that answers may have, in the order in which the system prompt states them."""

    actions: tuple[type[Action], ...]

    @property
    def forms(self) -> list[str]:
        """Each answer, as the system prompt states it."""
        return [action.template.format(**action.shown) for action in self.actions]

    @cached_property
    def grammar(self) -> Grammar:
        return Grammar.of(self.actions, lead="explain")

    @cached_property
    def strict(self) -> re.Pattern:
        """A whole answer that has exactly the declared format."""
        return re.compile(f"{_LEAD}(?:{'|'.join(action.strict for action in self.actions)})")

    @cached_property
    def history(self) -> dict[str, str]:
        """Outcome -> its entry in the history, as str.format takes it."""
        return {outcome: entry for action in self.actions for outcome, entry in action.history.items()}


SPACE = Space((Click, Complete))  # the paper's
COMPLETE_ANSWER = Complete().written()


def format_click(icon: str, page: str, x: int, y: int) -> str:
    return Click(x, y).written(icon=icon, page=page)


def parse(text: str, space: Space = SPACE) -> Answer:
    """Read an answer; no text raises. Time is linear in the length of ``text``."""
    text = after_think(text)
    if text is None:
        return Answer(ParseFailure("unclosed think"))
    said = _WAY.match(text)
    way, text = (said[1], text[said.end() :]) if said else (None, text)
    reading = read(text, space.grammar)
    if not reading.labelled:
        return Answer(ParseFailure("no action"), explain=reading.prose, way=way)
    action = _action(reading, space.grammar)
    well_formed = len(reading.actions) == 1 and space.strict.fullmatch(text) is not None
    return Answer(action, reading.prose, *_claim(reading.prose), well_formed, way)


def _action(reading: Reading, grammar: Grammar) -> Action | ParseFailure:
    if reading.missing is not None or reading.crowded:
        return ParseFailure("malformed action")
    actions = set(map(grammar.meant, reading.actions))
    return ParseFailure("several actions") if len(actions) > 1 else actions.pop()


_CLAIM = re.compile("click ", answer.ASCII)
_AFTER_CLAIM = ". `*"


def _claim(explain: str) -> tuple[str | None, str | None]:
    """(icon, page) of ``click X icon on page_3.``; the page may be missing, the icon may not."""
    if not _CLAIM.match(explain):
        return None, None
    icon, separator, page = explain[6:].rpartition(" icon on ")
    if separator:
        return icon.strip(), page.rstrip(_AFTER_CLAIM) or None
    icon, separator, rest = explain[6:].rpartition(" icon")
    return (icon.strip(), None) if separator and not rest.strip(_AFTER_CLAIM) else (None, None)
