"""What many answers are worth: the 13 published keys, the strict ones, the ceiling, and the closed loop.

A row is one step with its ``prediction``; an episode is the rows of one name. Fractions 0..1, None for nothing.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from ..bootstrap import interval
from ..dataset import DataError
from .actions import Click, ParseFailure, parse
from .scoring import Classic, Strict, Truth, classic, name_of, strict, truth_of

# Milestones of the weak success: position in the episode, kind (the published login script, used for every scenario).
MILESTONES = ((1, "type"), (3, "type"), (4, "click"), (5, "done"))
NEAR = 0.10  # largest distance of the milestone's click, exclusive
MODES = ("coord", "som")


@dataclass(frozen=True, slots=True)
class Judged:
    """A row, read: its answer against its truth."""

    row: dict
    truth: Truth
    action: object

    @property
    def classic(self) -> Classic:
        return classic(self.action, self.truth, self.row["mode"])

    @property
    def strict(self) -> Strict:
        try:
            return strict(self.action, self.truth, self.row["mode"])
        except DataError as error:
            raise DataError(f"{name_of(self.row)}: {error}") from None


def judge(rows: Sequence[dict]) -> dict[str, list[Judged]]:
    """Episode -> its rows in order of their steps. Raises DataError naming a row that cannot be scored."""
    episodes: dict[str, list[Judged]] = defaultdict(list)
    for row in rows:
        if not isinstance(row.get("prediction"), str) or row.get("mode") not in MODES:
            raise DataError(f"{name_of(row)}: needs text under 'prediction' and 'mode' {' or '.join(MODES)}")
        if not isinstance(row.get("step"), int) or not isinstance(row.get("episode"), str):
            raise DataError(f"{name_of(row)}: needs a name under 'episode' and a whole number under 'step'")
        episodes[row["episode"]].append(Judged(row, truth_of(row), parse(row["prediction"]).action))
    for name, steps in episodes.items():
        steps.sort(key=lambda judged: judged.row["step"])
        if len({judged.row["step"] for judged in steps}) < len(steps):
            raise DataError(f"episode {name!r}: has a step twice; score one run at a time")
    return dict(episodes)


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are defined."""
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def classic_metrics(rows: Sequence[dict]) -> dict:
    """The published 13 keys, to the letter (spec section 4)."""
    judged = judge(rows)
    episodes = [[(one, one.classic) for one in steps] for steps in judged.values()]
    steps = [scored for episode in episodes for _, scored in episode]
    errors = [scored.error for scored in steps if scored.error is not None]
    return {
        "num_episodes": len(episodes),
        "num_steps": len(steps),
        "action_type_accuracy": mean(scored.type for scored in steps) or 0.0,
        "mean_coord_error": mean(errors),
        "coord_error_count": len(errors),
        "episode_success_rate": mean(all(scored.type for _, scored in episode) for episode in episodes),
        "click_hit_rate": mean(scored.hit for scored in steps),
        "bbox_hit_rate": mean(scored.bbox for scored in steps),
        "mean_episode_progress": mean(mean(scored.type for _, scored in episode) for episode in episodes),
        "mean_episode_step_score": mean(mean(scored.full for _, scored in episode) for episode in episodes),
        "weak_episode_success_rate": mean(_weak(episode) for episode in episodes),
        "state_success_rate": mean(_said_success(steps) for steps in judged.values()),
        "element_accuracy": mean(scored.element for scored in steps),
    }


def _weak(episode: list[tuple[Judged, Classic]]) -> bool:
    """All milestones: at each position, both the truth and the answer are of its kind; the click is near."""
    at = {one.row["step"]: (one.truth.type, scored) for one, scored in episode}

    def reached(step: int, kind: str) -> bool:
        truth, scored = at.get(step, ("", None))
        near = kind != "click" or (scored and scored.error is not None and scored.error < NEAR)
        return truth == kind and scored.type and near

    return all(reached(*milestone) for milestone in MILESTONES)


