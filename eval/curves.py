"""The stages of a run side by side: what each learned from, what it is worth, and whether RL gained anything."""

from pathlib import Path

import matplotlib
import msgspec

from data_engine.foreign import check, read_lines
from data_engine.intervals import bootstrap
from data_engine.shapes import Count
from data_engine.training_log import log_rows, number

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

STAGES = ["sft", "st_rl", "mt_rl"]
LINES = {  # stage -> title, columns of its log that are drawn
    "sft": ("SFT: loss, nats a token", ["loss"]),
    "st_rl": (
        "ST-RL: parts of the reward",
        [f"rewards/Gelab{part}/mean" for part in ("Type", "Coord", "Intent", "Format")],
    ),
    "mt_rl": (
        "MT-RL: reward and readable answers",
        [f"rewards/Gelab{part}/mean" for part in ("A2B", "Progress", "ParseRate")],
    ),
}
SETS = {"interactive_id": "held in", "interactive_ood": "held out"}
SMOOTH = 10  # RL steps behind a point: a step has few questions


def draw_stages(run: Path, results: dict[str, dict[str, dict]], path: Path) -> None:
    """One panel for the log of each trained stage, then Pass@1 of the stages with intervals. None trained: no file."""
    logs = {stage: run / stage / "logging.jsonl" for stage in STAGES}
    trained = [stage for stage, log in logs.items() if log.is_file()]
    if not trained:
        return
    figure, axes = plt.subplots(1, len(trained) + 1, figsize=(4 * (len(trained) + 1), 3.2))
    for axis, stage in zip(axes[:-1], trained, strict=True):
        _draw_log(axis, log_rows(logs[stage]), *LINES[stage], smooth=1 if stage == "sft" else SMOOTH)
    _draw_success(axes[-1], {agent: results[agent] for agent in ("base", *STAGES) if agent in results})
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_log(axis, rows, title: str, keys: list[str], smooth: int) -> None:
    """Columns of ms-swift's log by step, each point the mean of the last ``smooth`` logged steps."""
    for key in keys:
        logged = [(row["step"], value) for row in rows if (value := number(row.get(key))) is not None]
        values = [value for _, value in logged]
        means = [sum(values[max(0, i - smooth) : i]) / min(i, smooth) for i in range(1, len(values) + 1)]
        name = key.removeprefix("rewards/Gelab").removesuffix("/mean")
        axis.plot([step for step, _ in logged], means, ".-", linewidth=1.2, markersize=3, label=name)
    if len(keys) > 1:
        axis.set_ylim(-0.03, 1.03)
        axis.legend(fontsize=8)
    else:
        axis.set_yscale("log")
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("step")
    axis.grid(alpha=0.3)


def _draw_success(axis, results: dict[str, dict[str, dict]]) -> None:
    """Pass@1 of each agent as bars with their intervals, held in beside held out."""
    for place, (name, label) in enumerate(SETS.items()):
        all_played = [(i, sets[name]["metrics"]) for i, sets in enumerate(results.values()) if name in sets]
        played = [(i, metrics) for i, metrics in all_played if metrics.get("pass_at_1") is not None]
        rates = [metrics["pass_at_1"] for _, metrics in played]
        ends = [m.get("intervals", {}).get("pass_at_1") or (m["pass_at_1"], m["pass_at_1"]) for _, m in played]
        below = [rate - low for rate, (low, _) in zip(rates, ends, strict=True)]
        above = [high - rate for rate, (_, high) in zip(rates, ends, strict=True)]
        at = [i + 0.4 * place for i, _ in played]
        axis.bar(at, rates, 0.36, yerr=[below, above], capsize=3, label=label)
    axis.set_xticks([i + 0.2 for i in range(len(results))], list(results))
    axis.set_ylim(0, 1.03)
    axis.set_title("Pass@1, 95 % intervals", fontsize=10)
    axis.legend(fontsize=8)
    axis.grid(axis="y", alpha=0.3)


def gains(run: Path) -> str:
    """Pass@1 of each RL stage minus SFT's, with intervals; a paragraph a set. Empty without such stages."""
    lines = []
    for name, label in SETS.items():
        rates = {stage: _rates(run / "eval" / stage / name / "trajectories.jsonl") for stage in STAGES}
        if rates["sft"]:
            later = [f"{stage} {gain(rates[stage], rates['sft'])}" for stage in STAGES[1:] if rates[stage]]
            lines += [f"Pass@1 minus that of SFT, {label}, in points: {', '.join(later)}."] if later else []
    return "".join(f"{line}\n\n" for line in lines)


def gain(after: dict[str, float], before: dict[str, float]) -> str:
    """Mean difference over the tasks that both played, in points with its 95 % interval, from task -> rate 0..1.

    The bootstrap draws tasks: what is hard for both cancels.
    """
    differences = [after[task] - before[task] for task in before if task in after]
    if not differences:
        return "n/a (they have no task in common)"
    gained = f"{100 * sum(differences) / len(differences):+.1f}"
    if len(differences) == 1:
        return gained
    low, high = bootstrap((difference, 1) for difference in differences)
    return f"{gained} ({100 * low:+.1f} to {100 * high:+.1f})"


class Try(msgspec.Struct):
    """What a rate needs of a trajectory."""

    task: str
    attempt: Count
    arrived: bool


def _read_try(row: dict) -> dict:
    return check(row, Try, "trajectory", "run the evaluation again")


def _rates(path: Path) -> dict[str, float]:
    """Task -> share of its sampled attempts that arrived."""
    tries: dict[str, list[bool]] = {}
    for row in read_lines(path, _read_try) if path.is_file() else []:
        if row["attempt"] > 0:
            tries.setdefault(row["task"], []).append(row["arrived"])
    return {task: sum(arrived) / len(arrived) for task, arrived in tries.items()}
