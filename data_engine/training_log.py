"""ms-swift's ``logging.jsonl``: one object a logged step, and some that stand for no step."""

import math
from pathlib import Path
from typing import Annotated

import msgspec

from .dataset import DataError
from .foreign import check, read_growing

STEP = "global_step/max_steps"  # of a line: "1200/2800"


class LogRow(msgspec.Struct):
    """What readers rely on; numbers are asked for one by one, with ``number``."""

    step: Annotated[str, msgspec.Meta(pattern=r"^\d{1,9}/\d{1,9}$")] | None = msgspec.field(name=STEP, default=None)


def read_log(path: Path) -> list[dict]:
    """The whole lines of a log that may be growing. Raises DataError where there is none, and at a broken
    line before the last."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return read_growing(path, lambda row: check(row, LogRow, "a broken line", "remove it"))


def log_rows(path: Path) -> list[dict]:
    """The rows of a log that stand for a step, by ``step``; the last of a step counts, as after a resumed run."""
    by_step: dict[int, dict] = {}
    for row in read_log(path):
        if row.get(STEP) and "train_runtime" not in row:
            step = int(row[STEP].partition("/")[0])
            by_step[step] = by_step.get(step, {}) | row
    return [{**by_step[step], "step": step} for step in sorted(by_step)]


def number(value: object) -> float | None:
    """A finite number, None for all else; ms-swift writes some as text."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None
