"""What can be had without looking: policies that never open the screenshot. Every report prints them.

blind       counts its own steps, reads the goal, and does at each step what is right in most of the other episodes: the
            most common kind, the mean place or most common number, the text that the goal states for that field
text_only   the same without counting: it knows the step only where the prompt says it
random      a random action, for the floor
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from ..episode import Request
from ..seeds import rng
from .actions import Action, Click, Done, Pick, Type, Wait, format_answer
from .forms import SCENARIOS

BASELINES = ("blind", "text_only")
_COUNTER = re.compile(r"\nStep (\d+) of \d+\. ")
Place = tuple[str, int]  # an episode's name, a step


class Habit:
    """A policy by majority. ``rows`` have ``episode``, ``step`` and ``truth``; those of the episode asked about do not
    count. ``where`` gives the place of a request in its run."""

    def __init__(self, rows: Sequence[dict], text_only: bool, where: Callable[[Request], Place]):
        self.text_only, self.where = text_only, where
        self.scenario = SCENARIOS.get(rows[0].get("scenario", ""))
        self.known: dict[object, list[dict]] = defaultdict(list)
        for row in rows:
            self.known[self._key(row["step"], _question(row))].append(row)

    def __call__(self, requests: Sequence[Request]) -> list[str]:
        return [self._answer(*self.where(request), request.prompt) for request in requests]

    def answer(self, requests: Sequence[Request], temperature: float = 0, seed: int = 0) -> list[str]:
        """The same as an engine of the evaluation scripts."""
        return self(requests)

    def _key(self, step: int, question: str) -> object:
        if not self.text_only:
            return step
        counter = _COUNTER.search(question)
        return int(counter[1]) - 1 if counter else None

    def _answer(self, episode: str, step: int, question: str) -> str:
        others = [row for row in self.known[self._key(step, question)] if row["episode"] != episode]
        return format_answer("I do not look.", self._action(others, question), decimals=4)

    def _action(self, rows: list[dict], question: str) -> Action:
        """What is right in most of ``rows``; DONE where there are none."""
        kind = _most(row["truth"]["type"] for row in rows)
        rows = [row for row in rows if row["truth"]["type"] == kind]
        name = _most(row.get("element") for row in rows)
        rows = [row for row in rows if row.get("element") == name]
        mark = _most(row["truth"].get("element") for row in rows)
        if kind == "type":
            return Type(self._text(rows, name, question), mark)
        if kind == "click" and mark is not None:
            return Pick(mark)
        if kind == "click":
            return Click(*(sum(row["truth"].get(axis) or 0 for row in rows) / len(rows) for axis in "xy"))
        return Wait() if kind == "wait" else Done()

    def _text(self, rows: list[dict], name: str | None, question: str) -> str:
        """What the goal states for the field; else the most common text."""
        fields = {field.name: field.value_of for field in self.scenario.fields} if self.scenario else {}
        credentials = self.scenario.read_goal(question) if self.scenario else {}
        return credentials.get(fields.get(name)) or _most(row["truth"].get("text") for row in rows) or ""


class Random:
    """A click anywhere (or on any number), a text of the goal, WAIT or DONE, with equal chances."""

    def __init__(self, mode: str):
        self.som = mode == "som"

    def answer(self, requests: Sequence[Request], temperature: float = 0, seed: int = 0) -> list[str]:
        return [format_answer("By chance.", self._action(request, seed)) for request in requests]

    def _action(self, request: Request, seed: int) -> Action:
        generator = rng(seed, "random", request.key)
        mark = int(generator.integers(1, 10)) if self.som else None
        texts = re.findall(r"'([^']*)'", request.prompt) or [""]
        click = Pick(mark) if self.som else Click(*generator.random(2).tolist())
        actions = (click, Type(texts[generator.integers(len(texts))], mark), Wait(), Done())
        return actions[generator.integers(len(actions))]


def _most(values):
    """The most common value, the first of those with equal counts; None if there are none."""
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else None


def _question(row: dict) -> str:
    """The user turn of a row; empty for rows that keep none."""
    return next((m["content"] for m in row.get("messages", ()) if m["role"] == "user"), "")


def static_requests(rows: Sequence[dict]) -> list[Request]:
    """Requests without pictures, for policies that open none; ``key`` is the position in ``rows``."""
    return [Request("", _question(row), None, str(i), lambda: "") for i, row in enumerate(rows)]


def static_answers(rows: Sequence[dict], name: str, known: Sequence[dict] | None = None) -> list[str]:
    """The answers of a baseline to rows, learnt from the other episodes of ``known`` (or of these rows)."""
    policy = Habit(known or rows, name == "text_only", lambda request: _place(rows[int(request.key)]))
    return policy(static_requests(rows))


def _place(row: dict) -> Place:
    return row["episode"], row["step"]
