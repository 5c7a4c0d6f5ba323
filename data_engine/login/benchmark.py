"""The forms as a record: what commands for any benchmark read of them."""

from functools import partial
from pathlib import Path

from ..benchmark import Benchmark, Dataset, Protocol, picked, row_request
from ..episode import Request
from . import prompts
from .metrics import answered, classic_metrics, closed_loop_metrics, read_trajectory, strict_metrics
from .scoring import reward
from .verify import verify
from .write import KIND, ROWS, TASKS


def prompt_hash(arguments: dict) -> str:
    """Of the prompt builder; the same for all rows."""
    return prompts.sha256()


def request(row: dict, folder: Path) -> Request:
    """The question of a row, exactly as training asks it."""
    return row_request(row, folder, "")


def lost(row: dict, text: str) -> str | None:
    """``score 0`` for all but the right answer."""
    return None if reward(text, row) == 1.0 else "score 0"


STEPS = Protocol(
    kind="login-steps",
    answers_file="predictions.jsonl",
    script="eval/login_eval.py",
    read=answered,
    metrics=classic_metrics,
    headline=picked(strict_metrics, "step_accuracy"),
    unit="rows",
    sentence="{agent} answers {good} of {count} steps right",
    whole_walks=False,
    set_name="step by step",
)
CLOSED_LOOP = Protocol(
    kind="login-closed-loop",
    answers_file="trajectories.jsonl",
    script="eval/login_eval.py",
    read=read_trajectory,
    metrics=closed_loop_metrics,
    headline=picked(closed_loop_metrics, "success_rate"),
    unit="episodes",
    sentence="{agent} fills in {good} of {count} forms",
    whole_walks=True,
    set_name="closed loop",
)
_rows = partial(Dataset, variable="LOGIN_DATA", kind=KIND, command="login.write", prompt_hash=prompt_hash)
LOGIN = Benchmark(
    name="login",
    title="login forms",
    rows_kind=KIND,
    pictures="images",
    gold_file=ROWS,
    datasets=(_rows(name="login/rows", file=ROWS), _rows(name="login/tasks", file=TASKS)),
    tuner="lora",
    verify=verify,
    prompt_hash=prompt_hash,
    request=request,
    lost=lost,
    protocols=(STEPS, CLOSED_LOOP),
)
