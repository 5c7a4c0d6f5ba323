"""The stages of the curriculum, easy first: which screens, and what is asked of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..geometry import Size
from ..seeds import rng
from . import form_screens, questions, screens
from .screens import Screen

Maker = Callable[[np.random.Generator, Size], Screen]


@dataclass(frozen=True)
class Stage:
    """Kinds of screens with their shares, and the share of questions that ask for a name.

    ``alike``: so many screens in a row are of one kind; a batch of them is not padded to the length of its one form.
    """

    kinds: dict[Maker, float]
    naming: float
    alike: int = 1


# A model without sight stands still before it can tell which of several things is meant. So it learns first where the
# only thing on a page is (on the grid there are 32 places, so the digits of an answer are few) and, on cuttings, what
# it is; then which of two is meant, with two names in all, then four, eight, forty, hundreds. With hundreds from the
# start each name is too rare to find out that names and places belong together.
STAGES = {
    "start": Stage({screens.one: 0.4, screens.tile: 0.4, screens.crop_sign: 0.2}, naming=0.6),
    "one": Stage({screens.one: 1.0}, naming=0.3),
    "two": Stage({screens.two: 0.8, screens.one: 0.2}, naming=0.2),
    "four": Stage({screens.four: 0.8, screens.one: 0.1, screens.tile: 0.1}, naming=0.3),
    "eight": Stage({screens.eight: 0.8, screens.one: 0.1, screens.tile: 0.1}, naming=0.3),
    "shapes": Stage({screens.shapes: 0.8, screens.one: 0.1, screens.tile: 0.1}, naming=0.3),
    "icons": Stage(
        {screens.icons: 0.6, screens.free: 0.1, screens.shapes: 0.1, screens.one: 0.1, screens.tile: 0.1}, naming=0.5
    ),
    "pages": Stage({screens.icons: 0.5, screens.free: 0.3, screens.shapes: 0.1, screens.tile: 0.1}, naming=0.5),
    # Forms take the place of icons: mixed with them they were not learnt (recipes/RESULTS.md).
    "forms": Stage({form_screens.login: 0.5, form_screens.login_marks: 0.5}, naming=0.3, alike=8),
    "marks": Stage(
        {form_screens.login: 0.3, form_screens.login_marks: 0.45, form_screens.numbered: 0.25}, naming=0.3, alike=8
    ),
    "login": Stage({form_screens.login: 1.0}, naming=0.3),
    # Which of several words is meant is learnt in minutes; naming alone stood still. Then they are read.
    "words": Stage({screens.plain_words: 1.0}, naming=0.2),
    "reading": Stage({screens.plain_words: 0.5, screens.crop_word: 0.5}, naming=0.85, alike=8),
    # The number at a place is learnt from the icon model, which finds things at points; the forms model never began.
    "numbered": Stage({form_screens.numbered: 1.0}, naming=0.5),
    "login_marks": Stage({form_screens.login_marks: 0.85, form_screens.numbered: 0.15}, naming=0.3, alike=8),
}


def rows(stage: Stage, seed: int, name: str, count: int, page_size: Size) -> Iterator[tuple[list[dict], Screen]]:
    """(messages, screen) of ``count`` conversations; number i comes from the streams (seed, "sight", name, ...) alone.

    That is stream i, and where ``alike`` is not 1, stream ("kind", i // alike) for its kind.
    """
    makers, shares = list(stage.kinds), list(stage.kinds.values())
    for i in range(count):
        generator = rng(seed, "sight", name, i)
        choosing = generator if stage.alike == 1 else rng(seed, "sight", name, "kind", i // stage.alike)
        screen = makers[choosing.choice(len(makers), p=shares)](generator, page_size)
        asked = questions.ask(screen, generator, stage.naming)
        yield questions.conversation(questions.system(screen), asked), screen
