"""Tasks: the form of an episode, what is shown and said in it, and which forms the episodes of a seed have.

published   the published 7-step login episode (WAIT first, the prompt states the goal alone) and its marked episodes
scripted    the repaired 6- and 12-step episodes: history and step counter in the prompt
hard        focus and caret are drawn, looks and layouts vary, credentials are random and stated in the goal
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import msgspec
import numpy as np

from ..dataset import DataError
from ..geometry import Size
from ..seeds import rng
from ..shapes import misfit
from . import layout, prompts
from .forms import Form, Scenario, drawn_credentials, scenario_of
from .render import Screen
from .style import PUBLISHED, drawn_style

_TRIES = 1000  # looks and layouts of one form
PROTOCOLS = ("published", "scripted", "hard")
SPLITS = ("train", "eval")
MODES = prompts.MODES
PAGE_SIZE = Size(800, 608)  # the canvas as Qwen3-VL's resize leaves it: sides in multiples of 32


@dataclass(frozen=True, slots=True)
class Rules:
    """What a protocol shows and says.

    ``focus``: ring and caret are drawn. ``history``: the prompt lists the actions so far and counts the steps.
    ``decimals``: of the labels' coordinates. ``as_published``: the first step is WAIT, and the picture of a TYPE step
    shows its result already. ``places``: a thought says where its element begins, before the number is named.
    """

    focus: bool
    history: bool
    decimals: int = 2
    as_published: bool = False
    places: bool = False


def rules_of(protocol: str, mode: str, scenario: str) -> Rules:
    """Raises DataError for an unknown name, and for what was never published."""
    for name, known in (protocol, PROTOCOLS), (mode, MODES):
        if name not in known:
            raise DataError(f"{name!r}: unknown; known are {', '.join(known)}")
    if protocol == "hard":
        return Rules(focus=True, history=False, places=mode == "som")
    if protocol == "scripted" or mode == "som":  # the published table of marks is of the scripted episodes
        return Rules(focus=False, history=True)
    if scenario != "login":
        raise DataError("published coordinate episodes are of the login form only; use --protocol scripted")
    return Rules(focus=False, history=False, decimals=4, as_published=True)


@dataclass(frozen=True, slots=True)
class Options:
    """What decides a set of tasks."""

    scenario: str = "login"
    mode: str = "coord"
    protocol: str = "hard"
    episodes: int = 32
    seed: int = 123
    split: str = "train"
    page_size: Size = PAGE_SIZE


def options_of(given: dict, where: str = "arguments of the manifest") -> Options:
    """The options in a manifest's ``arguments``, or in a row's ``env_config``. Raises DataError."""
    fault = misfit(given, Options)
    if fault:
        raise DataError(f"{where}: {fault}; write the folder again")
    options = msgspec.convert(given, Options)
    if options.episodes < 1 or min(options.page_size) < 1:
        raise DataError(f"{where}: no episodes, or pages without a size; write the folder again")
    return options


@dataclass(frozen=True, slots=True)
class Task:
    """Episode ``index`` of a set: the form to fill in."""

    options: Options
    index: int
    form: Form

    @property
    def key(self) -> str:
        """A name that is unique among all tasks of one page size."""
        o = self.options
        return f"{o.protocol}-{o.scenario}-{o.mode}-{o.split}-{o.seed}-{self.index:04d}"

    @property
    def rules(self) -> Rules:
        return rules_of(self.options.protocol, self.options.mode, self.options.scenario)

    @property
    def steps(self) -> int:
        """The length of the script without WAIT: a click and a text per field, the button, DONE."""
        return 2 * len(self.form.fields) + 2

    def screen(self) -> Screen:
        """What draws the form as this protocol and mode show it."""
        return Screen(self.form, self.options.page_size, self.options.mode == "som", self.rules.focus)


def tasks(options: Options) -> list[Task]:
    """The tasks of a set. Raises DataError for what does not exist."""
    o = options
    rules_of(o.protocol, o.mode, o.scenario)
    drawn = forms(o.scenario, o.protocol, o.seed, o.split, o.episodes, o.page_size)
    return [Task(options, i, form) for i, form in enumerate(drawn)]


def one_task(options: Options, index: int) -> Task:
    """Task ``index`` of a set, as its row's ``env_config`` names it. Raises DataError for what does not exist."""
    o = options
    rules_of(o.protocol, o.mode, o.scenario)
    if o.protocol == "hard":  # each form has a stream of its own
        return Task(o, index, _hard_form(scenario_of(o.scenario), o.seed, o.split, o.page_size, index))
    return Task(o, index, next(islice(every_form(o.scenario, o.protocol, o.seed, o.split, o.page_size), index, None)))


def forms(
    scenario: str, protocol: str, seed: int, split: str, episodes: int, page_size: Size = PAGE_SIZE
) -> list[Form]:
    """The forms of the first ``episodes`` episodes.

    Hard: form i is drawn from the stream (seed, split, scenario, i) alone. The published law knows no splits: there,
    as in the published generator, equal seeds give equal forms, and fresh ones need another seed.
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
        credentials = scenario.numbered(i)
        goal = scenario.published_goal.format(**credentials)
        yield Form(scenario.name, goal, credentials, title, elements, PUBLISHED[scenario.name])


def _hard_forms(scenario: Scenario, seed: int, split: str, page_size: Size) -> Iterator[Form]:
    return (_hard_form(scenario, seed, split, page_size, i) for i in count())


def _hard_form(scenario: Scenario, seed: int, split: str, page_size: Size, index: int) -> Form:
    return hard_form(scenario.name, rng(seed, "login", split, scenario.name, index), page_size)


def hard_form(scenario: str, generator: np.random.Generator, page_size: Size = PAGE_SIZE) -> Form:
    """One random form. Its type is large enough to be read on a page of ``page_size``; equal draws, equal form."""
    kind = scenario_of(scenario)
    credentials = drawn_credentials(kind, generator)
    for _ in range(_TRIES):
        style = drawn_style(generator, layout.smallest_type(page_size))
        drawn = layout.hard(kind, style, generator, page_size)
        if drawn is not None:
            return Form(scenario, kind.goal.format(**credentials), credentials, *drawn, style)
    raise DataError(f"page size {page_size}: a legible {scenario} form has no room on it; use a larger one")
