"""What one answer is worth, in two ways. Training rewards and evaluation scores call these functions, nothing else.

classic   as the published metrics compare: the kind of action, the distance of a click, the number of an element; never
          the text. Coordinates are clamped to 0..1 first, as the published parser does.
strict    what it takes to fill in the form: the kind, a click inside the right box, the exact text, the right number.
"""

import math
from dataclasses import dataclass
from typing import Literal

import msgspec

from ..dataset import DataError
from ..shapes import Fraction
from .actions import KINDS, Action, Click, ParseFailure, Pick, Type, parse

HIT = 0.05  # largest distance of a hit (exclusive), each axis in fractions of its side


class Truth(msgspec.Struct, frozen=True):
    """The right action: x, y and bbox as fractions 0..1 of the page; null where it does not apply.

    ``drag`` is in the published metrics and in no script of ours.
    """

    type: Literal["click", "type", "wait", "done", "drag"]
    x: Fraction | None = None
    y: Fraction | None = None
    text: str | None = None
    bbox: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    element: int | None = None

    def __post_init__(self):
        if self.bbox and not (self.bbox[0] <= self.bbox[2] and self.bbox[1] <= self.bbox[3]):
            raise ValueError(f"bbox {list(self.bbox)} has its corners exchanged")


def truth_of(row: dict) -> Truth:
    """The truth of a row. Raises DataError naming a broken row."""
    try:
        return msgspec.convert(row.get("truth"), Truth)
    except msgspec.ValidationError as error:
        raise DataError(f"{name_of(row)}: truth: {error}; write the predictions again") from None


def name_of(row: dict) -> str:
    """How errors name a row."""
    return f"episode {row.get('episode')!r} step {row.get('step')!r}"


@dataclass(frozen=True, slots=True)
class Classic:
    """A step as published. None: not defined here, so left out of that mean."""

    type: bool
    error: float | None
    bbox: bool | None
    element: bool | None
    full: bool

    @property
    def hit(self) -> bool | None:
        return None if self.error is None else self.error < HIT


def classic(action: Action | ParseFailure, truth: Truth, mode: str) -> Classic:
    """Compare as the published metrics do."""
    same, pressed = KINDS[type(action)] == truth.type, truth.type in ("click", "drag")
    if mode == "som":
        numbered = truth.type in ("click", "drag", "type")
        element = getattr(action, "mark", None) == truth.element if numbered and truth.element is not None else None
        return Classic(same, None, None, element, same and (bool(element) or not numbered))
    point = _clamped(action) if pressed else None
    error = math.dist(point, (truth.x, truth.y)) if point and truth.x is not None and truth.y is not None else None
    inside = (point is not None and _inside(point, truth.bbox)) if pressed and truth.bbox else None
    return Classic(same, error, inside, None, same and (not pressed or (error is not None and error < HIT)))


def _clamped(action: Action | ParseFailure) -> tuple[float, float] | None:
    return (min(max(action.x, 0.0), 1.0), min(max(action.y, 0.0), 1.0)) if isinstance(action, Click) else None


def _inside(point: tuple[float, float], bbox: tuple[float, float, float, float]) -> bool:
    """Edges included."""
    return bbox[0] <= point[0] <= bbox[2] and bbox[1] <= point[1] <= bbox[3]


@dataclass(frozen=True, slots=True)
class Strict:
    """A step as the form takes it. ``place``: the click is in the right box, or the number is the right one. None: the
    step has no such part."""

    type: bool
    place: bool | None
    text: bool | None

    @property
    def right(self) -> bool:
        return self.type and self.place is not False and self.text is not False


def strict(action: Action | ParseFailure, truth: Truth, mode: str) -> Strict:
    """Compare as the form would. Raises DataError if the truth lacks what it takes."""
    same = KINDS[type(action)] == truth.type
    text = (isinstance(action, Type) and action.text == truth.text) if truth.type == "type" else None
    return Strict(same, _place(action, truth, mode), text)


def _place(action: Action | ParseFailure, truth: Truth, mode: str) -> bool | None:
    if truth.type not in ("click", "type"):
        return None
    if mode == "som":
        if truth.element is None:
            raise DataError("strict scoring needs 'element' in the truth of Set-of-Marks steps")
        return isinstance(action, Pick | Type) and action.mark == truth.element
    if truth.type == "type":
        return not (isinstance(action, Type) and action.mark is not None)  # there are no numbers on this page
    if truth.bbox is None:
        raise DataError("strict scoring needs 'bbox' in the truth of clicks")
    return isinstance(action, Click) and _inside((action.x, action.y), truth.bbox)


def reward(text: str, row: dict) -> float:
    """1.0 if the answer to a row is right (strict), else 0.0: the training reward is the metric."""
    return float(strict(parse(text).action, truth_of(row), row["mode"]).right)
