"""What a small model can see: sets of single questions on screens that no training has shown, and how they are scored.

A click counts if it hits the box, a number if it is the element's, a name or a text if it is equal. Beside each rate
stands what chance gives: pointing, one of the things on the screen at random; naming, one of the names at random.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..gelab import actions as page_actions
from ..gelab.graph import BACK, HOME
from ..gelab.layout import generate
from ..geometry import Box, Size, clickable
from ..login import actions as form_actions
from ..seeds import rng
from . import form_screens, questions, screens, words
from .questions import Question
from .screens import Screen, Thing
from .shapes import SHAPES

WORLD = (6, 3, 2)  # children of each page: 6 + 18 + 36 icons


@dataclass(frozen=True)
class Set:
    """Screens, which of their things are asked for, whether by pointing or naming, and how many names there are."""

    draw: Callable[[np.random.Generator, Size], Screen]
    wanted: Callable[[Thing], bool]
    naming: bool = False
    names: int = 0


def _icon(thing: Thing) -> bool:
    return not thing.written and thing.name not in (BACK, HOME)


def _word(thing: Thing) -> bool:
    return thing.written and thing.name in words.words()


def _letters(thing: Thing) -> bool:
    return thing.written and thing.name.isalpha() and not _word(thing)


def _number(thing: Thing) -> bool:
    return thing.written and thing.name.isdecimal()


def _any(thing: Thing) -> bool:
    return True


def world_page(generator: np.random.Generator, page_size: Size) -> Screen:
    """A page with icons of a whole GE-Lab world, made for this question alone."""
    graph = generate(WORLD, int(generator.integers(2**62)), screens.icon_names())
    pages = [page for page in graph.pages.values() if any(not element.system for element in page.elements)]
    return screens.draw(pages[generator.integers(len(pages))], page_size)


SETS = {
    "point at a shape": Set(screens.shapes, _icon),
    "point at an icon": Set(world_page, _icon),
    "point at an icon anywhere": Set(screens.free, _icon),
    "point at a text": Set(screens.text, lambda thing: thing.written),
    "point at a word in plain type": Set(screens.plain_words, _word),
    "point at a part of a form": Set(form_screens.form, _any),
    "number of a mark": Set(form_screens.marks, _any),
    "point at a part of a login form": Set(form_screens.login, _any),
    "number of a mark on a login form": Set(form_screens.login_marks, _any),
    "name a shape": Set(screens.shapes, _icon, naming=True, names=len(SHAPES)),
    "name an icon": Set(world_page, _icon, naming=True, names=len(screens.icon_names())),
    "read a word": Set(screens.text, _word, naming=True, names=len(words.words())),
    "read a word in plain type": Set(screens.plain_words, _word, naming=True, names=len(words.words())),
    "read a word on a cutting": Set(screens.crop_word, _word, naming=True, names=len(words.words())),
    "read letters": Set(screens.text, _letters, naming=True, names=26**5),
    "read a number": Set(screens.text, _number, naming=True, names=2500),
}


def rows(name: str, seed: int, count: int, page_size: Size) -> Iterator[tuple[Question, Screen, float]]:
    """(question, screen, chance to be right) of a set; number i is the stream (seed, "probe", name, i) alone."""
    of = SETS[name]
    for i in range(count):
        generator = rng(seed, "probe", name, i)
        screen, things = _draw(of, generator, page_size)
        thing = things[generator.integers(len(things))]
        if of.naming:
            yield questions.name(screen, thing, generator), screen, 1 / of.names
        else:
            yield questions.point(screen, thing), screen, 1 / len(screen.things)


def _draw(of: Set, generator: np.random.Generator, page_size: Size) -> tuple[Screen, list[Thing]]:
    """A screen with something to ask for, and those things; where pointing is asked, something else is there too."""
    while True:
        screen = of.draw(generator, page_size)
        things = [thing for thing in screen.things if of.wanted(thing)]
        if things and (of.naming or len(screen.things) > 1):
            return screen, things


def right(row: dict, answer: str) -> bool:
    """Whether a model's text answers a row."""
    if not row["bbox"]:
        return answer.strip() == row["gold"]
    box, canvas = Box(*row["bbox"]), Size(*row["canvas"])
    if not row["mode"]:
        action = page_actions.parse(answer).action
        return isinstance(action, page_actions.Click) and clickable(box, canvas).contains(action.x, action.y)
    action, gold = (form_actions.parse(text).action for text in (answer, row["gold"]))
    if row["mode"] == "som":
        return action == gold
    return isinstance(action, form_actions.Click) and box.contains(action.x * canvas.width, action.y * canvas.height)
