"""What one answer is worth. Training rewards and evaluation scores call these functions, and nothing else scores.

The parts are those of the paper's single-turn reward (A.4), each 0 or 1. ``step`` is the published row rule: action
and icon right and the click inside the box of the right element.
"""

from dataclasses import dataclass

from ..answer import after_think
from ..dataset import DataError
from ..geometry import THOUSAND, Box, Size, clickable
from .actions import Answer, Click, Complete, parse
from .layout import CANVAS


@dataclass(frozen=True, slots=True)
class Gold:
    """The right answer of a row: parsed, with the element's box on the canvas (None for ``complete``)."""

    answer: Answer
    box: Box | None
    canvas: Size


@dataclass(frozen=True, slots=True)
class Parts:
    """The four parts of a step's reward, each 0 or 1, and whether the step counts as right."""

    type: int
    coord: int
    intent: int
    format: int
    step: int


def gold_of(row: dict) -> Gold:
    """The gold of a navigation or grounding row, ours or the authors'. Raises DataError naming a broken row."""
    text = row["solution"] if "solution" in row else row["messages"][-1]["content"]
    answer = parse(text)
    if isinstance(answer.action, Complete):
        return Gold(answer, None, CANVAS)
    box, canvas = _box(row)
    if not isinstance(answer.action, Click) or box is None:
        raise DataError(f"row {row.get('idx')}: gold is neither complete nor a click with a box; write the rows again")
    return Gold(answer, box, canvas)


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
    if isinstance(gold.answer.action, Complete):
        coord, intent = same_type, same_type and "target page" in answer.explain.lower()
        right = same_type
    else:
        coord = same_type and clickable(gold.box, gold.canvas).contains(answer.action.x, answer.action.y)
        intent = same_type and answer.icon == gold.answer.icon
        right = coord and intent
    return Parts(int(same_type), int(coord), int(intent), int(answer.well_formed), int(right))


def score_caption(text: str, name: str) -> int:
    """1 if the answer, read as other answers are, is the icon's name and nothing else but a final period."""
    return int((after_think(text) or "").strip().removesuffix(".") == name)
