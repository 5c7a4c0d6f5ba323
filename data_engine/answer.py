"""Model text, for every benchmark: how it is cleaned where it enters, read around its action, and quoted in a prompt.

Each action is a class that declares its words (``Action``). What may stand around them without a change of meaning is
decided here, once, so that no grader takes what another refuses:

    think      a block of thought before the answer, and closing tokens after it
    bold       stars around a label, an action or both: ``**Action:** complete``, ``Action: **complete**``
    backticks  the same with backticks
    fence      a code fence around the answer or around the action, with or without a language
    bracket    blanks before an opening bracket: ``CLICK ([1])``
    end        one final ``.`` or ``;``
    colon      a full-width colon after a label
    blanks     blanks of any kind, where no action can hold text
    below      lines below the action, such as a sentence on it. They are not read, but for actions: a label, a call
               anywhere, a word that is an action and has a line of its own
    twice      the same action again is one action

Meaning stays strict: after a label stands one action and nothing else on its line ("not complete yet" is none), two
different actions are none, letters are ASCII in either case. Only the action is read so; ``well_formed``, which the
rewards of format use, takes exactly the declared format. Everything is total and linear in the length of the text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from heapq import merge
from typing import ClassVar, Self

_END_TOKENS = ("<|im_end|>", "<|endoftext|>")
_SURROGATE = re.compile("[\ud800-\udfff]")
ASCII = re.ASCII | re.IGNORECASE  # for every grammar: Unicode folds a dotless i, a long s and the Kelvin sign
BLANKS = r"(?u:\s*)"  # of any kind, in a pattern that is ASCII otherwise


def cleaned(text: str) -> str:
    """A model's text as it may be kept and shown; to be called wherever one enters. No half surrogate pair passes.

    Some servers send half a pair (a cut emoji): no file and no tokenizer takes it, so U+FFFD stands in its place.
    """
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# Into a prompt

QUOTED = 64  # characters of a model's text that a prompt repeats
_TOKEN = re.compile(r"<(?=[/|\uff5cA-Za-z][^<>\s]*>)")  # <image>, <|im_end|>, </think> and their like


def quoted(text: str) -> str:
    """A model's text, short enough for a prompt: ``QUOTED`` characters of it, and how many it had."""
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}... ({len(text)} characters)"


def disarmed(text: str) -> str:
    """Text in which no placeholder and no special token stands, for a prompt: ``<image>`` is shown as ``<\\image>``."""
    return _TOKEN.sub(r"<\\", text) if "<" in text else text


# Around an action


def after_think(text: str) -> str | None:
    """The answer proper, without a leading ``<think>..</think>`` and closing tokens; None if a block never closes."""
    answer = text.rpartition("</think>")[2]
    if answer.lstrip().startswith("<think>"):
        return None
    end = len(answer)
    while (shorter := _before_end_token(answer, end)) < end:
        end = shorter
    return answer[:end].strip(" \n\r")


def _before_end_token(text: str, end: int) -> int:
    """Where ``text[:end]`` ends once one closing blank or one closing token is taken off; ``end`` if there is none."""
    if end and text[end - 1] in " \n\r":
        return end - 1
    return next((end - len(token) for token in _END_TOKENS if text.endswith(token, 0, end)), end)


def label(name: str) -> re.Pattern:
    """What a label reads as: the name, a colon, emphasis around either."""
    return re.compile(rf"[`*]{{0,2}}(?u:\b){name}[`*]{{0,2}}[:\uff1a][`*]{{0,2}}", ASCII)


class Action:
    """An action, declared once: a frozen dataclass whose fields are the named groups of its pattern.

    ``pattern``: what is read as it where an action must stand; all its groups have names. ``below``: what counts as it
    further down in an answer, by default its pattern: a call counts anywhere, a word only on a line of its own.
    """

    __slots__ = ()
    pattern: ClassVar[str]
    below: ClassVar[str | None] = None

    @classmethod
    def read(cls, **groups: str | None) -> Self:
        """The action of a match, by the groups of its pattern; each becomes what its field's type makes of it."""
        return cls(**{field.name: field.type(groups[field.name]) for field in fields(cls)})


