"""Training logs as lines: one stage a log, one panel a question, from ms-swift's ``logging.jsonl``."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from data_engine.benchmarks import BENCHMARKS
from data_engine.training_log import log_rows, number

# Title -> (scale, keys or a pattern of them). A panel without a value is left out.
SFT = {
    "loss, nats a token": ("log", ("loss", "eval_loss")),
    "token accuracy": ("share", ("token_acc", "eval_token_acc")),
    "gradient norm": ("log", ("grad_norm",)),
}
RL = {
    "reward": ("plain", ("reward", "reward_std")),
    "parts of the reward": ("plain", re.compile(r"rewards/(?!.*ParseRate)(\w+)/mean")),
    "health, shares": ("share", ("frac_reward_zero_std", "completions/clipped_ratio", "rewards/GelabParseRate/mean")),
    "KL to the start": ("plain", ("kl",)),
    "tokens an answer": ("plain", ("completions/mean_length",)),
    "turns a walk": ("plain", ("num_turns",)),
}
NAMES = {
    "eval_loss": "on held-out rows",
    "eval_token_acc": "on held-out rows",
    "token_acc": "training",
    "reward_std": "its spread in a batch",
    "frac_reward_zero_std": "groups without a difference",
    "completions/clipped_ratio": "answers cut off",
    "rewards/GelabParseRate/mean": "answers that can be read",
}
_OWNERS = "|".join(benchmark.name.capitalize() for benchmark in BENCHMARKS)  # beginnings of the names of rewards
POINTS = 400  # of a line; longer logs are thinned, the last point stays


def stage(name: str, path: Path) -> dict:
    """``{"name", "steps", "panels": [{"title", "scale", "lines": [{"name", "points"}]}], "dropped"}``.

    ``dropped`` counts values that are no finite numbers.
    """
    rows = log_rows(path)
    kinds = RL if any("reward" in row for row in rows) else SFT
    panels = [
        {"title": title, "scale": scale, "lines": [_line(rows, key) for key in _keys(rows, wanted)]}
        for title, (scale, wanted) in kinds.items()
    ]
    shown = [panel | {"lines": [line for line in panel["lines"] if line["points"]]} for panel in panels]
    dropped = sum(not math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    return {
        "name": name,
        "steps": rows[-1]["step"] if rows else 0,
        "planned": _planned(rows),
        "panels": [panel for panel in shown if panel["lines"]],
        "dropped": dropped,
    }


def _planned(rows: Sequence[dict]) -> int | None:
    last = str(rows[-1]["global_step/max_steps"]).partition("/")[2] if rows else ""
    return int(last) if last.isdecimal() else None


def _keys(rows: Sequence[dict], wanted: tuple[str, ...] | re.Pattern) -> list[str]:
    if isinstance(wanted, tuple):
        return list(wanted)
    return list(dict.fromkeys(key for row in rows for key in row if wanted.fullmatch(key)))


def _line(rows: Sequence[dict], key: str) -> dict:
    points = [[row["step"], value] for row in rows if (value := number(row.get(key))) is not None]
    part = re.fullmatch(rf"rewards/(?:{_OWNERS})?(\w+)/mean", key)
    return {"name": NAMES.get(key) or (part[1] if part else key.rpartition("/")[2]), "points": thinned(points)}


def thinned(points: list, most: int = POINTS) -> list:
    """At most ``most`` points: means of equal runs of them, each at the step of its last."""
    size = -(-len(points) // most)
    groups = [points[i : i + size] for i in range(0, len(points), size)] if points else []
    return [[group[-1][0], sum(value for _, value in group) / len(group)] for group in groups]
