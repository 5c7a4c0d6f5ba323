"""One table, the training curves and a few walks of a run: ``python eval/summary.py RUN_DIR``.

RUN_DIR holds ``eval/AGENT/SET/metrics.json`` (SET: static_id, static_ood, interactive_id, interactive_ood), and where
a model was trained ``data/world`` and ``STAGE/logging.jsonl`` (STAGE: sft, st_rl, mt_rl). Writes summary.md, curves.png
and examples/*.png there.
"""

import sys
from functools import partial
from pathlib import Path

from common import world_of
from curves import STAGES, draw_stages, gains
from PIL import Image, ImageDraw, ImageFont
from results import Recorded, read_score

from data_engine.cli import Parser, command
from data_engine.dataset import DataError
from data_engine.files import write_file
from data_engine.foreign import read_lines
from data_engine.gelab.failures import read_walk
from data_engine.gelab.placements import shown_world
from data_engine.gelab.world import World
from data_engine.geometry import Size, to_canvas

COLUMNS = {  # heading -> (set, metric)
    "step, held in": ("static_id", "step_all"),
    "step, held out": ("static_ood", "step_all"),
    "task, held in": ("static_id", "task_all"),
    "task, held out": ("static_ood", "task_all"),
    "Pass@1, held in": ("interactive_id", "pass_at_1"),
    "Pass@1, held out": ("interactive_ood", "pass_at_1"),
    "greedy, held in": ("interactive_id", "greedy"),
    "greedy, held out": ("interactive_ood", "greedy"),
}
LEGEND = """In percent. `step`: one teacher-forced answer right (icon named and hit, or `complete`). `task`: every
step of a task right. `Pass@1`: arrival within the step limit, mean over sampled attempts; `greedy`: one greedy attempt.
In brackets: 95 %, over tasks (data_engine/intervals.py); nothing at 0 and 100.
Held in: the subtrees whose paths were trained. Held out: another subtree, of which training saw only single edges.

What it is: the oracle shows that rows, environment and scores agree; random and base (before SFT) are the floor.
What it is not: proof of sight. `blind` never opens a screenshot and answers from the training rows by text alone; as
far as it goes, page ids in the question give the answer away, and a model may have learnt the same. `(blank)`: trained
and scored on white pages instead of screenshots, the rows the same; what a model has beyond it, it has from looking."""
ORDER = ["oracle", "random", "text_only", "blind", "base", *STAGES]  # reference policies first, then the stages
FRAME = 224  # pixels, longer side of a screenshot in an example


def read_results(run: Path) -> dict[str, dict[str, dict]]:
    """Agent -> set -> the content of its metrics.json. Raises DataError if there is none, or worlds differ."""
    results: dict[str, dict[str, dict]] = {}
    for path in sorted(run.glob("eval/*/*/metrics.json")):
        result = read_score(path, Recorded)
        blank = " (blank)" if "blank_of" in result["run"]["data"] else ""
        results.setdefault(path.parts[-3] + blank, {})[path.parts[-2]] = result
    if not results:
        raise DataError(f"{run}: no eval/AGENT/SET/metrics.json; run the evaluation first")
    worlds = {world_of(r["run"]) for sets in results.values() for r in sets.values()}
    if len(worlds) > 1:
        raise DataError(f"{run}: results of {len(worlds)} worlds lie together; score each world in a folder of its own")
    return results


