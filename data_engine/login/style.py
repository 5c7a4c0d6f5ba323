"""How a form looks: colours, font, type sizes, spacing. The published look, and the variation of the hard protocol."""

from dataclasses import dataclass

import numpy as np

from .fonts import AILERON, FAMILIES

Colour = tuple[int, int, int]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
MARKS = (  # far apart, and dark enough for a white number: a contrast of 3 or more
    (215, 20, 30),
    (20, 60, 235),
    (20, 140, 30),
    (220, 110, 0),
    (140, 0, 190),
    (0, 0, 0),
    (240, 30, 160),
    (0, 140, 150),
    (115, 70, 20),
)


@dataclass(frozen=True, slots=True)
class Style:
    """Colours as RGB; lengths in canvas pixels. ``secret`` is the sign that stands for each sign of a password.

    ``marks``: the colours of Set-of-Marks numbers, from 1 on, then from the start again.
    """

    ground: Colour
    ink: Colour
    title: Colour
    field: Colour
    field_ink: Colour
    edge: Colour
    button: Colour
    button_ink: Colour
    decoy: Colour
    decoy_ink: Colour
    success: Colour
    success_ink: Colour
    focus: Colour
    family: str
    points: int
    title_points: int
    pad: int = 8
    colon: str = ":"
    secret: str = "*"
    marks: tuple[Colour, ...] = (BLACK,)


# The colours of the published generator. Its GIFs show Pillow's font at 10 pixels for everything.
LOGIN_STYLE = Style(
    ground=(230, 230, 230),
    ink=BLACK,
    title=BLACK,
    field=WHITE,
    field_ink=BLACK,
    edge=BLACK,
    button=(0, 128, 0),
    button_ink=WHITE,
    decoy=(180, 180, 180),
    decoy_ink=BLACK,
    success=(210, 230, 210),
    success_ink=(0, 100, 0),
    focus=(0, 90, 220),
    family=AILERON,
    points=10,
    title_points=10,
)
REGISTRATION_STYLE = Style(
    ground=(235, 240, 245),
    ink=BLACK,
    title=(0, 0, 139),
    field=WHITE,
    field_ink=BLACK,
    edge=BLACK,
    button=(0, 0, 139),
    button_ink=WHITE,
    decoy=(200, 200, 200),
    decoy_ink=(128, 128, 128),
    success=(210, 235, 210),
    success_ink=(0, 100, 0),
    focus=(0, 90, 220),
    family=AILERON,
    points=10,
    title_points=10,
)
PUBLISHED = {"login": LOGIN_STYLE, "registration": REGISTRATION_STYLE}


def drawn_style(generator: np.random.Generator, smallest: int) -> Style:
    """A random look; its type is ``smallest`` canvas pixels or larger. A quarter of the forms are light on dark."""

    def colour(low: int, high: int) -> Colour:
        return tuple(generator.integers(low, high + 1, 3).tolist())

    dark = generator.random() < 0.25
    ground, ink = (colour(15, 60), colour(215, 255)) if dark else (colour(205, 255), colour(0, 60))
    strong = colour(0, 120)
    weak = colour(75, 115) if dark else colour(165, 200)
    focus = [(0, 90, 255), (255, 110, 0), (220, 0, 90), (0, 150, 60)][generator.integers(4)]
    family = FAMILIES[generator.integers(len(FAMILIES))]
    points = int(generator.integers(max(16, smallest), round(1.25 * max(16, smallest)) + 1))
    return Style(
        ground=ground,
        ink=ink,
        title=ink,
        field=WHITE,
        field_ink=BLACK,
        edge=colour(70, 140),
        button=strong,
        button_ink=WHITE,
        decoy=weak,
        decoy_ink=WHITE if dark else BLACK,
        success=colour(200, 245),
        success_ink=strong,
        focus=focus,
        family=family,
        points=points,
        title_points=round(points * generator.uniform(1.0, 1.4)),
        pad=int(generator.integers(6, 13)),
        colon=["", ":"][generator.integers(2)],
        secret="•" if generator.random() < 0.5 and family != AILERON else "*",  # Aileron has no bullet
        marks=MARKS,
    )
