"""What one answer is worth. Training rewards and evaluation scores call these functions, and nothing else scores.

The parts are those of the paper's single-turn reward (A.4), each 0 or 1. ``step`` is the published row rule: action
and icon right and the click inside the box of the right element.
"""

import math
from dataclasses import dataclass

import msgspec

from ..answer import after_think
from ..dataset import DataError
from ..geometry import THOUSAND, Box, Size, clickable, in_range, to_canvas
from ..shapes import Number, Side, misfit
from .actions import Answer, Click, ParseFailure, parse
from .layout import CANVAS


@dataclass(frozen=True, slots=True)
class Gold:
    """The right answer of a row: parsed, with the element's box on the canvas (None for ``complete``)."""

    answer: Answer
    box: Box | None
    canvas: Size


@dataclass(frozen=True, slots=True)
class Parts:
    """The four parts of a step's reward, each 0 or 1, and whether the step counts as right.

    ``format``: the declared one, with the way said where the gold says it, and nowhere else.
    """

    type: int
    coord: int
    intent: int
    format: int
    step: int


def gold_of(row: dict) -> Gold:
    """The gold of a navigation or grounding row, ours or the authors'. Raises DataError naming a broken row."""
    text = gold_text(row)
    answer = parse(text if isinstance(text, str) else "")
    if not isinstance(answer.action, Click | ParseFailure):
        return Gold(answer, None, CANVAS)
    box, canvas = _checked_box(row)
    if not isinstance(answer.action, Click) or box is None:
        raise DataError(f"row {row.get('idx')}: gold is neither complete nor a click with a box; write the rows again")
    return Gold(answer, box, canvas)


class Place(msgspec.Struct):
    """Where the right element is; each absent where it does not apply."""

    bbox: tuple[Number, Number, Number, Number] | None = None
    bbox_norm: tuple[Number, Number, Number, Number] | None = None
    canvas: tuple[Side, Side] | None = None


def gold_text(row: dict) -> str:
    """The right answer of a row as it is written. Raises DataError naming a row without one."""
    if "solution" in row:
        return row["solution"]
    if not row.get("messages"):
        raise DataError(f"row {row.get('idx')}: no answer under 'solution' or 'messages'; write the rows again")
    return row["messages"][-1]["content"]


def _checked_box(row: dict) -> tuple[Box | None, Size]:
    fault = misfit({name: row.get(name) or None for name in Place.__struct_fields__}, Place)
    box, canvas = (None, CANVAS) if fault else _box(row)
    if box and not (box.x1 <= box.x2 and box.y1 <= box.y2):
        fault = f"the box {list(box)} has its corners exchanged"
    if fault:
        raise DataError(f"row {row.get('idx')}: {fault}; write the rows again")
    return box, canvas


def _box(row: dict) -> tuple[Box | None, Size]:
    """Ours: ``bbox`` in pixels of ``canvas``. The authors': ``bbox_norm``, compared on 0..1000 as they do."""
    if row.get("bbox") and row.get("canvas"):
        return Box(*row["bbox"]), Size(*row["canvas"])
    if row.get("bbox_norm"):
        return Box(*row["bbox_norm"]), Size(THOUSAND, THOUSAND)
    return (Box(*row["bbox"]), CANVAS) if row.get("bbox") else (None, CANVAS)


def score(answer: Answer, gold: Gold) -> Parts:
    """Compare an answer with the gold."""
    same_type = type(answer.action) is type(gold.answer.action)
    if gold.box is None:
        coord = right = answer.action == gold.answer.action
        intent = right and gold.answer.action.intent in answer.explain.lower()
    else:
        coord = same_type and clickable(gold.box, gold.canvas).contains(answer.action.x, answer.action.y)
        intent = same_type and answer.icon == gold.answer.icon
        right = coord and intent
    formed = answer.well_formed and (answer.way is None) == (gold.answer.way is None)
    return Parts(int(same_type), int(coord), int(intent), int(formed), int(right))


def closeness(answer: Answer, gold: Gold) -> float:
    """``coord`` made smooth, for ablations: exp(-distance / side), 0..1, and 1 exactly where ``coord`` is 1.

    The distance is from the click to the nearest point of the box, in canvas pixels; ``side`` is the mean of the box's
    width and height. Another action, or numbers outside 0..1000, are worth 0.
    """
    if score(answer, gold).coord or not isinstance(answer.action, Click) or gold.box is None:
        return float(score(answer, gold).coord)
    if not in_range(answer.action.x, answer.action.y):
        return 0.0
    x, y = to_canvas(answer.action.x, answer.action.y, gold.canvas)
    x1, y1, x2, y2 = gold.box
    distance = math.hypot(max(x1 - x, 0, x - x2), max(y1 - y, 0, y - y2))
    return math.exp(-distance / ((x2 - x1 + y2 - y1) / 2))


def score_caption(text: str, name: str) -> int:
    """1 if the answer, read as other answers are, is the icon's name and nothing else but a final period."""
    return int((after_think(text) or "").strip().removesuffix(".") == name)
