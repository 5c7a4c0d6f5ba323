"""Scores of many answers: static (teacher-forced rows) and interactive (episodes). Fractions 0..1, None for no rows.

Static columns of the paper, decoded from its numbers (they add up for all models of its Table 1):

    overall_paper   every row of the subtree                                          12,439
    edge_paper      rows with `History: Null` and the `complete` of length-1 tasks     2,299 = 2,162 + 137
    path_paper      the clicks after the first                                         8,115
    (the `complete` rows of longer tasks, 2,025, count in neither edge nor path)

and the plain ones beside them: first_click, middle_click, complete, step_all, task_all (every step of a task right).
by_subtree has the paper's columns for each subtree (of `source`; sub1_edge is of sub1) where more than one is scored.
Interactive: pass_at_1 is the mean over sampled attempts, pass_at_k any of the k; success is arrival. Both are the
paper's (the cells of its Table 2 are whole numbers of 5 x tasks, and of tasks). pass_at_k_unbiased[j] beside them: the
chance that j of the n attempts, drawn without replacement, hold a success, 1 - C(n - c, j) / C(n, j) for c successes
(Chen et al., arXiv 2107.03374, equation 1); its 1 is pass_at_1, its n pass_at_k. ``intervals``: 95 %, over tasks.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import comb

import msgspec

from ..dataset import DataError
from ..foreign import check, in_text, present
from ..geometry import in_range
from ..intervals import by_group, counts, interval, mean
from ..shapes import Count, Message, Turn
from .actions import Action, Click, ParseFailure, parse
from .rows import SINGLE_STEPS
from .scoring import gold_of, gold_text, score, score_caption

Scored = tuple[dict, dict]  # a row, its ``score_prediction``
NULL_HISTORY = "History: Null"
STEPS = ("first_click", "middle_click", "complete")  # kinds of the steps of a path
COLUMNS: dict[str, Callable[[str, int | None], bool]] = {  # the paper's: which steps count, by kind and length of path
    "overall": lambda kind, length: True,
    "edge": lambda kind, length: kind == "first_click" or (kind == "complete" and length == 1),
    "path": lambda kind, length: kind == "middle_click",
}
CAPTIONS = ("caption", "icon_captioning", "page", "opening")  # tasks of ours and of the authors'
_SUBTREE = re.compile(r"sub([0-9]+)")


class Answered(msgspec.Struct):
    """A row of a predictions file, ours or the authors'; null counts as absent."""

    messages: list[Message] = []
    problem: str = ""
    solution: str = ""
    task: str = ""
    path: Count = 0
    source: str = ""
    images: list[str] = []


def answered(row: dict, boxed: Callable[[dict], dict] = dict) -> dict:
    """A row of a predictions file as ``static_metrics`` reads it; ``boxed`` may add a box. Raises DataError."""
    row = in_text(present(row), "prediction", "solution")
    check(row, Answered, f"row {row.get('idx')}", "run the evaluation again")
    asked = any(message["role"] == "user" for message in row.get("messages", ()))
    if not asked and not {"problem", "solution"} <= row.keys():
        raise DataError(f"row {row.get('idx')}: has no question and answer in 'messages'; run the evaluation again")
    row = boxed(row)
    _prediction(row)
    if row.get("task") not in CAPTIONS:
        gold_of(row)
    return row


def _prediction(row: dict) -> str:
    if not isinstance(row.get("prediction"), str):
        raise DataError(f"row {row.get('idx')}: no text under 'prediction'; run the evaluation to the end")
    return row["prediction"]


class Trajectory(msgspec.Struct):
    """What the metrics read of a trajectory."""

    task: str
    path: Count
    attempt: Count
    arrived: bool
    declared: bool
    ended: str
    turns: list[Turn]


def read_trajectory(row: dict) -> dict:
    """A trajectory as ``interactive_metrics`` reads it. Raises DataError."""
    return check(row, Trajectory, f"task {row.get('task')!r}", "run the evaluation again")


