"""The published tables (published.json) and our cells for their columns.

A run's cell is a list of trials, (group, value 0..1): the group is a task or an episode, and the cell's number is the
mean. The numbers are those of metrics.json (a test holds it); the groups are what an interval needs.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from data_engine.dataset import read_json
from data_engine.foreign import check
from data_engine.gelab import benchmark as gelab
from data_engine.gelab.metrics import COLUMNS, STEPS, answered, column, score_prediction, whole_tasks
from data_engine.login import benchmark as login
from data_engine.login.metrics import judge, whole
from data_engine.shapes import Count

PUBLISHED = read_json(Path(__file__).with_name("published.json"))
HELD_IN = "eval_id.jsonl"
Trials = list[tuple[str, float]]
Cells = dict[tuple[str, str], Trials]  # (table, column) -> trials


class Step(msgspec.Struct):
    """What the published columns need of a row, beside what the metrics need."""

    task: str
    path: Count


def read_step(row: dict) -> dict:
    """A row of predictions.jsonl as ``static_cells`` reads it. Raises DataError."""
    return check(answered(row), Step, f"row {row.get('idx')}", "run the evaluation again")


def lengths(rows: Sequence[dict]) -> list[int]:
    """The path lengths that occur, in clicks, ascending."""
    return sorted({row["path"] for row in rows})


def static_cells(rows: Sequence[dict], held_in: bool) -> Cells:
    """Cells of predictions of eval_id.jsonl or eval_ood.jsonl."""
    steps = [(row, s) for row in rows if (s := score_prediction(row))["kind"] in STEPS]
    columns = {name.title(): [(row["task"], float(s["right"])) for row, s in column(steps, name)] for name in COLUMNS}
    cells: Cells = {("1", f"{'ID' if held_in else 'OOD'} {name}"): trials for name, trials in columns.items()}
    if held_in:
        return cells
    cells |= {("3", name): trials for name, trials in columns.items()}
    tasks = [(task, length, float(all(rights))) for (task, length), rights in whole_tasks(steps).items()]
    for n in lengths(rows):
        cells["11 step", str(n)] = [(row["task"], float(s["right"])) for row, s in steps if row["path"] == n]
        cells["11 task", str(n)] = [(task, right) for task, length, right in tasks if length == n]
    cells["11 step", "all"] = columns["Overall"]
    cells["11 task", "all"] = [(task, right) for task, _, right in tasks]
    return cells


def interactive_cells(trajectories: Sequence[dict]) -> Cells:
    """Cells of trajectories of tasks_ood.jsonl; the greedy attempt (0) is not published."""
    arrived: dict[tuple[str, int], list[float]] = defaultdict(list)
    for t in trajectories:
        if t["attempt"] > 0:
            arrived[t["task"], t["path"]].append(float(t["arrived"]))

    def passes(keep: Callable[[int], bool]) -> tuple[Trials, Trials]:
        some = [(task, tries) for (task, length), tries in arrived.items() if keep(length)]
        return [(task, right) for task, tries in some for right in tries], [(task, max(tries)) for task, tries in some]

    cells: Cells = {}
    cells["1", "Pass@1"], cells["1", "Pass@5"] = passes(lambda length: True)
    for n in lengths(trajectories):
        cells["2 Pass@1", f"Path@{n}"], cells["2 Pass@5", f"Path@{n}"] = passes(lambda length, n=n: length == n)
    return cells


def form_cells(rows: Sequence[dict]) -> Cells:
    """Cells of predictions on forms, by the classic scoring."""
    judged = judge(rows)
    episodes = {name: [step.classic for step in steps] for name, steps in judged.items()}
    steps = [(name, step) for name, scored in episodes.items() for step in scored]
    table = rows[0]["mode"]

    def cell(value: Callable) -> Trials:
        return [(name, float(value(step))) for name, step in steps if value(step) is not None]

    return {
        (table, "type accuracy"): cell(lambda step: step.type),
        (table, "click error"): cell(lambda step: step.error),
        (table, "click hit rate"): cell(lambda step: step.hit),
        (table, "element accuracy"): cell(lambda step: step.element),
        (table, "episode success"): [(name, float(all(s.type for s in episodes[name]))) for name in whole(judged)],
    }


# Whether a run's numbers are the published quantities: its record, metrics and rows -> why they are not


def world_differences(run: dict, metrics: dict, rows: Sequence[dict]) -> Iterator[str]:
    protocol = PUBLISHED["gelab"]["protocol"]
    tasks = {n: row["tasks"] for n, row in metrics["by_length"].items()}
    subtrees = 1
    if run["data"]["name"] == HELD_IN:  # as many subtrees as were trained, each of the paper's size
        subtrees = max(1, round(sum(tasks.values()) / sum(protocol["tasks"].values())))
    if tasks != {n: subtrees * count for n, count in protocol["tasks"].items()}:
        yield f"{sum(tasks.values()):,} tasks, lengths 1 to {max(map(int, tasks), default=0)}: another world"
    if run["kind"] == gelab.STATIC.kind:
        if metrics["rows_by_kind"] != {kind: subtrees * n for kind, n in protocol["rows"].items()}:
            yield f"{metrics['rows']:,} rows, not the paper's"
    elif (metrics["k"], run.get("max_steps")) != (protocol["attempts"], protocol["max_steps"]):
        yield f"{metrics['k']} attempts of {run.get('max_steps')} steps, the paper has 5 of 12"


def form_differences(run: dict, metrics: dict, rows: Sequence[dict]) -> Iterator[str]:
    table = PUBLISHED["login"]["tables"][rows[0]["mode"]]
    if rows[0].get("protocol") not in table["protocols"]:
        yield f"protocol {rows[0].get('protocol')}, published is {' or '.join(table['protocols'])}"
    if metrics["num_episodes"] != PUBLISHED["login"]["episodes"]:
        yield f"{metrics['num_episodes']} episodes, published are 32"
    elif metrics["num_steps"] not in table["steps"]:
        yield f"{metrics['num_steps']} steps, published are {' or '.join(map(str, table['steps']))}"


@dataclass(frozen=True)
class Compared:
    """How runs of a protocol stand beside the published numbers."""

    cells: Callable[[Sequence[dict], str], Cells]
    """(rows, name of the data file) -> the columns that the run has numbers for"""
    differences: Callable[[dict, dict, Sequence[dict]], Iterator[str]]
    """As above"""
    read: Callable[[dict], dict]
    """A line of the answers as ``cells`` and the metrics read it. Raises DataError"""
    one_world: bool
    """Whether runs of different worlds must not stand together"""
    above: int
    """Folders between metrics.json and the one that is named after the agent"""


COMPARED = {  # kind of a run -> how it is compared; the others have no published numbers
    gelab.STATIC.kind: Compared(
        lambda rows, data: static_cells(rows, data == HELD_IN), world_differences, read_step, True, 1
    ),
    gelab.INTERACTIVE.kind: Compared(
        lambda rows, data: interactive_cells(rows), world_differences, gelab.INTERACTIVE.read, True, 1
    ),
    login.STEPS.kind: Compared(lambda rows, data: form_cells(rows), form_differences, login.STEPS.read, False, 0),
}
