"""Progress of the trainings and evaluations below a folder, from another terminal: ``python tools/progress.py RUN_DIR``

One line a run: done, rate, remaining time, running score. ``--watch`` looks again every few seconds, until all is
finished; ``--json`` prints the same as a list. A training is read from ms-swift's logging.jsonl, an evaluation from
its predictions.jsonl or trajectories.jsonl. Nothing is written. Exit code 2: no run below the folder.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from data_engine.benchmark import Protocol
from data_engine.benchmarks import ANSWER_FILES, PROTOCOLS
from data_engine.cli import Parser, command, real
from data_engine.dataset import DataError
from data_engine.foreign import read_growing, read_object
from data_engine.runlog import start_path
from data_engine.shapes import Count, Number
from data_engine.training_log import STEP, number, read_log

LEARNING = ("loss", "token_acc", "reward", "frac_reward_zero_std", "num_turns")  # what a log line may hold

AGAIN = "this run cannot be continued, start it anew"


class Rows(msgspec.Struct):
    """How many rows a run has to ask."""

    rows: Count | None = None


class Record(msgspec.Struct):
    """What is read of a run.json."""

    kind: str | None = None
    data: Rows | None = None
    limit: Count | None = None
    attempts: Count | None = None


class Start(msgspec.Struct):
    """When a run was last started, and what was done then."""

    items: Count
    done: Count
    at: Number


class Steps(msgspec.Struct):
    """What is read of a trainer_state.json."""

    global_step: Count
    max_steps: Count


@dataclass
class Progress:
    """Where a run is. ``rate`` in items a second; ``remaining`` and ``silent`` (since the last line) in seconds."""

    run: str
    what: str  # "training" or "evaluation"
    done: int
    total: int | None
    unit: str
    rate: float | None
    silent: float | None
    score: dict[str, float] = field(default_factory=dict)
    fault: str | None = None  # why it cannot be read

    @property
    def finished(self) -> bool:
        return self.total is not None and self.done >= self.total

    @property
    def remaining(self) -> float | None:
        return (self.total - self.done) / self.rate if self.rate and self.total is not None else None

    def __str__(self) -> str:
        if self.fault:
            return f"{self.run}  {self.what}  cannot be read: {self.fault}"
        of = f"{self.done:,}/{self.total:,} {self.done / self.total:.0%}" if self.total else f"{self.done:,} of ?"
        parts = [self.run, self.what, f"{of} {self.unit}"]
        if self.finished:
            parts.append("finished")
        else:
            parts.append(f"{rate(self.rate, self.unit)}, remaining {span(self.remaining)}")
            parts.append("nothing written yet" if self.silent is None else f"last written {span(self.silent)} ago")
        return "  ".join(parts + [f"{name} {value:.4g}" for name, value in self.score.items()])


def rate(value: float | None, unit: str) -> str:
    """Items a second, or seconds an item where they are slow."""
    if not value:
        return "rate unknown"
    return f"{value:.1f} {unit}/s" if value >= 1 else f"{1 / value:.1f} s/{unit.removesuffix('s')}"


def span(seconds: float | None) -> str:
    """A time in its two largest units."""
    if seconds is None:
        return "unknown"
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 1:
        return f"{int(hours)} h {int(minutes) % 60:02} min"
    return f"{int(minutes)} min {int(seconds) % 60:02} s" if minutes >= 1 else f"{seconds:.0f} s"


def training(folder: Path, now: float) -> Progress:
    """A training, from its log; before the first line of it, from its newest checkpoint; before that, 0 steps."""
    log = folder / "logging.jsonl"
    lines = [line for line in (read_log(log) if log.is_file() else []) if line.get(STEP)]
    last = lines[-1] if lines else {}
    done, total = map(int, last[STEP].split("/")) if last else newest_checkpoint(folder)
    seconds = number(last.get("train_speed(s/it)"))
    logged = ((name, number(line.get(name))) for line in lines for name in LEARNING)
    score = {name: value for name, value in logged if value is not None}  # the latest of each
    silent = now - log.stat().st_mtime if log.is_file() else None
    return Progress(str(folder), "training", done, total, "steps", 1 / seconds if seconds else None, silent, score)


def newest_checkpoint(folder: Path) -> tuple[int, int | None]:
    """(step, last step) of the newest whole checkpoint; (0, None) without one."""
    steps = [(0, None)]
    for path in folder.glob("checkpoint-*/trainer_state.json"):
        try:
            state = read_object(path, Steps)
        except DataError:
            continue  # being written: ms-swift writes it last
        steps.append((state["global_step"], state["max_steps"]))
    return max(steps, key=lambda steps: steps[0])


def evaluation(folder: Path, now: float) -> Progress:
    """An evaluation, from its results file and what stands beside it."""
    run = _read(folder / "run.json", Record)
    protocol = PROTOCOLS.get(run.get("kind"))
    results = results_of(folder, protocol)
    start = _read(start_path(results), Start)
    rows = read_growing(results, protocol.read if protocol else dict)
    silent = now - results.stat().st_mtime if rows else None
    since = results.stat().st_mtime - start["at"] if start and rows else 0
    new = len(rows) - start.get("done", 0)
    scored = protocol.headline(rows) if rows and protocol else {}
    score = {name: value for name, value in scored.items() if value is not None}
    unit = protocol.unit if protocol else "rows"
    per_second = new / since if since > 0 and new > 0 else None
    total = start.get("items", expected(run))
    return Progress(str(results.parent), "evaluation", len(rows), total, unit, per_second, silent, score)


def expected(run: dict) -> int | None:
    """How many lines a run will have, from its record: rows or tasks up to the limit; GE-Lab tries tasks repeatedly."""
    rows = (run.get("data") or {}).get("rows")
    asked = min(rows, run.get("limit") or rows) if rows else None
    return asked and asked * ((run.get("attempts") or 0) + 1)


def _read(path: Path, shape: type) -> dict:
    return read_object(path, shape, AGAIN) if path.is_file() else {}


def runs(root: Path, now: float) -> Iterator[Progress]:
    """Every run at or below ``root``, by path. A checkpoint has an args.json too, but also the trainer's state."""
    for folder in sorted(path.parent for path in root.rglob("args.json")):
        if not (folder / "trainer_state.json").is_file():
            yield _readable(folder, "training", partial(training, folder, now))
    for folder in sorted(path.parent for path in root.rglob("run.json")):
        yield _readable(folder, "evaluation", partial(evaluation, folder, now))


