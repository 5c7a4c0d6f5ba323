"""The stages of the curriculum, easy first: which screens, and what is asked of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..geometry import Size
from ..seeds import rng
from . import questions, screens
from .screens import Screen

Maker = Callable[[np.random.Generator, Size], Screen]


@dataclass(frozen=True)
class Stage:
    """Kinds of screens with their shares, and the share of questions that ask for a name."""

    kinds: dict[Maker, float]
    naming: float


# A model without sight stands still on the later stages and takes minutes on the first: the grid has 32 places, so the
# digits of the answer are few, and what must be learned is to look.
STAGES = {
    "one": Stage({screens.one: 1.0}, naming=0.4),
    "pair": Stage({screens.pair: 0.9, screens.one: 0.1}, naming=0.5),
    "shapes": Stage({screens.shapes: 0.8, screens.pair: 0.2}, naming=0.5),
    "icons": Stage({screens.icons: 0.7, screens.shapes: 0.3}, naming=0.5),
    "tiles": Stage({screens.tile: 1.0}, naming=1.0),
    "signs": Stage({screens.crop_sign: 0.8, screens.icons: 0.2}, naming=0.8),
    "words": Stage({screens.crop_text: 0.6, screens.crop_sign: 0.2, screens.icons: 0.2}, naming=0.8),
    "text": Stage({screens.text: 0.5, screens.icons: 0.3, screens.free: 0.2}, naming=0.5),
    "all": Stage(
        {screens.text: 0.25, screens.icons: 0.25, screens.free: 0.2, screens.marks: 0.15, screens.form: 0.15},
        naming=0.5,
    ),
}


def rows(stage: Stage, seed: int, name: str, count: int, page_size: Size) -> Iterator[tuple[list[dict], Screen]]:
    """(messages, screen) of ``count`` conversations; number i comes from the stream (seed, "sight", name, i) alone."""
    makers, shares = list(stage.kinds), list(stage.kinds.values())
    for i in range(count):
        generator = rng(seed, "sight", name, i)
        screen = makers[generator.choice(len(makers), p=shares)](generator, page_size)
        asked = questions.ask(screen, generator, stage.naming)
        yield questions.conversation(questions.system(screen), asked), screen
