"""The only loop in which a policy meets environments; all live episodes advance together, one batch a turn.

A *policy* takes requests and answers each in text, as a model does: ``policy(list[Request]) -> list[str]``.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from .answer import cleaned


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a policy.

    ``system`` and ``prompt`` are the texts (the prompt starts with ``<image>``), ``image`` the screenshot's file
    (None where it is not drawn, because no policy of the run opens it).
    ``key`` names the question uniquely in its run, for random streams and replays. ``gold`` gives the right answer;
    only the oracle may call it.
    """

    system: str
    prompt: str
    image: Path | None
    key: str
    gold: Callable[[], str]


class Episode(Protocol):
    """What the loop needs of an environment."""

    done: bool

    def request(self) -> Request:
        """The question of this turn; changes nothing."""

    def answer(self, text: str) -> None:
        """Take the policy's text and advance."""


Policy = Callable[[list[Request]], list[str]]


def run_episodes(
    episodes: Iterable[Episode],
    policy: Policy,
    places: int | None = None,
    finished: Callable[[Episode], None] = lambda episode: None,
) -> None:
    """Advance all episodes until each is done, ``places`` of them together (None: all at once).

    The place of a finished episode goes to the next one that waits, so that the batch stays full. ``finished`` is
    called once for each episode, in the order in which they came. Raises ValueError if the policy skips or adds an
    answer.
    """
    waiting, live, unreported = iter(episodes), [], deque()
    while True:
        fresh = list(waiting if places is None else islice(waiting, places - len(live)))
        unreported.extend(fresh)
        live = [episode for episode in [*live, *fresh] if not episode.done]
        if live:
            answers = policy([episode.request() for episode in live])
            for episode, text in zip(live, answers, strict=True):
                episode.answer(cleaned(text))
            live = [episode for episode in live if not episode.done]
        elif not fresh:
            return
        while unreported and unreported[0].done:
            finished(unreported.popleft())