def score_prediction(row: dict) -> dict:
    """Score one row that holds a ``prediction``: its kind, whether it is right, and why it could not be read.

    Raises DataError naming the row if it has no prediction or a broken gold.
    """
    prediction = _prediction(row)
    if row.get("task") in CAPTIONS:
        return {"kind": "caption", "right": score_caption(prediction, gold_text(row))}
    gold = gold_of(row)
    answer = parse(prediction)
    parts = score(answer, gold)
    return {
        "kind": _kind(row, gold.answer.action),
        "right": parts.step,
        "parts": parts,
        "failure": answer.action.reason if isinstance(answer.action, ParseFailure) else None,
        "out_of_range": isinstance(answer.action, Click) and not in_range(answer.action.x, answer.action.y),
    }


def _kind(row: dict, gold: Action) -> str:
    if row.get("task") in ("grounding", "icon_grounding"):
        return "grounding"
    if not isinstance(gold, Click):
        return type(gold).__name__.lower()
    return "first_click" if NULL_HISTORY in _question(row) else "middle_click"


def _question(row: dict) -> str:
    if "messages" not in row:
        return row["problem"]
    return next(message["content"] for message in row["messages"] if message["role"] == "user")


def static_metrics(rows: Sequence[dict]) -> dict:
    """Metrics of rows that hold a ``prediction``."""
    scored = [(row, score_prediction(row)) for row in rows]
    steps = [(row, s) for row, s in scored if s["kind"] in STEPS]
    paper = {f"{name}_paper": column(steps, name) for name in COLUMNS}

    def kind(name: str) -> float | None:
        return mean(s["right"] for _, s in scored if s["kind"] == name)

    return {
        "rows": len(rows),
        **{name: mean(s["right"] for _, s in group) for name, group in paper.items()},
        "first_click": kind("first_click"),
        "middle_click": kind("middle_click"),
        "complete": kind("complete"),
        "step_all": mean(s["right"] for _, s in steps),
        "grounding": kind("grounding"),
        "caption": kind("caption"),
        **_tasks(steps),
        **_by_subtree(steps),
        "parts": {name: mean(getattr(s["parts"], name) for _, s in steps) for name in PARTS},
        "rows_by_kind": counts(s["kind"] for _, s in scored),
        "parse_failures": counts(s.get("failure") for _, s in scored),
        "out_of_range": sum(s.get("out_of_range", False) for _, s in scored),
        "intervals": {
            **{name: _interval_over_tasks(group) for name, group in paper.items()},
            "step_all": _interval_over_tasks(steps),
            "task_all": interval((all(r), 1) for r in whole_tasks(steps).values()),
        },
    }


def column(steps: Iterable[Scored], name: str) -> list[Scored]:
    """The steps that a column of the paper counts: overall, edge or path."""
    return [(row, s) for row, s in steps if COLUMNS[name](s["kind"], row.get("path"))]


def _by_subtree(steps: Iterable[Scored]) -> dict:
    """``by_subtree``: subN -> its steps and the paper's columns; nothing where all steps are of one subtree."""
    groups: dict[int, list[Scored]] = defaultdict(list)
    for row, s in steps:
        if match := _SUBTREE.match(row.get("source", "")):
            groups[int(match[1])].append((row, s))
    metrics = {
        f"sub{n}": {
            "steps": len(group),
            **{f"{name}_paper": mean(s["right"] for _, s in column(group, name)) for name in COLUMNS},
        }
        for n, group in sorted(groups.items())
    }
    return {"by_subtree": metrics} if len(metrics) > 1 else {}


def _interval_over_tasks(scored: Iterable[Scored]) -> list[float] | None:
    """Of the rate of right rows; a row without a task (the authors' files) stands for itself."""
    trials = [((row["task"], row.get("path")) if "task" in row else i, s["right"]) for i, (row, s) in enumerate(scored)]
    return interval(by_group(trials))


PARTS = ("type", "coord", "intent", "format")


