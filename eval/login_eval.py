"""Evaluate a model on the episodes of a form, step by step or in the closed loop.

    python eval/login_eval.py --engine transformers --model CKPT --data DIR --out runs/x [--closed-loop]

DIR is what ``python -m data_engine.login.write`` wrote. Step by step (as published): one answer per row, with the right
history and picture whatever was answered before; writes OUT/predictions.jsonl (resumes). Closed loop: the model fills
in the form itself, and success is the form's own state; writes OUT/trajectories.jsonl (resumes) and OUT/pictures/.
OUT/metrics.json is in the published JSON schema, with the strict scores, the ceiling and the baselines added. Engines
without a model: oracle, random (an action by chance), blind and text_only (never open a picture), replay.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common import (
    answers,
    checked_manifest,
    engine_and_run,
    engine_flags,
    finish,
    loading,
    side_by_side,
    spent,
)
from engines import Engine
from login_score import baselines, with_predictions
from settings import Settings
from shards import run_items, shard_flags

from data_engine.benchmark import Row
from data_engine.cli import Parser, command, positive
from data_engine.dataset import DataError, verified_path
from data_engine.episode import Request, run_episodes
from data_engine.foreign import check, present, read_lines
from data_engine.login.baselines import BASELINES, Habit, Random
from data_engine.login.benchmark import CLOSED_LOOP, LOGIN, STEPS, request
from data_engine.login.env import LoginEpisode
from data_engine.login.metrics import (
    answered,
    ceiling,
    classic_metrics,
    closed_loop_metrics,
    read_trajectory,
    strict_metrics,
)
from data_engine.login.tasks import Task, options_of, tasks
from data_engine.login.write import ROWS, TASKS


@dataclass(frozen=True, kw_only=True)
class Flags(Settings):
    """And this script's own: the folder of the rows, which protocol, and the answers of a closed loop."""

    data: Path
    closed_loop: bool
    max_steps: int | None


def turn_of(request: Request) -> tuple[str, int]:
    """(episode, turn) of a closed-loop request."""
    episode, _, turn = request.key.rpartition("/")
    return episode, int(turn)


def row_place(row: dict) -> tuple[str, int]:
    return row["episode"], row["step"]


def own_engine(name: str, rows: list[dict], closed_loop: bool) -> Engine | None:
    """The model-free engines that are this benchmark's own; None for the others."""
    if name == "random":
        return Random(rows[0]["mode"])
    place = turn_of if closed_loop else lambda request: row_place(rows[int(request.key)])
    return Habit(rows, name == "text_only", place) if name in BASELINES else None


def question(row: dict) -> dict:
    """A row as ``request`` and the baselines read it, its right answer in place of a prediction. Raises DataError."""
    check(present(row), Row, f"row {row.get('idx')}", "write the rows again")
    answered(row | {"prediction": ""})
    return row


# Step by step


def step_by_step(flags: Flags, manifest: dict, rows: list[dict]) -> None:
    asked = rows[: flags.limit]
    for image in sorted({row["images"][0] for row in asked}):
        verified_path(flags.data, image, manifest=manifest)
    engine, run = start(flags, STEPS.kind, manifest, rows, ROWS)

    def work(todo: Sequence[dict], write: Callable[[dict], None]) -> None:
        for row, answer in zip(todo, answers(engine, [request(row, flags.data) for row in todo], flags), strict=True):
            write(*with_predictions([row], [answer]))

    if not run_items(flags, STEPS.answers_file, asked, work, "steps", loading(engine)):
        return
    answers_read = read_lines(flags.out / STEPS.answers_file, answered)
    classic, strict = classic_metrics(answers_read), strict_metrics(answers_read)
    references = {name: baselines(answers_read, name, rows) for name in ("classic", "strict")}
    best = ceiling(answers_read, lambda row: (manifest["files"][row["images"][0]], row["messages"][-2]["content"]))
    text = "\n".join(
        [
            "classic (as published: texts are not compared, episode success ignores where a click went)",
            side_by_side({flags.engine: classic} | references["classic"]),
            "\nstrict (what it takes to fill in the form)",
            side_by_side({flags.engine: strict} | references["strict"]),
            f"\nceiling of any deterministic model: type accuracy {percent(best['type_accuracy'])},"
            f" episodes {percent(best['episode_success_rate'])}",
        ]
    )
    more = {"strict": strict, "ceiling": best, "baselines": references}
    more = published_head(flags, manifest) | more | spent(flags)
    finish(flags.out / "metrics.json", classic, run, flags.json, text, **more)


