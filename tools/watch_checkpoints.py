"""Score each new checkpoint of a run interactively and keep RUN/watch/best.json, chosen by success, not by loss.

    python tools/watch_checkpoints.py runs/gelab/mt_rl --world DATA/world --tasks DATA/tasks_ood.jsonl --attempts 5

Started beside a training run, it scores every complete checkpoint with eval/gelab_interactive.py, into
RUN/watch/checkpoint-N/, and ends once the last step of the run is scored. ``--once`` scores what is there and ends.
Killed, it goes on where it was. Flags that it does not know go to gelab_interactive.py (--limit, --batch-size, ...).
The best checkpoint has the highest Pass@1; of equals, the earliest.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from data_engine.cli import Parser, command, real
from data_engine.dataset import DataError, read_json, write_json

REPO = Path(__file__).resolve().parents[1]


def state_of(checkpoint: Path) -> dict | None:
    """trainer_state.json, or None while the checkpoint is not complete: ms-swift writes this file last."""
    try:
        return json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return None


def checkpoints(run: Path) -> dict[Path, dict]:
    """Complete checkpoints and their states, by step."""
    states = {path: state_of(path) for path in run.glob("checkpoint-*")}
    whole = {path: state for path, state in states.items() if state}
    return dict(sorted(whole.items(), key=lambda item: item[1]["global_step"]))


def score(checkpoint: Path, out: Path, flags: list[str]) -> dict | None:
    """The interactive metrics of a checkpoint; None if training removed it meanwhile. Raises DataError."""
    script = REPO / "eval" / "gelab_interactive.py"
    command = [sys.executable, str(script), "--model", str(checkpoint), "--out", str(out), *flags]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode and state_of(checkpoint) is None:
        print(f"{checkpoint.name}: removed before it was scored (--save_total_limit)", file=sys.stderr)
        return None
    if done.returncode:
        raise DataError((done.stderr.strip().splitlines() or ["gelab_interactive.py failed without a word"])[-1])
    return read_json(out / "metrics.json")["metrics"]


def best_of(scores: dict[int, dict]) -> dict:
    """What best.json holds: the checkpoint with the highest Pass@1, the earliest of equals, and all scores by step."""
    shown = ("pass_at_1", "pass_at_k", "greedy", "declared")
    best = max(sorted(scores), key=lambda step: scores[step]["pass_at_1"])
    by_step = {str(step): {name: scores[step][name] for name in shown} for step in sorted(scores)}
    return {"checkpoint": f"checkpoint-{best}", "step": best, **by_step[str(best)], "by_step": by_step}


def watch(run: Path, flags: list[str], once: bool, every: float) -> dict[int, dict]:
    """Score until the last step of the run is scored; with ``once`` until there is no new checkpoint."""
    seen: set[Path] = set()
    scores: dict[int, dict] = {}
    while True:
        new = {path: state for path, state in checkpoints(run).items() if path not in seen}
        for path, state in new.items():
            seen.add(path)
            metrics = score(path, run / "watch" / path.name, flags)
            if metrics:
                scores[state["global_step"]] = metrics
                write_json(run / "watch" / "best.json", best_of(scores))
                print(f"{path.name}: Pass@1 {100 * metrics['pass_at_1']:.1f} %, best {best_of(scores)['checkpoint']}")
        if any(state["global_step"] >= state["max_steps"] for state in new.values()) or (once and not new):
            return scores
        time.sleep(0 if once else every)


@command("watch_checkpoints")
def main() -> None:
    example = "python tools/watch_checkpoints.py runs/gelab_sft --world data/world --tasks data/tasks_id.jsonl"
    parser = Parser(__doc__, example)
    parser.add_argument("run", type=Path, help="a recipe's OUTPUT, the folder of the checkpoints")
    parser.add_argument("--world", required=True, help="the world of the tasks")
    parser.add_argument("--tasks", required=True, help="tasks_id.jsonl or tasks_ood.jsonl")
    parser.add_argument("--engine", default="transformers", help="who answers")
    parser.add_argument("--every", type=real(0.1), default=30.0, help="seconds between two looks")
    parser.add_argument("--once", action="store_true", help="score what is there and end")
    args, more = parser.parse_known_args()
    flags = ["--world", args.world, "--tasks", args.tasks, "--engine", args.engine, *more]
    if not watch(args.run, flags, args.once, args.every):
        raise DataError(f"{args.run}: no complete checkpoint there; give the OUTPUT of a recipe")


if __name__ == "__main__":
    sys.exit(main())