ACTION = label("action")
_AROUND = re.compile(r"[\s`*]*")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+-]+[ \t\r]*\n[\s`*]*")  # of a code fence


_GROUP = re.compile(r"\(\?P([<=])")


@dataclass(frozen=True, slots=True)
class Grammar:
    """The words of a benchmark. No pattern may take more than linear time.

    ``actions``: class by name. ``lead``: label of the prose before an action. ``action``: an action, matched where one
    must stand. ``below``: one that counts wherever it stands in the text after it. ``bare``: the first action may stand
    without its label.
    """

    actions: Mapping[str, type[Action]]
    lead: re.Pattern
    action: re.Pattern
    below: re.Pattern
    bare: bool = False

    @classmethod
    def of(cls, actions: Sequence[type[Action]], lead: str, bare: bool = False) -> Self:
        """The grammar of some actions; of two that read the same text, the first does."""
        action = _any_of({action.__name__: action.pattern for action in actions})
        below = _any_of({action.__name__: action.below or action.pattern for action in actions})
        return cls({action.__name__: action for action in actions}, label(lead), action, below, bare)

    def meant(self, match: re.Match) -> Action:
        """The action that a match of ``action`` or ``below`` is."""
        name = match.lastgroup  # the group that closed last is the one around the action
        prefix = f"{name}__"
        groups = {key.removeprefix(prefix): text for key, text in match.groupdict().items() if key.startswith(prefix)}
        return self.actions[name].read(**groups)


def _any_of(patterns: Mapping[str, str]) -> re.Pattern:
    """Several patterns as one. Each is a group of its name, and its own groups have that name before theirs."""
    own = {name: _GROUP.sub(rf"(?P\g<1>{name}__", pattern) for name, pattern in patterns.items()}
    named = "|".join(f"(?P<{name}>{pattern})" for name, pattern in own.items())
    return re.compile(named, ASCII | re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer, read: the prose before its first action, and all its actions as matches.

    What makes the answer unreadable: no ``labelled`` action, ``missing``: where one should begin and none does,
    ``crowded``: something else stands on the line of an action.
    """

    prose: str
    actions: list[re.Match]
    labelled: bool = True
    missing: int | None = None
    crowded: bool = False


def read(text: str, grammar: Grammar) -> Reading:
    """Read what ``after_think`` left of an answer; total, linear."""
    bare = _action_at(text, 0, grammar) if grammar.bare else None
    first = ACTION.search(text, bare.end() if bare else 0)
    if first is None and not grammar.bare:
        return Reading(_prose(text, grammar), [], labelled=False)
    prose = _prose(text[: first.start()], grammar) if first else ""
    reading = Reading(prose, [], labelled=first is not None)
    return _read_actions(text, first.end() if first else 0, grammar, reading)


def _prose(text: str, grammar: Grammar) -> str:
    lead = grammar.lead.search(text)
    return text[lead.end() :].strip() if lead else ""


def _read_actions(text: str, start: int, grammar: Grammar, empty: Reading) -> Reading:
    """The action at ``start``, those after each further label, and what stands below them."""
    actions: list[re.Match] = []
    marks = merge(ACTION.finditer(text, start), grammar.below.finditer(text, start), key=re.Match.start)
    while True:
        action = _action_at(text, start, grammar)
        if action is None:
            return replace(empty, actions=actions, missing=_AROUND.match(text, start).end())
        more, following = _until_label(marks, action.end())
        actions += [action, *more]
        end = following.start() if following else len(text)
        if _is_crowded(text, action.end(), end, more, grammar.lead if following else None):
            return replace(empty, actions=actions, crowded=True)
        if following is None:
            return replace(empty, actions=actions)
        start = following.end()


def _until_label(marks: Iterator[re.Match], start: int) -> tuple[list[re.Match], re.Match | None]:
    """The actions from ``start`` up to the next label, and that label; one in the text of an action is none."""
    more = []
    for mark in marks:
        if mark.start() < start:
            continue
        if mark.re is ACTION:
            return more, mark
        more.append(mark)
        start = mark.end()
    return more, None


def _action_at(text: str, start: int, grammar: Grammar) -> re.Match | None:
    """The action at ``start``, behind what may surround it."""
    begin = _AROUND.match(text, start).end()
    action = grammar.action.match(text, begin)
    if action is None and text.endswith("```", start, begin) and (language := _LANGUAGE.match(text, begin)):
        action = grammar.action.match(text, language.end())
    return action


def _is_crowded(text: str, start: int, end: int, more: list[re.Match], lead: re.Pattern | None) -> bool:
    """True if something else stands on the line from ``start``, where an action ended, up to ``end``.

    Another action is for others to judge, and so is the prose that leads to one: ``lead``, if one follows.
    """
    line_end = text.find("\n", start, end)
    line = text[start : end if line_end < 0 else line_end]
    if more and more[0].start() < start + len(line):
        return False
    if lead and (prose := lead.search(line)):
        line = line[: prose.start()]
    return _AROUND.sub("", line) not in ("", ".", ";")