def _by_task(steps: list[Scored]) -> tuple[dict[tuple[str, int], list[int]], dict]:
    """(task, length) -> which of its rows are right, and which questions they ask; single steps belong to no task."""
    rights: dict[tuple[str, int], list[int]] = defaultdict(list)
    asked: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row, s in steps:
        if "path" in row and "task" in row and not str(row.get("source", "")).endswith(SINGLE_STEPS):
            rights[row["task"], row["path"]].append(s["right"])
            asked[row["task"], row["path"]].add(_question(row))
    return rights, asked


def whole_tasks(steps: list[Scored]) -> dict[tuple[str, int], list[int]]:
    """The tasks of which all length + 1 rows are there, each once."""
    rights, asked = _by_task(steps)
    return {task: r for task, r in rights.items() if len(r) == len(asked[task]) == task[1] + 1}


def _tasks(steps: list[Scored]) -> dict:
    """Task accuracy, over and by path length."""
    rights, whole = _by_task(steps)[0], whole_tasks(steps)
    by_length = {
        str(n): {
            "tasks": sum(length == n for _, length in whole),
            "task": mean(all(r) for (_, length), r in whole.items() if length == n),
            "step": mean(right for (_, length), r in rights.items() if length == n for right in r),
        }
        for n in sorted({length for _, length in rights})
    }
    return {
        "tasks": len(whole),
        "tasks_incomplete": len(rights) - len(whole),
        "task_all": mean(all(r) for r in whole.values()),
        "by_length": by_length,
    }


def interactive_metrics(trajectories: Sequence[dict]) -> dict:
    """Metrics of trajectories, as eval/gelab_interactive.py writes them; attempt 0 is greedy, 1..k are sampled."""
    sampled = [t for t in trajectories if t["attempt"] > 0]
    turns = [turn for t in trajectories for turn in t["turns"]]
    return {
        "tasks": len({t["task"] for t in trajectories}),
        "k": len({t["attempt"] for t in sampled}),
        **_passes(trajectories),
        "greedy_declared": mean(t["declared"] for t in trajectories if t["attempt"] == 0),
        "by_length": {
            str(n): {
                "tasks": len({t["task"] for t in trajectories if t["path"] == n}),
                **_passes([t for t in trajectories if t["path"] == n]),
            }
            for n in sorted({t["path"] for t in trajectories})
        },
        "outcomes": counts(turn["outcome"] for turn in turns),
        "parse_failures": counts(turn.get("failure") for turn in turns),
        "out_of_range": sum(not in_range(*turn["point"]) for turn in turns if turn.get("point")),
        "premature_complete": sum(t["ended"] == "premature complete" for t in trajectories),
    }


def _passes(trajectories: list[dict]) -> dict:
    """Pass@1 = mean over attempts; Pass@k = any of a task's attempts; ``declared`` = arrived and said so there."""
    by_task: dict[str, list[dict]] = defaultdict(list)
    for t in trajectories:
        if t["attempt"] > 0:
            by_task[t["task"]].append(t)
    arrived = [[t["arrived"] for t in group] for group in by_task.values()]
    greedy = [t["arrived"] for t in trajectories if t["attempt"] == 0]
    parts = {  # (numerator, denominator) of each task
        "pass_at_1": [(sum(one), len(one)) for one in arrived],
        "pass_at_k": [(any(one), 1) for one in arrived],
        "declared": [(sum(t["declared"] for t in group), len(group)) for group in by_task.values()],
        "greedy": [(one, 1) for one in greedy],
    }
    return {
        **{name: _ratio(part) for name, part in parts.items()},
        "pass_at_k_unbiased": {
            str(k): mean(unbiased(len(one), sum(one), k) for one in arrived)
            for k in range(1, min(map(len, arrived), default=0) + 1)
        },
        "intervals": {name: interval(part) for name, part in parts.items()},
    }


def _ratio(parts: Sequence[tuple[int, int]]) -> float | None:
    return sum(n for n, _ in parts) / sum(d for _, d in parts) if parts else None


def unbiased(n: int, c: int, k: int) -> float:
    """The chance that ``k`` of ``n`` attempts, drawn without replacement, hold one of the ``c`` successes; k <= n."""
    return 1 - comb(n - c, k) / comb(n, k)
