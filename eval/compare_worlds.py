"""Static scores of several models on several worlds, as the paper's Table 3: Overall / Path / Edge, in percent.

    python eval/compare_worlds.py RUN [RUN ...] [--out table.md]

RUN is a folder of one model with RUN/WORLD/metrics.json of eval/gelab_static.py: one line a world, one column a RUN.
"""

import sys
from pathlib import Path

from results import read_score

from data_engine.cli import Parser, command
from data_engine.dataset import DataError
from data_engine.files import write_file

COLUMNS = ("overall_paper", "path_paper", "edge_paper")  # in the paper's order
ORDER = ["base", "image", "name", "position", "noise"]  # the paper's; other worlds follow by name


def read_runs(runs: list[Path]) -> dict[str, dict[str, dict]]:
    """Name of the run -> world -> metrics. Raises DataError where there are none, or they are not static scores."""
    results: dict[str, dict[str, dict]] = {}
    for run in runs:
        files = sorted(run.glob("*/metrics.json"))
        if not files:
            raise DataError(f"{run}: no WORLD/metrics.json; score each world with --out {run}/WORLD first")
        if run.name in results:
            raise DataError(f"{run}: two runs are called {run.name!r}; rename one")
        results[run.name] = {file.parent.name: _metrics(file) for file in files}
    return results


def _metrics(file: Path) -> dict:
    metrics = read_score(file)["metrics"]
    if not set(COLUMNS) <= set(metrics):
        raise DataError(f"{file}: has no {COLUMNS[0]}; give results of eval/gelab_static.py")
    return metrics


def table(results: dict[str, dict[str, dict]]) -> str:
    """Markdown; a world that a run did not score is ``n/a``."""
    worlds = {world for run in results.values() for world in run}
    worlds = sorted(worlds, key=lambda world: (ORDER.index(world) if world in ORDER else len(ORDER), world))
    lines = ["| world | " + " | ".join(results) + " |", "|---|" + "---:|" * len(results)]
    for world in worlds:
        lines.append(f"| {world} | " + " | ".join(_cell(run.get(world)) for run in results.values()) + " |")
    return "\n".join(lines)


def _cell(metrics: dict | None) -> str:
    if metrics is None:
        return "n/a"
    values = (metrics[name] for name in COLUMNS)
    return " / ".join("n/a" if value is None else f"{100 * value:.2f}" for value in values)


@command("compare_worlds")
def main() -> None:
    parser = Parser(__doc__, "python eval/compare_worlds.py runs/worlds/sft --out table.md")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a model: RUN/WORLD/metrics.json")
    parser.add_argument("--out", type=Path, help="write the table there too")
    args = parser.parse_args()
    text = "Overall / Path / Edge, percent\n\n" + table(read_runs(args.runs))
    if args.out:
        write_file(args.out, text + "\n")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
