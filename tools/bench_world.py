"""Time the core: ``python tools/bench_world.py [--repeat 3] [--json]``.

CPU seconds (user + system, children included) of this machine, the least of ``--repeat`` runs: a world of 231 pages
with its 448 x 448 screenshots, all row files of it, and environment steps a second on one core, without pixels
(Navigation) and with the screenshot (Gymnasium); and 32 registration episodes of the forms with marks, pictures and
rows, scripted and hard. The goals beside the figures are the project's own.
"""

import json
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from data_engine.cli import Parser, command, positive
from data_engine.gelab.actions import format_click
from data_engine.gelab.build import build
from data_engine.gelab.env import GELabEnv, Navigation
from data_engine.gelab.oracle import gold_click
from data_engine.gelab.tasks import all_tasks, subtree_pages
from data_engine.gelab.world import World
from data_engine.gelab.write import write
from data_engine.login.tasks import Options
from data_engine.login.write import write as write_forms

STEPS = 50_000


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of ``work`` and of its child processes."""

    def spent() -> float:
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    before = spent()
    work()
    return spent() - before


def walk(world: World) -> list[tuple]:
    """(task, its gold clicks) of every task of one subtree, so that each timed step does something."""
    tasks = all_tasks(world.graph, subtree_pages(world.graph, 1))
    return [
        (task, [gold_click(world.graph, page, e) for page, e in world.graph.shortest_path(task.start, task.goal)])
        for task in tasks
    ]


def steps_without_pixels(world: World) -> float:
    """Steps of Navigation a second, episodes restarted as they end."""
    walks = walk(world)

    def work() -> None:
        done = 0
        while done < STEPS:
            for task, clicks in walks:
                state = Navigation(world.graph, task, ask_complete=False)
                for click in clicks:
                    state.act(click)
                done += len(clicks)

    total = sum(len(clicks) for _, clicks in walks)
    return total * -(-STEPS // total) / cpu_seconds(work)


def steps_with_pixels(world: World, copy: bool) -> float:
    """Steps of the Gymnasium environment a second: text in, screenshot (the cached one or a copy) and prompt out."""
    walks = walk(world)
    env = GELabEnv(world, [task for task, _ in walks], copy=copy)
    texts = [[format_click("x", "y", c.x, c.y) for c in clicks] for _, clicks in walks]
    for page in world.graph.pages:
        world.screenshot(page)  # the cache is what is timed

    def work() -> None:
        for i, answers in enumerate(texts):
            env.reset(options={"task": i})
            for answer in answers:
                env.step(answer)

    return sum(map(len, texts)) / cpu_seconds(work)


def measure(folder: Path, number: int) -> dict[str, float]:
    world, rows = folder / f"world{number}", folder / f"rows{number}"
    build_time = cpu_seconds(lambda: build(world))
    write_time = cpu_seconds(lambda: write(world, rows))
    loaded = World(world)
    forms = {p: Options("registration", "som", p) for p in ("scripted", "hard")}  # 32 episodes, 800x608
    return {
        "world": build_time,
        "rows": write_time,
        "steps": steps_without_pixels(loaded),
        "steps_screenshot": steps_with_pixels(loaded, copy=False),
        "steps_copy": steps_with_pixels(loaded, copy=True),
        "forms_scripted": cpu_seconds(lambda: write_forms(folder / f"scripted{number}", forms["scripted"])),
        "forms_hard": cpu_seconds(lambda: write_forms(folder / f"hard{number}", forms["hard"])),
    }


LINES = {  # key -> (what, goal, format)
    "world": ("world of 231 pages, screenshots 448x448, CPU s", "<= 1.5", "{:.2f}"),
    "rows": ("all row files, 119,356 rows, CPU s", "<= 2", "{:.2f}"),
    "steps": ("environment steps/s without pixels", ">= 400,000", "{:,.0f}"),
    "steps_screenshot": ("environment steps/s with the cached screenshot", ">= 20,000", "{:,.0f}"),
    "steps_copy": ("environment steps/s with a copy of it", "none", "{:,.0f}"),
    "forms_scripted": ("32 scripted registration SoM episodes, CPU s", "<= 0.6", "{:.2f}"),
    "forms_hard": ("32 hard registration SoM episodes, CPU s", "<= 0.6", "{:.2f}"),
}


@command("bench_world")
def main() -> None:
    parser = Parser(__doc__, "python tools/bench_world.py --repeat 1")
    parser.add_argument("--repeat", type=positive, default=3, help="rounds; the best counts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [measure(Path(folder), i) for i in range(args.repeat)]
    best = {key: (max if key.startswith("steps") else min)(run[key] for run in runs) for key in LINES}
    if args.json:
        print(json.dumps(best))
    else:
        for key, (what, goal, form) in LINES.items():
            print(f"{what:50} {form.format(best[key]):>12}   goal {goal}")


if __name__ == "__main__":
    sys.exit(main())
