"""What many answers are worth: the 13 published keys, the strict ones, the ceiling, and the closed loop.

A row is one step with its ``prediction``; an episode is the rows of one name. Fractions 0..1, None for nothing.
Metrics of episodes are of those that are whole: a success of the first three steps is none.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import msgspec

from ..dataset import DataError
from ..foreign import check, in_text, present
from ..intervals import counts, interval, mean
from ..shapes import Count, Message, Turn
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


class Unscored(msgspec.Struct):
    """Columns of a row that are not scored; null counts as absent."""

    scenario: str = ""
    protocol: str = ""
    element: str | None = None
    messages: list[Message] = []
    images: list[str] = []


class Trajectory(msgspec.Struct):
    """What the metrics read of a trajectory."""

    accepted: bool
    declared: bool
    steps: Count
    ended: str
    turns: list[Turn]


def answered(row: dict) -> dict:
    """A row of a predictions file as the metrics read it. Raises DataError."""
    row = in_text(present(row, kept=("element",)), "prediction")
    check(row, Unscored, name_of(row), "run the evaluation again")
    _checked(row)
    return row


def read_trajectory(row: dict) -> dict:
    """A trajectory as ``closed_loop_metrics`` reads it. Raises DataError."""
    return check(row, Trajectory, f"episode {row.get('key')!r}", "run the evaluation again")


def _checked(row: dict) -> Truth:
    """The truth of a row that can be scored. Raises DataError naming one that cannot."""
    if not isinstance(row.get("prediction"), str) or row.get("mode") not in MODES:
        raise DataError(f"{name_of(row)}: needs text under 'prediction' and 'mode' {' or '.join(MODES)}")
    if type(row.get("step")) is not int or row["step"] < 0 or not isinstance(row.get("episode"), str):
        raise DataError(f"{name_of(row)}: needs a name under 'episode' and a whole number under 'step'")
    return truth_of(row)


def judge(rows: Sequence[dict]) -> dict[str, list[Judged]]:
    """Episode -> its rows in order of their steps. Raises DataError naming a row that cannot be scored."""
    episodes: dict[str, list[Judged]] = defaultdict(list)
    for row in rows:
        truth = _checked(row)
        episodes[row["episode"]].append(Judged(row, truth, parse(row["prediction"]).action))
    for name, steps in episodes.items():
        steps.sort(key=lambda judged: judged.row["step"])
        if len({judged.row["step"] for judged in steps}) < len(steps):
            raise DataError(f"episode {name!r}: has a step twice; score one run at a time")
    return dict(episodes)


def whole(episodes: dict[str, list[Judged]]) -> dict[str, list[Judged]]:
    """The episodes of which all steps are there: 0, 1, ... to the one where DONE is right."""
    return {
        name: steps for name, steps in episodes.items() if _is_whole([(s.row["step"], s.truth.type) for s in steps])
    }


def _is_whole(steps: list[tuple[int, str]]) -> bool:
    """Of (step, type of the right action), in order."""
    return [step for step, _ in steps] == list(range(len(steps))) and steps[-1][1] == "done"


def _counts(judged: dict[str, list[Judged]]) -> dict[str, int]:
    """Whole episodes, those that are not (in no metric of episodes; named only where there are some), and all steps."""
    count = len(whole(judged))
    incomplete = {"episodes_incomplete": len(judged) - count} if count < len(judged) else {}
    return {"num_episodes": count, **incomplete, "num_steps": sum(map(len, judged.values()))}


def classic_metrics(rows: Sequence[dict]) -> dict:
    """The published 13 keys, to the letter; and how many episodes lack steps, where some do."""
    judged = judge(rows)
    complete = whole(judged)
    episodes = [[(step, step.classic) for step in steps] for steps in complete.values()]
    steps = [step.classic for steps in judged.values() for step in steps]
    errors = [scored.error for scored in steps if scored.error is not None]
    return {
        **_counts(judged),
        "action_type_accuracy": mean(scored.type for scored in steps) or 0.0,
        "mean_coord_error": mean(errors),
        "coord_error_count": len(errors),
        "episode_success_rate": mean(all(scored.type for _, scored in episode) for episode in episodes),
        "click_hit_rate": mean(scored.hit for scored in steps),
        "bbox_hit_rate": mean(scored.bbox for scored in steps),
        "mean_episode_progress": mean(mean(scored.type for _, scored in episode) for episode in episodes),
        "mean_episode_step_score": mean(mean(scored.full for _, scored in episode) for episode in episodes),
        "weak_episode_success_rate": mean(_weak(episode) for episode in episodes),
        "state_success_rate": mean(_said_success(steps) for steps in complete.values()),
        "element_accuracy": mean(scored.element for scored in steps),
    }


def _weak(episode: list[tuple[Judged, Classic]]) -> bool:
    """All milestones: at each position, both the truth and the answer are of its kind; the click is near."""
    at = {judged.row["step"]: (judged.truth.type, scored) for judged, scored in episode}

    def reached(step: int, kind: str) -> bool:
        truth, scored = at.get(step, ("", None))
        near = kind != "click" or (scored and scored.error is not None and scored.error < NEAR)
        return truth == kind and scored.type and near

    return all(reached(*milestone) for milestone in MILESTONES)


_STATE = re.compile(r"(?ai:State):\s*(\{[^}]*\})")


def _said_success(steps: list[Judged]) -> bool | None:
    """The last boolean ``success`` in a ``State: {...}`` that the model wrote (never asked for); None without one."""
    success = None
    for step in steps:
        states = _STATE.findall(step.row["prediction"])
        try:
            state = json.loads(states[-1]) if states else {}
        except ValueError:
            continue
        success = state["success"] if isinstance(state.get("success"), bool) else success
    return success


def strict_metrics(rows: Sequence[dict]) -> dict:
    """Whether the answers would have filled in the form."""
    judged = judge(rows)
    scored = {name: [step.strict for step in steps] for name, steps in judged.items()}
    successes = [all(step.right for step in scored[name]) for name in whole(judged)]
    steps = [step for episode in scored.values() for step in episode]
    answers = [step for episode in judged.values() for step in episode]
    return {
        **_counts(judged),
        "episode_success_rate": mean(successes),
        "step_accuracy": mean(step.right for step in steps),
        "type_accuracy": mean(step.type for step in steps),
        "click_accuracy": mean(s.place for s, step in zip(steps, answers, strict=True) if step.truth.type == "click"),
        "text_accuracy": mean(step.text for step in steps),
        "element_accuracy": mean(s.place for s, step in zip(steps, answers, strict=True) if step.row["mode"] == "som"),
        "parse_failures": counts(a.action.reason for a in answers if isinstance(a.action, ParseFailure)),
        "out_of_range": sum(out_of_range(step.action) for step in answers),
        "intervals": {  # 95 %, over episodes
            "episode_success_rate": interval((right, 1) for right in successes),
            "step_accuracy": interval((sum(step.right for step in steps), len(steps)) for steps in scored.values()),
        },
    }


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
    right = [row["truth"]["type"] == best[seen(row)] for row in rows]
    episodes: dict[str, list[tuple[int, str, bool]]] = defaultdict(list)
    for row, is_right in zip(rows, right, strict=True):
        episodes[row["episode"]].append((row["step"], row["truth"]["type"], is_right))
    complete = [steps for steps in map(sorted, episodes.values()) if _is_whole([step[:2] for step in steps])]
    success = mean(all(is_right for *_, is_right in steps) for steps in complete)
    return {"type_accuracy": mean(right), "episode_success_rate": success}


def closed_loop_metrics(trajectories: Sequence[dict]) -> dict:
    """Metrics of trajectories, as eval/login_eval.py writes them. Success is the form's own state."""
    turns = [turn for t in trajectories for turn in t["turns"]]
    return {
        "num_episodes": len(trajectories),
        "success_rate": mean(t["accepted"] for t in trajectories),
        "declared_rate": mean(t["declared"] for t in trajectories),
        "mean_steps": mean(t["steps"] for t in trajectories),
        "ended": counts(t["ended"] for t in trajectories),
        "outcomes": counts(turn["outcome"] for turn in turns),
        "parse_failures": counts(turn.get("failure") for turn in turns),
        "out_of_range": sum(out_of_range(Click(*turn["point"])) for turn in turns if turn.get("point")),
        "intervals": {  # 95 %, over episodes
            "success_rate": interval((t["accepted"], 1) for t in trajectories),
            "declared_rate": interval((t["declared"], 1) for t in trajectories),
        },
    }
