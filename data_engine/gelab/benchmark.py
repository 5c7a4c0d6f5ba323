"""GE-Lab as a record: what commands for any benchmark read of it."""

from functools import partial
from pathlib import Path

from ..benchmark import Benchmark, Dataset, Protocol, picked, row_request
from ..episode import Request
from . import prompts
from .build_many import KIND as WORLDS_KIND
from .metrics import PARTS, answered, interactive_metrics, read_trajectory, score_prediction, static_metrics
from .verify import verify
from .world import KIND as WORLD_KIND
from .write import KIND
from .write_many import KIND as MANY_KIND


def prompt_hash(arguments: dict) -> str:
    """Of the prompt builder, for rows of a manifest with these arguments."""
    return prompts.sha256(explain=arguments.get("explain", "step"))


def request(row: dict, folder: Path) -> Request:
    """The question of a row, exactly as training asks it."""
    return row_request(row, folder, prompts.SYSTEM)


def lost(row: dict, text: str) -> str | None:
    """Which parts of the reward the answer misses."""
    scored = score_prediction(row | {"prediction": text})
    parts = scored.get("parts")
    missed = [name for name in PARTS if parts and not getattr(parts, name)]
    return f"no point for {', '.join(missed)}" if missed else None if scored["right"] else "score 0"


STATIC = Protocol(
    kind="gelab-static",
    answers_file="predictions.jsonl",
    script="eval/gelab_static.py",
    read=answered,
    metrics=static_metrics,
    headline=picked(static_metrics, "step_all"),
    unit="rows",
    sentence="{agent} answers {good} of {count} {set} right",
    whole_walks=False,
)
INTERACTIVE = Protocol(
    kind="gelab-interactive",
    answers_file="trajectories.jsonl",
    script="eval/gelab_interactive.py",
    read=read_trajectory,
    metrics=interactive_metrics,
    headline=picked(interactive_metrics, "pass_at_1", "greedy"),
    unit="episodes",
    sentence="{agent} arrives in {good} of {count} {set} walks",
    whole_walks=True,
)
_rows = partial(Dataset, variable="GELAB_DATA", kind=KIND, command="gelab.write", prompt_hash=prompt_hash)
_many = partial(Dataset, variable="WORLDS_DATA", kind=MANY_KIND, command="gelab.write_many", prompt_hash=prompt_hash)
GELAB = Benchmark(
    name="gelab",
    title="GE-Lab",
    rows_kind=KIND,
    other_kinds=(WORLD_KIND, WORLDS_KIND, MANY_KIND),
    world_kind=WORLD_KIND,
    gold_file="sft.jsonl",
    datasets=(
        _rows(name="gelab/sft", file="sft.jsonl"),
        _rows(name="gelab/sft_chat", file="sft.jsonl", chat=True),
        *(_rows(name=f"gelab/{name}", file=f"{name}.jsonl") for name in ("st_rl", "mt_rl", "eval_id", "eval_ood")),
        *(_many(name=f"worlds/{name}", file=f"{name}.jsonl") for name in ("train", "eval")),
    ),
    system=prompts.SYSTEM,
    tokens=("<|box_start|>", "<|box_end|>"),
    tuner="full",
    verify=verify,
    prompt_hash=prompt_hash,
    request=request,
    lost=lost,
    protocols=(STATIC, INTERACTIVE),
)
