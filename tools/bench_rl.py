"""Time rewards and turns of RL: ``python tools/bench_rl.py RUN [--repeat 20]``, RUN what recipes/quickstart.sh leaves.

CPU milliseconds, the least of ``--repeat``: the four rewards of a step of ST-RL for as many answers as the step had,
beside the time of that step in the log; and a turn of MT-RL's environment without pixels: read, act, ask again.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from data_engine.cli import Parser, command, positive
from data_engine.dataset import DataError, read_rows

ANSWERS = 32  # of a step of the quickstart: four questions, eight answers each
TURNS = 12


def milliseconds(work: Callable[[], object], repeat: int) -> float:
    """Least CPU time of ``work``."""
    times = []
    for _ in range(repeat):
        before = time.process_time()
        work()
        times.append(time.process_time() - before)
    return 1000 * min(times)


def rewards(rows: list[dict], repeat: int) -> float:
    """Milliseconds for the rewards of ST-RL, answers right, each row's columns as ms-swift passes them."""
    from swift_plugins.gui_rewards import GelabCoord, GelabFormat, GelabIntent, GelabType

    taken = [rows[i % len(rows)] for i in range(ANSWERS)]
    columns = {name: [row[name] for row in taken] for name in taken[0]}
    functions = [made() for made in (GelabType, GelabCoord, GelabIntent, GelabFormat)]
    return milliseconds(lambda: [function(columns["solution"], **columns) for function in functions], repeat)


def turn(rows: list[dict], data: Path, answer: str, repeat: int) -> float:
    """Milliseconds of a turn of the environment; the answer is readable and leads nowhere, so that no episode ends."""
    from swift_plugins.gui_multiturn import GelabEnv

    config = {**rows[0]["env_config"], "world": str(data / "world")}

    async def play() -> None:
        env = GelabEnv(config)
        await env.reset(SimpleNamespace(images=rows[0]["images"]))
        for _ in range(TURNS - 1):
            await env.step([{"role": "assistant", "content": answer}])
            env.record()

    return milliseconds(lambda: asyncio.run(play()), repeat) / (TURNS - 1)


@command("bench_rl")
def main() -> None:
    from data_engine.gelab.actions import format_click

    parser = Parser(__doc__, "python tools/bench_rl.py runs/quickstart")
    parser.add_argument("run", type=Path, metavar="RUN", help="of recipes/quickstart.sh")
    parser.add_argument("--repeat", type=positive, default=20, help="rounds")
    args = parser.parse_args()
    data = args.run.resolve() / "data"
    log = [row["step_time"] for row in read_rows(args.run / "st_rl" / "logging.jsonl") if "step_time" in row]
    single, multi = read_rows(data / "st_rl.jsonl"), read_rows(data / "mt_rl.jsonl")
    if not log:
        raise DataError(f"{args.run}/st_rl/logging.jsonl: no step in it; run recipes/quickstart.sh first")
    step, spent = 1000 * statistics.median(log), rewards(single, args.repeat)
    played = turn(multi, data, format_click("x", "y", 1, 1), args.repeat)
    share = f"{spent / step:.2%} of a step of {step:,.0f} ms"
    print(f"rewards of {ANSWERS} answers, CPU ms     {spent:8.2f}   {share}, goal <= 1 %")
    print(f"turn of the environment, CPU ms   {played:8.3f}   goal <= 1")


if __name__ == "__main__":
    sys.exit(main())