def _readable(folder: Path, what: str, look: Callable[[], Progress]) -> Progress:
    """A run, or why it cannot be read: one bad run does not take the others."""
    try:
        return look()
    except DataError as error:
        unit = "steps" if what == "training" else "rows"
        return Progress(str(folder), what, 0, None, unit, None, None, fault=str(error))


def results_of(folder: Path, protocol: Protocol | None) -> Path:
    """The results file of an evaluation, or the one it will have."""
    names = (protocol.answers_file,) if protocol else ANSWER_FILES
    return next((folder / name for name in names if (folder / name).exists()), folder / names[-1])


def show(runs_seen: list[Progress], root: Path, as_json: bool) -> None:
    for run in runs_seen:
        run.run = str(Path(run.run).relative_to(root)) if run.run != str(root) else root.name
    if as_json:
        more = [{"remaining": run.remaining, "finished": run.finished} for run in runs_seen]
        print(json.dumps([asdict(run) | add for run, add in zip(runs_seen, more, strict=True)], indent=2), flush=True)
    else:
        print("\n".join(map(str, runs_seen)), flush=True)


@command("progress")
def main() -> None:
    parser = Parser(__doc__, "python tools/progress.py runs/quickstart --watch")
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="folder of one run or of several")
    parser.add_argument("--watch", action="store_true", help="look again until all is finished")
    parser.add_argument("--every", type=real(0.1), default=10.0, metavar="S", help="seconds between two looks")
    parser.add_argument("--json", action="store_true", help="print a list, with --watch one a look")
    args = parser.parse_args()
    while True:
        runs_seen = list(runs(args.run, time.time()))
        if not runs_seen:
            raise DataError(f"{args.run}: no training or evaluation there; give a recipe's OUTPUT or a run's --out")
        if all(run.fault for run in runs_seen):
            raise DataError(runs_seen[0].fault)
        show(runs_seen, args.run, args.json)
        if not args.watch or all(run.finished or run.fault for run in runs_seen):
            return
        time.sleep(args.every)
        print("" if args.json else time.strftime("-- %H:%M:%S"))


if __name__ == "__main__":
    sys.exit(main())