def summary_table(results: dict[str, dict[str, dict]]) -> str:
    """A Markdown table, one line an agent, in percent with intervals."""
    agents = sorted(results, key=rank)
    lines = ["| agent | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for agent in agents:
        metrics = [(results[agent].get(name, {}).get("metrics", {}), metric) for name, metric in COLUMNS.values()]
        lines.append(f"| {agent} | " + " | ".join(cell(*pair) for pair in metrics) + " |")
    return "\n".join(lines)


def cell(metrics: dict, name: str) -> str:
    """A rate in percent, with its interval where it is neither 0 nor 1."""
    value, interval = metrics.get(name), metrics.get("intervals", {}).get(name)
    if value is None:
        return "n/a"
    low, high = interval or (value, value)
    return f"{100 * value:.1f}" + (f" ({100 * low:.0f} to {100 * high:.0f})" if 0 < value < 1 and low < high else "")


def length_table(results: dict[str, dict[str, dict]], name: str) -> str:
    """Success of a set by path length: Pass@1, Pass@k and greedy of each agent, each in its own row."""
    metrics = {agent: sets[name]["metrics"] for agent, sets in results.items() if name in sets}
    lengths = sorted({n for m in metrics.values() for n in m.get("by_length", ())}, key=lambda n: (len(n), n))
    heads = ["agent", "success", *lengths, "all"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(lengths) + 1)]
    for agent in sorted(metrics, key=rank):
        m = metrics[agent]
        for title, key in {"Pass@1": "pass_at_1", f"Pass@{m.get('k', 'k')}": "pass_at_k", "greedy": "greedy"}.items():
            cells = [cell(m.get("by_length", {}).get(n, {}), key) for n in lengths] + [cell(m, key)]
            lines.append(f"| {agent} | {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rank(agent: str) -> tuple[int, str]:
    return ORDER.index(agent) if agent in ORDER else len(ORDER), agent


def by_length(results: dict[str, dict[str, dict]]) -> str:
    """The length tables of the sets that were played."""
    titles = {
        "interactive_id": "Success by path length, held in",
        "interactive_ood": "Success by path length, held out",
    }
    played = [name for name in titles if any(name in sets for sets in results.values())]
    return "".join(f"{titles[name]}:\n\n{length_table(results, name)}\n\n" for name in played)


def sizes(results: dict[str, dict[str, dict]]) -> str:
    """How many rows and tasks stand behind the table, and at which commit it was made."""
    metrics = {name: r["metrics"] for sets in results.values() for name, r in sets.items()}
    counts = {name: m.get("rows", m.get("tasks")) for name, m in sorted(metrics.items())}
    commits = sorted({r["commit"] for sets in results.values() for r in sets.values()})
    return f"Sizes: {', '.join(f'{name} {n}' for name, n in counts.items())}. Commit: {', '.join(commits)}."


def draw_walk(world: World, trajectory: dict, path: Path) -> None:
    """One walk as a strip: every screenshot with the click on it, the outcome and the answer below."""
    turns = trajectory["turns"]
    scale = FRAME / max(world.page_size)
    width, height = round(world.page_size.width * scale), round(world.page_size.height * scale)
    strip = Image.new("RGB", (len(turns) * (width + 8) + 8, height + 78), "#eeeeee")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(11)
    title = (
        f"{trajectory['task']}   length {trajectory['path']}   {trajectory['ended']} after {trajectory['steps']} steps"
    )
    draw.text((8, 4), title, fill="black", font=ImageFont.load_default(13))
    for i, turn in enumerate(turns):
        x, y = 8 + i * (width + 8), 24
        strip.paste(Image.fromarray(world.screenshot(turn["page"])).resize((width, height)), (x, y))
        if turn.get("point"):
            px, py = to_canvas(*turn["point"], Size(width, height))
            draw.ellipse((x + px - 6, y + py - 6, x + px + 6, y + py + 6), outline="#d00000", width=3)
        happened = " ".join(filter(None, (turn["outcome"], turn.get("element") or turn.get("failure"))))
        caption = f"{happened}\n{_wrap(turn['answer'], width // 6)}"
        draw.multiline_text((x, y + height + 3), caption, fill="black", font=font)
    strip.save(path)


def _wrap(text: str, columns: int) -> str:
    text = text.replace("<|box_start|>", "").replace("<|box_end|>", "").replace("\t", " ")
    return "\n".join(text[i : i + columns] for i in range(0, min(len(text), 3 * columns), columns))


def draw_examples(run: Path, folder: Path) -> list[Path]:
    """For each set of the last stage: the longest walk that arrived and the first that did not, both greedy."""
    world, made = World(run / "data" / "world"), []
    last = next((stage for stage in reversed(STAGES) if (run / "eval" / stage).is_dir()), STAGES[0])
    for name in ("interactive_id", "interactive_ood"):
        log = run / "eval" / last / name / "trajectories.jsonl"
        played = read_lines(log, partial(read_walk, world.graph)) if log.is_file() else []
        walks = [t for t in played if t["attempt"] == 0]
        arrived = max((t for t in walks if t["arrived"]), key=lambda t: t["path"], default=None)
        failed = next((t for t in walks if not t["arrived"]), None)
        for kind, walk in ("arrived", arrived), ("failed", failed):
            if walk:
                folder.mkdir(exist_ok=True)
                made.append(folder / f"{name}_{kind}.png")
                draw_walk(shown_world(world, run / "data", walk), walk, made[-1])
    return made


@command("summary")
def main() -> None:
    parser = Parser(__doc__, "python eval/summary.py runs/quickstart")
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    args = parser.parse_args()
    results = read_results(args.run)
    text = f"{summary_table(results)}\n\n{gains(args.run)}{LEGEND}\n\n{by_length(results)}{sizes(results)}\n"
    write_file(args.run / "summary.md", text)
    print(text)
    draw_stages(args.run, results, args.run / "curves.png")
    draw_examples(args.run, args.run / "examples")


if __name__ == "__main__":
    sys.exit(main())
