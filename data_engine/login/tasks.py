"""Forms of a protocol: which look, layout and credentials the episodes 0, 1, ... of a seed have.

published   the peer's 7-step login episode (WAIT first, the prompt states the goal alone) and its marked episodes
scripted    the peer's repaired 6- and 12-step episodes: history and step counter in the prompt
hard        focus and caret are drawn, looks and layouts vary, credentials are random and stated in the goal
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from ..dataset import DataError
from ..geometry import Size
from ..seeds import rng
from . import layout
from .forms import Form, Scenario, drawn_credentials, scenario_of
from .style import PUBLISHED, drawn_style

_TRIES = 1000  # looks and layouts of one form
PROTOCOLS = ("published", "scripted", "hard")
SPLITS = ("train", "eval")
PAGE_SIZE = Size(800, 608)  # the canvas as Qwen3-VL's resize leaves it: sides in multiples of 32


def forms(
    scenario: str, protocol: str, seed: int, split: str, episodes: int, page_size: Size = PAGE_SIZE
) -> list[Form]:
    """The forms of the first ``episodes`` episodes.

    Hard: form i is drawn from the stream (seed, split, scenario, i) alone. The published law knows no splits: there,
    as with the peer, equal seeds give equal forms, and fresh ones need another seed.
    """
    return list(islice(every_form(scenario, protocol, seed, split, page_size), episodes))


def every_form(scenario: str, protocol: str, seed: int, split: str, page_size: Size = PAGE_SIZE) -> Iterator[Form]:
    """The forms of episodes 0, 1, ... without end. Raises DataError for an unknown name."""
    kind = scenario_of(scenario)
    if protocol not in PROTOCOLS or split not in SPLITS:
        raise DataError(f"{protocol!r}, {split!r}: known are {', '.join(PROTOCOLS)}; {', '.join(SPLITS)}")
    if protocol == "hard":
        return _hard_forms(kind, seed, split, page_size)
    layout.check_room(kind, page_size)
    return _published_forms(kind, seed)


def _published_forms(scenario: Scenario, seed: int) -> Iterator[Form]:
    for i, (title, elements) in enumerate(layout.published(scenario, seed)):
        said = scenario.numbered(i)
        yield Form(
            scenario.name, scenario.published_goal.format(**said), said, title, elements, PUBLISHED[scenario.name]
        )


def _hard_forms(scenario: Scenario, seed: int, split: str, page_size: Size) -> Iterator[Form]:
    i = 0
    while True:
        yield hard_form(scenario.name, rng(seed, "login", split, scenario.name, i), page_size)
        i += 1


def hard_form(scenario: str, generator: np.random.Generator, page_size: Size = PAGE_SIZE) -> Form:
    """One random form. Its type is large enough to be read on a page of ``page_size``; equal draws, equal form."""
    kind = scenario_of(scenario)
    said = drawn_credentials(kind, generator)
    for _ in range(_TRIES):
        style = drawn_style(generator, layout.smallest_type(page_size))
        drawn = layout.hard(kind, style, generator, page_size)
        if drawn is not None:
            return Form(scenario, kind.goal.format(**said), said, *drawn, style)
    raise DataError(f"page size {page_size}: a legible {scenario} form has no room on it; use a larger one")
