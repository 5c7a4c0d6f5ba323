"""Screens of the login benchmark's size and grammar: its hard forms in any state, and shapes with marks."""

from dataclasses import replace

import numpy as np
from PIL import Image

from ..geometry import Box, Size
from ..login import forms
from ..login.forms import CANVAS, FIELD, Element
from ..login.marks import draw_marks
from ..login.render import Screen as FormScreen
from ..login.style import MARKS, PUBLISHED
from ..login.tasks import hard_form
from .screens import Screen, Thing, pictures
from .shapes import SHAPES

FORM = Size(256, 192)  # pixels; nearly as many as the page has
SCENARIOS = tuple(forms.SCENARIOS)
SIDES = 80, 130  # canvas pixels of a shape
ROOM = Box(-75, -5, 5, 5)  # kept free around a shape: left of it for its mark
LOOK = replace(PUBLISHED["login"], points=16, marks=MARKS)  # of marks beside shapes
_TRIES = 30


def numbered(generator: np.random.Generator, page_size: Size) -> Screen:
    """Two to five shapes anywhere on white, each with a Set-of-Marks number from 1 to 9."""
    picture = Image.new("RGB", FORM, "white")
    boxes = _boxes(generator, int(generator.integers(2, 6)))
    names = [SHAPES[i] for i in generator.choice(len(SHAPES), len(boxes), replace=False)]
    numbers = (generator.permutation(len(MARKS)) + 1).tolist()
    for name, box in zip(names, boxes, strict=True):
        x1, y1, x2, y2 = box.scaled(CANVAS, FORM)
        shape = pictures().picture(name).resize((x2 - x1, y2 - y1))
        picture.paste(shape, (x1, y1), shape)
    elements = [Element(n, FIELD, n, b, mark=m) for n, b, m in zip(names, boxes, numbers, strict=False)]
    draw_marks(picture, elements, LOOK, FORM)
    return Screen(picture, CANVAS, tuple(Thing(e.name, e.box, mark=e.mark) for e in elements), mode="som")


def _boxes(generator: np.random.Generator, count: int) -> list[Box]:
    """Up to ``count`` boxes with room around them; one that finds no place is left out."""
    boxes, taken = [], []
    for _ in range(count * _TRIES):
        side = int(generator.integers(*SIDES))
        x = int(generator.integers(-ROOM.x1, CANVAS.width - side - ROOM.x2))
        y = int(generator.integers(-ROOM.y1, CANVAS.height - side - ROOM.y2))
        room = Box(x + ROOM.x1, y + ROOM.y1, x + side + ROOM.x2, y + side + ROOM.y2)
        if len(boxes) < count and not any(map(room.overlaps, taken)):
            boxes.append(Box(x, y, x + side, y + side))
            taken.append(room)
    return boxes


def marks(generator: np.random.Generator, page_size: Size) -> Screen:
    """A form with Set-of-Marks numbers."""
    return _form(generator, "som")


def form(generator: np.random.Generator, page_size: Size) -> Screen:
    """A form without marks."""
    return _form(generator, "coord")


def login(generator: np.random.Generator, page_size: Size) -> Screen:
    """A login form without marks."""
    return _form(generator, "coord", forms.LOGIN.name)


def login_marks(generator: np.random.Generator, page_size: Size) -> Screen:
    """A login form with Set-of-Marks numbers."""
    return _form(generator, "som", forms.LOGIN.name)


def _form(generator: np.random.Generator, mode: str, scenario: str = "") -> Screen:
    """A hard form, of any scenario if none is named, its first fields filled, with the focus in any field or none."""
    made = hard_form(scenario or SCENARIOS[generator.integers(len(SCENARIOS))], generator, FORM)
    filled = int(generator.integers(len(made.fields) + 1))
    texts = tuple(made.values[field.name] if i < filled else "" for i, field in enumerate(made.fields))
    focus = generator.choice([None, *(field.name for field in made.fields)])
    view = forms.View(texts, focus)
    picture = FormScreen(made, FORM, marks=mode == "som").picture(view)
    shown = [element for element in made.elements if mode == "coord" or element.mark is not None]
    things = tuple(Thing(element.caption, element.box, mark=element.mark) for element in shown)
    return Screen(picture, forms.CANVAS, things, mode=mode, form=made, view=view)