_STATE = re.compile(r"(?ai:State):\s*(\{[^}]*\})")


def _said_success(steps: list[Judged]) -> bool | None:
    """The last boolean ``success`` in a ``State: {...}`` that the model wrote (never asked for); None without one."""
    said = None
    for one in steps:
        found = _STATE.findall(one.row["prediction"])
        try:
            state = json.loads(found[-1]) if found else {}
        except ValueError:
            continue
        said = state["success"] if isinstance(state.get("success"), bool) else said
    return said


def strict_metrics(rows: Sequence[dict]) -> dict:
    """Whether the answers would have filled in the form."""
    judged = judge(rows)
    scored = {name: [one.strict for one in steps] for name, steps in judged.items()}
    steps = [step for episode in scored.values() for step in episode]
    answers = [one for episode in judged.values() for one in episode]
    return {
        "num_episodes": len(scored),
        "num_steps": len(steps),
        "episode_success_rate": mean(all(step.right for step in episode) for episode in scored.values()),
        "step_accuracy": mean(step.right for step in steps),
        "type_accuracy": mean(step.type for step in steps),
        "click_accuracy": mean(s.place for s, one in zip(steps, answers, strict=True) if one.truth.type == "click"),
        "text_accuracy": mean(step.text for step in steps),
        "element_accuracy": mean(s.place for s, one in zip(steps, answers, strict=True) if one.row["mode"] == "som"),
        "parse_failures": count(a.action.reason for a in answers if isinstance(a.action, ParseFailure)),
        "out_of_range": sum(out_of_range(one.action) for one in answers),
        "intervals": {  # 95 %, bootstrap over episodes
            "episode_success_rate": interval((all(step.right for step in steps), 1) for steps in scored.values()),
            "step_accuracy": interval((sum(step.right for step in steps), len(steps)) for steps in scored.values()),
        },
    }


def count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def out_of_range(action: object) -> bool:
    return isinstance(action, Click) and not (0 <= action.x <= 1 and 0 <= action.y <= 1)


def ceiling(rows: Sequence[dict], seen: Callable[[dict], Hashable]) -> dict:
    """The best that a deterministic model can do: rows that look the same (``seen``: picture and text) get one answer.

    ``type_accuracy`` and ``episode_success_rate`` are upper bounds of the classic ones.
    """
    groups: dict[Hashable, Counter] = defaultdict(Counter)
    for row in rows:
        groups[seen(row)][row["truth"]["type"]] += 1
    best = {key: types.most_common(1)[0][0] for key, types in groups.items()}
    right: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        right[row["episode"]].append(row["truth"]["type"] == best[seen(row)])
    steps = [one for episode in right.values() for one in episode]
    return {"type_accuracy": mean(steps), "episode_success_rate": mean(all(episode) for episode in right.values())}


def closed_loop_metrics(trajectories: Sequence[dict]) -> dict:
    """Metrics of trajectories, as eval/login_eval.py writes them. Success is the form's own state."""
    turns = [turn for t in trajectories for turn in t["turns"]]
    return {
        "num_episodes": len(trajectories),
        "success_rate": mean(t["accepted"] for t in trajectories),
        "declared_rate": mean(t["declared"] for t in trajectories),
        "mean_steps": mean(t["steps"] for t in trajectories),
        "ended": count(t["ended"] for t in trajectories),
        "outcomes": count(turn["outcome"] for turn in turns),
        "parse_failures": count(turn["failure"] for turn in turns if "failure" in turn),
        "out_of_range": sum("point" in turn and out_of_range(Click(*turn["point"])) for turn in turns),
        "intervals": {  # 95 %, bootstrap over episodes
            "success_rate": interval((t["accepted"], 1) for t in trajectories),
            "declared_rate": interval((t["declared"], 1) for t in trajectories),
        },
    }
