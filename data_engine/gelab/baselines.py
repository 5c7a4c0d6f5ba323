"""What can be had without looking: policies that never open the screenshot, as engines of the evaluation scripts.

text_only   the right answer, clicked where the training rows clicked for it: knows the map by heart and where it is
blind       answers what the training rows answer to the nearest prompt
random      a click anywhere, naming nothing: the floor of interactive success
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ..episode import Request
from ..geometry import THOUSAND
from ..seeds import rng
from .actions import Click, format_click, parse


class Random:
    """Clicks a uniformly random point and names no icon."""

    def answer(self, requests: Sequence[Request], temperature: object = 0, seed: int = 0) -> list[str]:
        points = (rng(seed, "random", request.key).integers(0, THOUSAND + 1, 2).tolist() for request in requests)
        return [format_click("?", "?", *point) for point in points]


class TextOnly:
    """The most that can be had without looking: names the right icon and clicks where ``rows`` clicked most often for
    that icon on that page; in the middle of the page where they never did."""

    def __init__(self, rows: Iterable[dict]):
        self.clicks: dict[tuple, Counter] = defaultdict(Counter)
        for row in rows:
            answer = parse(row["messages"][-1]["content"])
            if isinstance(answer.action, Click):
                self.clicks[answer.page, answer.icon][answer.action] += 1

    def answer(self, requests: Sequence[Request], temperature: object = 0, seed: int = 0) -> list[str]:
        return [self._clicked(request.gold()) for request in requests]

    def _clicked(self, gold: str) -> str:
        answer = parse(gold)
        if not isinstance(answer.action, Click):
            return gold
        known = self.clicks.get((answer.page, answer.icon)) or Counter({Click(THOUSAND // 2, THOUSAND // 2): 1})
        way = f"{answer.way}\n" if answer.way else ""
        return way + known.most_common(1)[0][0].written(icon=answer.icon, page=answer.page)


class Blind:
    """What the text alone is worth: the most frequent training answer to the same prompt, then to nearer and nearer
    parts of it (same goal and last step, same last step, same goal), then to any prompt. ``rows``, one or more, end in
    a question and its answer."""

    def __init__(self, rows: Iterable[dict]):
        counts: dict[tuple, Counter] = defaultdict(Counter)
        for row in rows:
            question, answer = (message["content"] for message in row["messages"][-2:])
            for key in _text_keys(question):
                counts[key][answer] += 1
        self.best = {key: counter.most_common(1)[0][0] for key, counter in counts.items()}

    def answer(self, requests: Sequence[Request], temperature: object = 0, seed: int = 0) -> list[str]:
        return [next(self.best[key] for key in _text_keys(r.prompt) if key in self.best) for r in requests]


def _text_keys(prompt: str) -> list[tuple]:
    """From the whole prompt to nothing of it."""
    task, _, history = prompt.partition(" History: ")
    goal, last = task.rpartition(" to ")[2], history.rpartition(": ")[2]
    return [(0, prompt), (1, goal, last), (2, last), (3, goal), (4,)]
