"""The published tables beside our runs: number, 95 % interval, difference.

    python eval/compare_with_paper.py RUN... [--scaled-down RUN...] [--json] [--out comparison.md]

RUN: a folder with metrics.json files somewhere below, or NAME=FOLDER. GE-Lab: Tables 1, 2, 3 and 11 of the paper;
forms: the published tables, with the ceiling beside them. Answers are scored anew from each run's results file. A run
of another world, another number of tasks or another protocol than the paper's is refused, unless it is named after
--scaled-down: then it is shown, marked, and no difference is taken. Agents named sft..., st_rl..., mt_rl... are
compared with that row; --against names another.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import world_of
from published import COMPARED, PUBLISHED, Cells
from results import AGAIN, Recorded

from data_engine.benchmarks import OF_RUNS, PROTOCOLS
from data_engine.cli import Parser, command
from data_engine.dataset import DataError
from data_engine.files import write_file
from data_engine.foreign import check as check_shape
from data_engine.foreign import read_lines, read_object
from data_engine.intervals import by_group, interval

UNPUBLISHED = {"tasks_id.jsonl": "the paper has no interactive score of held-in tasks"}
STAGES = {"sft": "SFT", "st_rl": "ST-RL", "mt_rl": "MT-RL"}  # beginning of an agent's name -> row of the paper


@dataclass
class Result:
    """One metrics.json and the answers behind it."""

    agent: str
    folder: Path
    run: dict
    metrics: dict
    rows: list[dict]
    commit: str
    scaled_down: bool

    @property
    def kind(self) -> str:
        return self.run["kind"]

    @property
    def benchmark(self) -> str:
        return OF_RUNS[self.kind].name

    @property
    def data(self) -> str:
        return self.run["data"]["name"]

    def cells(self) -> Cells:
        return COMPARED[self.kind].cells(self.rows, self.data)

    def differences(self) -> Iterator[str]:
        """Why its numbers are not the paper's quantities."""
        if self.run.get("limit"):
            yield f"only the first {self.run['limit']} of {self.data}"
        if "protocol" in self.run["data"]:
            yield f"{self.data} is of another protocol ({self.run['data']['protocol']})"
        yield from COMPARED[self.kind].differences(self.run, self.metrics, self.rows)


# Reading


def results_of(given: str, scaled_down: bool) -> list[Result]:
    """All results at or below a folder. Raises DataError if there is none."""
    name, _, rest = given.rpartition("=")
    paths = sorted(Path(rest).rglob("metrics.json"))
    results = [result for path in paths if (result := read_result(path, name, scaled_down))]
    if not results:
        raise DataError(f"{rest}: no metrics.json of a published table below it; run the evaluation first")
    return results


def read_result(path: Path, name: str, scaled_down: bool) -> Result | None:
    """A result with its answers; None for what has no published counterpart. Raises DataError where they disagree."""
    content = read_object(path, dict[str, Any], AGAIN)
    run = content.get("run")
    if not isinstance(run, dict) or run.get("kind") not in list(COMPARED):
        return None
    check_shape(content, Recorded, path, AGAIN)
    if run["data"]["name"] in UNPUBLISHED:
        return None
    protocol, compared = PROTOCOLS[run["kind"]], COMPARED[run["kind"]]
    rows = read_lines(path.with_name(protocol.answers_file), compared.read)
    metrics = protocol.metrics(rows) if rows else {}
    if metrics != content["metrics"]:
        raise DataError(f"{path}: {protocol.answers_file} beside it scores otherwise; {AGAIN}")
    agent = (name or path.parents[compared.above].name) + (" (blank screenshots)" if "blank_of" in run["data"] else "")
    return Result(agent, path.parent, run, metrics, rows, content["commit"], scaled_down)


def check(results: list[Result]) -> None:
    """Raises DataError at the first result that cannot stand beside the paper, or beside the others."""
    exact = [result for result in results if not result.scaled_down]
    for result in exact:
        reasons = list(result.differences())
        if reasons:
            raise DataError(f"{result.folder}: {'; '.join(reasons)}. Name it after --scaled-down to show it anyway")
    worlds = {world_of(result.run): result.folder for result in exact if COMPARED[result.kind].one_world}
    if len(worlds) > 1:
        places = " and ".join(map(str, list(worlds.values())[:2]))
        raise DataError(f"{places}: are of different worlds; compare them one by one, or name one after --scaled-down")
    seen: dict[tuple, Path] = {}
    for result in results:
        key = result.agent, result.kind, result.data
        if key in seen:
            raise DataError(f"{seen[key]} and {result.folder}: both are {result.agent}; give names: NAME=FOLDER")
        seen[key] = result.folder


# Comparing


@dataclass
class Line:
    """A run's line in one table: column -> value, low, high (percent), n (trials), difference to the paper or None."""

    agent: str
    against: str | None
    scaled_down: bool
    cells: dict[str, dict] = field(default_factory=dict)


def against_of(agent: str, rows: dict, given: str | None) -> str | None:
    """The published row that an agent is compared with."""
    row = given or next((row for begin, row in STAGES.items() if agent.startswith(begin)), None)
    return row if row in rows else None


def lines_of(table: str, spec: dict, results: list[Result], given: str | None) -> list[Line]:
    """The lines of one table, one an agent."""
    lines: dict[str, Line] = {}
    for result in results:
        cells = {column: trials for (name, column), trials in result.cells().items() if name == table and trials}
        for column in spec["columns"]:
            if column in cells:
                against = None if result.scaled_down else against_of(result.agent, spec["rows"], given)
                line = lines.setdefault(result.agent, Line(result.agent, against, result.scaled_down))
                line.cells[column] = cell(cells[column], published(spec, against, column))
    return list(lines.values())


