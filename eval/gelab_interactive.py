"""Interactive evaluation: the model walks the world; success is arrival at the goal within the step limit.

    python eval/gelab_interactive.py --engine transformers --model CKPT --world DATA/world \\
        --tasks DATA/tasks_ood.jsonl --attempts 5 --out runs/x/interactive

Each task is tried once greedily (attempt 0) and ``--attempts`` times with sampling. After arrival the model is asked
once more, and ``declared`` says that it answered ``complete`` there. ``--batch-size`` episodes advance together; the
place of a finished one goes to the next. A sample depends on seed, task, attempt and turn, not on who shares its batch.
With ``--backend browser`` the screenshots are a real browser's (OUT/browser), and every click is made in it.
Writes OUT/trajectories.jsonl (resumes) and OUT/metrics.json.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from common import checked_manifest, engine_and_run, engine_flags, finish, loading, spent
from engines import Engine
from settings import Settings
from shards import run_items, shard_flags

from data_engine.cli import Parser, command, positive, real, whole
from data_engine.dataset import DataError
from data_engine.episode import Request, run_episodes
from data_engine.foreign import check, read_lines
from data_engine.gelab.benchmark import GELAB, INTERACTIVE
from data_engine.gelab.env import MAX_STEPS, NavigationEpisode
from data_engine.gelab.graph import PageGraph
from data_engine.gelab.play.browser import Browser
from data_engine.gelab.tasks import Task
from data_engine.gelab.world import World
from data_engine.shapes import Count


@dataclass(frozen=True)
class Attempt:
    """A try at a task: its number (0 is greedy), the task's row, and the temperature at which it is sampled."""

    number: int
    row: dict
    temperature: float

    @property
    def key(self) -> str:
        return f"{self.number}/{self.row['idx']}"


def attempts_at(rows: Sequence[dict], sampled: int, temperature: float) -> list[Attempt]:
    """One greedy attempt at each task, then the sampled ones. A task's attempts follow each other: what they have in
    common is computed once."""
    return [Attempt(i, row, temperature if i else 0.0) for row in rows for i in range(sampled + 1)]


class TaskRow(msgspec.Struct):
    """A row of tasks_id.jsonl or tasks_ood.jsonl."""

    idx: int
    task: str
    path: Count
    start: str
    goal: str
    world: str | None = None


def task_row(graph: PageGraph, row: dict) -> dict:
    """A row that can be played in the graph. Raises DataError."""
    check(row, TaskRow, f"row {row.get('idx')}", "give tasks_id.jsonl or tasks_ood.jsonl")
    lost = {row["start"], row["goal"]} - graph.pages.keys()
    if lost:
        raise DataError(f"row {row['idx']}: no page {min(lost)!r} in the world; write the rows again")
    return row


def load_world(folder: Path, manifest: dict, tasks: Path) -> World:
    return _proven(
        folder, manifest["fingerprint"], f"is not the world of {tasks}; give the world folder beside the tasks"
    )


def _proven(folder: Path, fingerprint: str, fault: str) -> World:
    """The world of this fingerprint, its pictures checked. Raises DataError."""
    world = World(folder)
    if world.fingerprint != fingerprint:
        raise DataError(f"{folder}: {fault}")
    world.check_pictures()
    return world


def load_placements(tasks: Path, rows: Sequence[dict], manifest: dict) -> dict[str, World]:
    """Path -> world of each placement on which a task of ``rows`` is shown; empty where none is. Raises DataError."""
    worlds = {}
    for name in sorted({row["world"] for row in rows if "world" in row}):
        if name not in manifest.get("placements", {}):
            raise DataError(f"{tasks}: no placement {name!r} in the manifest beside it; write the rows again")
        fault = f"is not the placement of {tasks}; write the rows again"
        worlds[name] = _proven(tasks.parent / name, manifest["placements"][name], fault)
    return worlds


@contextmanager
def backend(name: str, world: World, placements: dict[str, World], folder: Path) -> Iterator[tuple[Callable, dict]]:
    """(row -> what makes an episode of its task, key and step limit; what the run's record says of it). Raises
    DataError."""
    if name == "world":
        yield lambda row: partial(NavigationEpisode, placements.get(row.get("world"), world)), {}
    elif placements:
        raise DataError("--backend browser: shows one world, and these tasks are on several placements; omit it")
    else:
        with Browser(world, folder) as browser:
            yield lambda row: browser.episode, {"browser": browser.version}


