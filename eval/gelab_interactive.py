"""Interactive evaluation: the model walks the world; success is arrival at the goal within the step limit.

    python eval/gelab_interactive.py --engine transformers --model CKPT --world DATA/world \\
        --tasks DATA/tasks_ood.jsonl --attempts 5 --out runs/x/interactive

Each task is tried once greedily (attempt 0) and ``--attempts`` times with sampling. After arrival the model is asked
once more, and ``declared`` says that it answered ``complete`` there. All episodes of a batch advance together.
With ``--backend browser`` the screenshots are a real browser's (OUT/browser), and every click is made in it.
Writes OUT/trajectories.jsonl (resumes) and OUT/metrics.json.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from common import checked_manifest, engine_and_run, engine_flags, finish, positive, run_main, spent
from engines import Engine

from data_engine.dataset import DataError, read_rows
from data_engine.episode import Request, run_episodes
from data_engine.gelab.env import NavigationEpisode, step_limit
from data_engine.gelab.metrics import interactive_metrics
from data_engine.gelab.play.browser import Browser
from data_engine.gelab.tasks import Task
from data_engine.gelab.world import World
from data_engine.runlog import run_chunks
from data_engine.seeds import rng


def load_world(folder: Path, manifest: dict, tasks: Path) -> World:
    world = World(folder)
    if world.fingerprint != manifest["fingerprint"]:
        raise DataError(f"{folder}: is not the world of {tasks}; give the world folder beside the tasks")
    world.check_pictures()
    return world


@contextmanager
def backend(name: str, world: World, folder: Path) -> Iterator[tuple[Callable, dict]]:
    """(what makes an episode of task, key and step limit; what the run's record says of it). Raises DataError."""
    if name == "world":
        yield partial(NavigationEpisode, world), {}
    else:
        with Browser(world, folder) as browser:
            yield browser.episode, {"browser": browser.version}


def play(make: Callable, engine: Engine, items: list[tuple[int, dict]], max_steps: int, temperature: float, seed: int):
    """Play one batch of (attempt, task row) to the end; returns a trajectory for each."""
    episodes = [
        make(Task(row["start"], row["goal"], row["path"]), f"{attempt}/{row['idx']}", max_steps)
        for attempt, row in items
    ]
    for greedy in (True, False):
        some = [e for e, (attempt, _) in zip(episodes, items, strict=True) if (attempt == 0) == greedy]
        turn = 0

        def policy(requests: list[Request], greedy: bool = greedy) -> list[str]:
            nonlocal turn
            turn += 1
            draw = int(rng(seed, "turn", items[0], turn).integers(2**31))
            return engine.answer(requests, temperature=0.0 if greedy else temperature, seed=draw)

        run_episodes(some, policy)
    return [trajectory(e, attempt, row) for e, (attempt, row) in zip(episodes, items, strict=True)]


def trajectory(episode: NavigationEpisode, attempt: int, row: dict) -> dict:
    """The record of an episode: where it went, what was said, how it ended."""
    state = episode.state
    last = episode.turns[-1]["outcome"]
    ended = "arrived" if state.arrived else "premature complete" if last == "complete" else "step limit"
    return {
        "key": episode.key,
        **{name: row[name] for name in ("idx", "task", "path", "start", "goal")},
        "attempt": attempt,
        "arrived": state.arrived,
        "declared": state.declared,
        "steps": state.steps,
        "ended": ended,
        "turns": episode.turns,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--world", type=Path, required=True, help="the world the tasks were written for")
    parser.add_argument("--tasks", type=Path, required=True, help="tasks_id.jsonl or tasks_ood.jsonl")
    parser.add_argument("--attempts", type=int, default=5, help="sampled attempts per task (the paper: 5)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the sampled attempts; the paper gives none")
    parser.add_argument(
        "--max-steps", type=positive, help="answers before an episode is cut; default: 12, more where pages scroll"
    )
    parser.add_argument("--backend", choices=("world", "browser"), default="world", help="who shows and clicks")
    engine_flags(parser)
    args = parser.parse_args()
    manifest = checked_manifest(args.tasks)
    world = load_world(args.world, manifest, args.tasks)
    args.max_steps = args.max_steps or step_limit(world.graph)
    tasks = read_rows(args.tasks, args.limit)
    if not all("goal" in row for row in tasks):
        raise DataError(f"{args.tasks}: its rows are no tasks; give tasks_id.jsonl or tasks_ood.jsonl")
    path = args.out / "trajectories.jsonl"
    with backend(args.backend, world, args.out / "browser") as (make, shown_by):
        engine, run = engine_and_run(
            args,
            "gelab-interactive",
            args.tasks,
            manifest,
            attempts=args.attempts,
            temperature=args.temperature,
            max_steps=args.max_steps,
            **shown_by,
        )
        items = [(attempt, row) for attempt in range(args.attempts + 1) for row in tasks]

        def work(_: int, chunk: list[tuple[int, dict]]) -> list[dict]:
            return play(make, engine, chunk, args.max_steps, args.temperature, args.seed)

        run_chunks(path, items, args.batch_size, work, "episodes")
    finish(args.out / "metrics.json", interactive_metrics(read_rows(path)), run, args.json, **spent(args))


if __name__ == "__main__":
    sys.exit(run_main("gelab_interactive", main))