def published(spec: dict, row: str | None, column: str) -> float | None:
    """The number that stands there, percent; None without a row to compare with."""
    return spec["rows"][row][spec["columns"].index(column)] if row else None


def cell(trials: list[tuple[str, float]], paper: float | None) -> dict:
    """A cell of a Line, from trials (group, 0..1); the interval is 95 %, over groups."""
    value = 100 * sum(right for _, right in trials) / len(trials)
    low, high = (100 * edge for edge in interval(by_group(trials)))
    difference = None if paper is None else value - paper
    return {"value": value, "low": low, "high": high, "n": len(trials), "difference": difference}


def compare(results: list[Result], given: str | None) -> list[dict]:
    """One record a table that a run has numbers for."""
    tables = []
    for benchmark, content in PUBLISHED.items():
        some = [result for result in results if result.benchmark == benchmark]
        for name, spec in content["tables"].items():
            lines = lines_of(name, spec, some, given)
            if lines:
                tables.append({"table": name, "source": content["source"], **spec, "runs": lines})
    known = [row for table in tables for row in table["rows"]]
    if given and given not in known:
        raise DataError(f"--against {given!r}: no row of these tables; known are {', '.join(dict.fromkeys(known))}")
    return tables


# Showing


def markdown(table: dict) -> str:
    """A table in percent: published rows, then two lines a run."""
    columns = table["columns"]
    text = [f"### {table['title']}", "", f"| {' | '.join(['percent', *columns])} |", "|---|" + "---:|" * len(columns)]
    for name, values in {**table.get("ceiling", {}), **table["rows"]}.items():
        text.append(f"| {name} (published) | " + " | ".join("" if v is None else f"{v:.2f}" for v in values) + " |")
    for line in table["runs"]:
        head = f"**{line.agent}**" + (" (scaled down)" if line.scaled_down else "")
        text.append(f"| {head} | " + " | ".join(_value(line.cells.get(column)) for column in columns) + " |")
        if line.against:
            cells = [_difference(line.cells.get(column)) for column in columns]
            text.append(f"| {line.agent} - {line.against} | " + " | ".join(cells) + " |")
    return "\n".join([*text, "", table["remark"]] if "remark" in table else text)


def _value(cell: dict | None) -> str:
    return f"{cell['value']:.2f} [{cell['low']:.1f}, {cell['high']:.1f}]" if cell else ""


def _difference(cell: dict | None) -> str:
    if not cell or cell["difference"] is None:
        return ""
    outside = not cell["low"] <= cell["value"] - cell["difference"] <= cell["high"]
    return f"{cell['difference']:+.2f}{' *' if outside else ''}"


NOTES = """In brackets: 95 % interval of our number, over tasks or episodes; the published numbers come
without one. `*`: the interval does not hold the published number."""
BLANK = """`(blank screenshots)`: trained and scored on white pages, the rows the same. Page ids stand in instructions
and histories; what such a run scores can be had from the text, so what a seeing run owes to the picture is the rest."""
SCALED = """`(scaled down)`: of a smaller world or another protocol, Pass@5 of as many attempts as it had; not the
paper's quantity, so no difference is taken."""


def report(tables: list[dict], results: list[Result]) -> str:
    notes = [NOTES, *[f"{t['source']}; {PUBLISHED[b]['definitions']}." for b, t in _first_of_each(tables)]]
    notes += [BLANK] if any("blank_of" in result.run["data"] for result in results) else []
    notes += [SCALED] if any(result.scaled_down for result in results) else []
    runs = [f"- {r.agent}, {r.data}: {_model(r)}, commit {r.commit}" for r in results]
    return "\n\n".join([*map(markdown, tables), *notes, "\n".join(runs)]) + "\n"


def _first_of_each(tables: list[dict]) -> Iterator[tuple[str, dict]]:
    for benchmark, content in PUBLISHED.items():
        yield from ((benchmark, t) for t in [t for t in tables if t["source"] == content["source"]][:1])


def _model(result: Result) -> str:
    model = result.run.get("model")
    extra = f", temperature {result.run['temperature']}" if "temperature" in result.run else ""
    return (Path(model["name"]).name if model else result.run["engine"]) + extra


def as_json(tables: list[dict], results: list[Result]) -> str:
    runs = [{"agent": r.agent, "folder": str(r.folder), "commit": r.commit, "run": r.run} for r in results]
    return json.dumps({"tables": tables, "runs": runs}, indent=2, default=vars)


@command("compare_with_paper")
def main() -> None:
    parser = Parser(__doc__, "python eval/compare_with_paper.py RUN --scaled-down runs/quickstart")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="folder with metrics.json below it, or NAME=FOLDER")
    parser.add_argument("--scaled-down", nargs="+", default=[], metavar="RUN", help="runs that are not the paper's")
    parser.add_argument("--against", metavar="ROW", help="published row to take differences to; default: by name")
    parser.add_argument("--out", type=Path, help="also write the Markdown there")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    args = parser.parse_args()
    if not args.runs and not args.scaled_down:
        parser.error("name at least one RUN")
    results = [result for given in args.runs for result in results_of(given, False)]
    results += [result for given in args.scaled_down for result in results_of(given, True)]
    check(results)
    tables = compare(results, args.against)
    text = report(tables, results)
    if args.out:
        write_file(args.out, text)
    print(as_json(tables, results) if args.json else text)


if __name__ == "__main__":
    sys.exit(main())
