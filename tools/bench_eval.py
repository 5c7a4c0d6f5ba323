"""How fast the interactive evaluation is: ``python tools/bench_eval.py [--model CKPT --data DIR] [--repeat 3]``.

One process, one model, one set of tasks. Fast: the evaluation as eval/gelab_interactive.py runs it, ``--batch-size``
episodes at a time. One at a time: the same engine asked a sample of the very same questions, one image after the
other; and ms-swift's own engine asked the same way, which shares nothing between two questions. Preparation: tokens,
pixels and batch of the sample, with known pictures and by ms-swift alone. The sides take turns, ``--repeat`` times.
Seconds of CPU where there is no GPU. The goal beside the ratio is the project's own.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "eval"))  # what is timed: scripts, in no package

from engines import make_engine  # noqa: E402
from gelab_interactive import Attempt, attempts_at, play  # noqa: E402
from settings import Settings  # noqa: E402

from data_engine.cli import Parser, command, positive, whole  # noqa: E402
from data_engine.dataset import read_manifest, read_rows  # noqa: E402
from data_engine.episode import Request  # noqa: E402
from data_engine.gelab.build import build  # noqa: E402
from data_engine.gelab.env import MAX_STEPS, NavigationEpisode  # noqa: E402
from data_engine.gelab.world import World  # noqa: E402
from data_engine.gelab.write import KIND as ROWS  # noqa: E402
from data_engine.gelab.write import write  # noqa: E402
from data_engine.geometry import Size  # noqa: E402

GOAL = 3.0
MEASURED = ("fast", "one_at_a_time", "ms_swift_one_at_a_time", "preparation", "ms_swift_preparation")
Clock = Callable[[], float]


def make_inputs(args: argparse.Namespace, folder: Path) -> None:
    """A small world and an untrained model, where none are given."""
    if args.data is None:
        args.data = folder / "data"
        build(folder / "world", tree=(5, 2, 1), page_size=Size(112, 112))
        write(folder / "world", args.data)
    if args.model is None:
        args.model = str(folder / "model")
        script = REPO / "tools" / "make_tiny_model.py"
        subprocess.run([sys.executable, str(script), args.model, "--family", args.family, "--size", "2m"], check=True)


class Recorder:
    """An engine that keeps what it was asked: (request, temperature)."""

    def __init__(self, engine):
        self.engine, self.asked = engine, []

    def answer(self, requests: list[Request], temperature: list[float], seed: int) -> list[str]:
        self.asked += zip(requests, temperature, strict=True)
        return self.engine.answer(requests, temperature, seed)


def fast(engine, settings: Settings, world: World, attempts: list[Attempt], clock: Clock) -> tuple[float, list, list]:
    """(seconds an answer, questions asked, trajectories) of an evaluation; no picture is known before."""
    engine.__dict__.pop("pictures", None)
    recorder, lines = Recorder(engine), []
    begun = clock()
    play(lambda row: partial(NavigationEpisode, world), recorder, attempts, settings, MAX_STEPS, lines.append)
    return (clock() - begun) / len(recorder.asked), recorder.asked, lines


def one_at_a_time(engine, asked: list, most: int, clock: Clock) -> tuple[float, float]:
    """Seconds an answer of our engine and of ms-swift's, on every n-th of the questions, one by one in turns."""
    from checkpoint import infer_request

    engine.__dict__.pop("pictures", None)
    ours = stock = 0.0
    sample = asked[:: max(1, len(asked) // most)]
    for request, temperature in sample:
        begun = clock()
        engine.answer([request], temperature, 0)
        ours += clock() - begun
        begun = clock()
        engine.engine.infer([infer_request(request)], engine.config(temperature), use_tqdm=False)
        stock += clock() - begun
    return ours / len(sample), stock / len(sample)


def preparation(engine, asked: list, most: int, clock: Clock) -> tuple[float, float]:
    """Seconds to prepare a question (tokens, pixels, batch) whose picture is known, and to prepare it by ms-swift."""
    from checkpoint import infer_request

    template = engine.engine.template
    sample = [infer_request(request) for request, _ in asked[:: max(1, len(asked) // most)]]

    def prepare() -> float:
        begun = clock()
        template.data_collator([template.encode(question) for question in sample])
        return (clock() - begun) / len(sample)

    with engine.pictures.prepared():
        prepare()
        known = prepare()
    return known, prepare()


@command("bench_eval")
def main() -> int:
    parser = Parser(__doc__, "python tools/bench_eval.py --tasks 4 --attempts 1 --repeat 1")
    parser.add_argument("--model", help="checkpoint; default: an untrained one of two million weights")
    parser.add_argument("--family", default="qwen2_5_vl", choices=("qwen2_5_vl", "qwen3_vl"), help="of the untrained")
    parser.add_argument("--data", type=Path, help="rows folder with its world; default: 26 pages of 112 x 112")
    parser.add_argument("--tasks", type=positive, default=16, help="tasks of tasks_ood.jsonl")
    parser.add_argument("--attempts", type=whole(0), default=5, help="sampled ones a task")
    parser.add_argument("--batch-size", type=positive, default=64, help="episodes at a time")
    parser.add_argument("--max-new-tokens", type=positive, default=40, help="of an answer")
    parser.add_argument("--sample", type=positive, default=30, help="questions asked one at a time")
    parser.add_argument("--repeat", type=positive, default=3, help="rounds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        make_inputs(args, Path(folder))
        result = measure(args)
    print(json.dumps(result) if args.json else shown(result))
    return 0 if result["ratio"] >= GOAL else 1


def measure(args: argparse.Namespace) -> dict:
    settings = Settings.of(argparse.Namespace(**vars(args), engine="transformers"))
    engine = make_engine(settings, read_manifest(args.data, ROWS)["max_pixels"])
    on_gpu = engine.engine.model.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    world, tasks = World(args.data / "world"), read_rows(args.data / "tasks_ood.jsonl", args.tasks)
    attempts = attempts_at(tasks, args.attempts, temperature=1.0)
    fast(engine, settings, world, attempts[: args.attempts + 1], clock)  # the first questions pay for warming up
    rounds = []
    for _ in range(args.repeat):
        seconds, asked, trajectories = fast(engine, settings, world, attempts, clock)
        alone = one_at_a_time(engine, asked, args.sample, clock)
        rounds.append((seconds, *alone, *preparation(engine, asked, args.sample, clock)))
    ours, stock = ([r[i] / r[0] for r in rounds] for i in (1, 2))
    per_answer = [1000 * statistics.median(column) for column in zip(*rounds, strict=True)]
    return {
        "model": args.model if os.path.isdir(args.model) else f"untrained {args.family}",
        "clock": "wall" if on_gpu else "CPU",
        "episodes": len(trajectories),
        "answers": len(asked),
        "milliseconds": dict(zip(MEASURED, per_answer, strict=True)),
        "ratio": statistics.median(ours),
        "ratio_ms_swift": statistics.median(stock),
        "ratios": {"ours": ours, "ms_swift": stock},
    }


def shown(result: dict) -> str:
    ms = result["milliseconds"]
    spread = {name: f"{min(r):.1f} to {max(r):.1f}" for name, r in result["ratios"].items()}
    return "\n".join(
        [
            f"{result['model']}: {result['episodes']} episodes, {result['answers']} answers; {result['clock']} time",
            f"evaluation                        {ms['fast']:8.1f} ms an answer",
            f"one image at a time               {ms['one_at_a_time']:8.1f} ms   ratio {result['ratio']:5.1f}"
            f"  ({spread['ours']})   goal >= {GOAL:g}",
            f"ms-swift's, one image at a time   {ms['ms_swift_one_at_a_time']:8.1f} ms   ratio"
            f" {result['ratio_ms_swift']:5.1f}  ({spread['ms_swift']})",
            f"preparing a question              {ms['preparation']:8.1f} ms, of a known picture;"
            f" by ms-swift {ms['ms_swift_preparation']:.1f} ms",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