def percent(share: float | None) -> str:
    return "n/a" if share is None else f"{share:.1%}"


def published_head(flags: Flags, manifest: dict) -> dict:
    """The published schema's keys beside ``metrics``."""
    return {"config_path": str(flags.data), "backend": flags.engine, "dsl_mode": options_of(manifest["arguments"]).mode}


def start(flags: Flags, kind: str, manifest: dict, rows: list[dict], data: str) -> tuple[Engine, dict]:
    """(engine, record of the run)."""
    engine = own_engine(flags.engine, rows, flags.closed_loop)
    return engine_and_run(flags, kind, flags.data / data, manifest, engine, max_steps=flags.max_steps)


# Closed loop


def trajectory(episode: LoginEpisode) -> dict:
    """The record of an episode: what was said, what came of it, how it ended."""
    state, last = episode.state, episode.turns[-1]["outcome"]
    ended = "accepted" if state.accepted else last if last in ("rejected", "misfire", "done") else "step limit"
    return {
        "key": episode.task.key,
        "accepted": state.accepted,
        "declared": state.declared,
        "steps": state.steps,
        "ended": ended,
        "turns": episode.turns,
    }


def closed_loop(flags: Flags, manifest: dict, rows: list[dict]) -> None:
    options, system = options_of(manifest["arguments"]), manifest["arguments"]["system"]
    items = tasks(options)[: flags.limit]
    engine, run = start(flags, CLOSED_LOOP.kind, manifest, rows, TASKS)
    pictures = flags.out / "pictures"
    pictures.mkdir(exist_ok=True)

    def policy(requests: list[Request]) -> list[str]:
        return engine.answer(requests, temperature=0.0, seed=flags.seed)

    def work(todo: Sequence[Task], write: Callable[[dict], None]) -> None:
        episodes = (LoginEpisode(task, pictures, system, flags.max_steps) for task in todo)
        run_episodes(episodes, policy, flags.batch_size, lambda episode: write(trajectory(episode)))

    if not run_items(flags, CLOSED_LOOP.answers_file, items, work, "episodes", loading(engine)):
        return
    metrics = closed_loop_metrics(read_lines(flags.out / CLOSED_LOOP.answers_file, read_trajectory))
    references = {name: without_pictures(items, rows, name, flags.max_steps) for name in ("oracle", *BASELINES)}
    more = {**published_head(flags, manifest), "baselines": references, **spent(flags)}
    text = side_by_side({flags.engine: metrics} | references)
    finish(flags.out / "metrics.json", metrics, run, flags.json, text, **more)


def without_pictures(items: list[Task], rows: list[dict], name: str, max_steps: int | None) -> dict:
    """Metrics of a policy that opens no picture, so that none is drawn."""
    episodes = [LoginEpisode(task, None, max_steps=max_steps) for task in items]
    policy = (
        (lambda asked: [r.gold() for r in asked]) if name == "oracle" else Habit(rows, name == "text_only", turn_of)
    )
    run_episodes(episodes, policy)
    return closed_loop_metrics([trajectory(episode) for episode in episodes])


@command("login_eval")
def main() -> None:
    example = "python eval/login_eval.py --engine transformers --model CKPT --data D --closed-loop --out X"
    parser = Parser(__doc__, example)
    parser.add_argument("--data", type=Path, required=True, help="folder written by data_engine.login.write")
    parser.add_argument("--closed-loop", action="store_true", help="the model fills in the form itself")
    parser.add_argument(
        "--max-steps", type=positive, help="closed loop: answers before it is cut; default: twice the script"
    )
    engine_flags(parser)
    shard_flags(parser)
    args = parser.parse_args()
    manifest = checked_manifest(args.data / ROWS, LOGIN)
    rows = read_lines(args.data / ROWS, question)
    if not rows:
        raise DataError(f"{args.data / ROWS}: holds no rows; write the folder again")
    (closed_loop if args.closed_loop else step_by_step)(Flags.of(args), manifest, rows)


if __name__ == "__main__":
    sys.exit(main())