def play(
    maker: Callable,
    engine: Engine,
    attempts: Sequence[Attempt],
    settings: Settings,
    max_steps: int,
    write: Callable[[dict], None],
    explain: str = "step",
) -> None:
    """Play attempt after attempt, ``batch_size`` at a time, ``max_steps`` answers each; ``write`` gets their
    trajectories."""
    by_key = {attempt.key: attempt for attempt in attempts}

    def episode(attempt: Attempt) -> NavigationEpisode:
        task = Task(attempt.row["start"], attempt.row["goal"], attempt.row["path"])
        return maker(attempt.row)(task, attempt.key, max_steps, explain=explain)

    episodes = map(episode, attempts)

    def policy(requests: list[Request]) -> list[str]:
        temperatures = [by_key[request.key.rpartition("/")[0]].temperature for request in requests]
        return engine.answer(requests, temperatures, settings.seed)

    run_episodes(episodes, policy, settings.batch_size, lambda episode: write(trajectory(episode, by_key[episode.key])))


def trajectory(episode: NavigationEpisode, attempt: Attempt) -> dict:
    """The record of an episode: where it went, what was said, how it ended."""
    state = episode.state
    last = episode.turns[-1]["outcome"]
    ended = "arrived" if state.arrived else "premature complete" if last == "complete" else "step limit"
    return {
        "key": episode.key,
        **{name: attempt.row[name] for name in ("idx", "task", "path", "start", "goal")},
        **({"world": attempt.row["world"]} if "world" in attempt.row else {}),
        "attempt": attempt.number,
        "arrived": state.arrived,
        "declared": state.declared,
        "steps": state.steps,
        "ended": ended,
        "turns": episode.turns,
    }


@command("gelab_interactive")
def main() -> None:
    example = "python eval/gelab_interactive.py --engine oracle --world D/world --tasks D/tasks_ood.jsonl --out X"
    parser = Parser(__doc__, example)
    parser.add_argument("--world", type=Path, required=True, help="the world the tasks were written for")
    parser.add_argument("--tasks", type=Path, required=True, help="tasks_id.jsonl or tasks_ood.jsonl")
    parser.add_argument("--attempts", type=whole(0), default=5, help="sampled attempts per task (the paper: 5)")
    parser.add_argument(
        "--temperature", type=real(0), default=1.0, help="of the sampled attempts; the paper gives none"
    )
    parser.add_argument("--max-steps", type=positive, default=MAX_STEPS, help="answers before an episode is cut")
    parser.add_argument("--backend", choices=("world", "browser"), default="world", help="who shows and clicks")
    engine_flags(parser)
    shard_flags(parser)
    args = parser.parse_args()
    manifest = checked_manifest(args.tasks, GELAB)
    world = load_world(args.world, manifest, args.tasks)
    settings = Settings.of(args)
    tasks = read_lines(args.tasks, partial(task_row, world.graph), args.limit)
    placements = load_placements(args.tasks, tasks, manifest)
    attempts = attempts_at(tasks, args.attempts, args.temperature)
    with backend(args.backend, world, placements, args.out / "browser") as (maker, shown_by):
        engine, run = engine_and_run(
            settings,
            INTERACTIVE.kind,
            args.tasks,
            manifest,
            attempts=args.attempts,
            temperature=args.temperature,
            max_steps=args.max_steps,
            **shown_by,
        )

        def work(todo: Sequence[Attempt], write: Callable[[dict], None]) -> None:
            play(maker, engine, todo, settings, args.max_steps, write, manifest["arguments"].get("explain", "step"))

        name = INTERACTIVE.answers_file
        finished = run_items(settings, name, attempts, work, "episodes", loading(engine), args.attempts + 1)
    if finished:
        metrics = INTERACTIVE.metrics(read_lines(args.out / name, INTERACTIVE.read))
        finish(args.out / "metrics.json", metrics, run, args.json, **spent(settings))


if __name__ == "__main__":
    sys.exit(main())
