"""The table, curves and a few episodes of a tiny form filler: ``python eval/login_table.py RUN_DIR``.

RUN_DIR holds what recipes/login/tiny.sh leaves of each mode: ``MODE/eval/{base,step_N,closed_loop}.json``,
``MODE/probe/metrics.json``, ``MODE/model/logging.jsonl`` and ``MODE/runs/closed_loop/trajectories.jsonl``. Writes
table.md, curves.png and examples/*.png there. The published rows are of the protocol `published`, another task: seven
steps, three of which nobody can get right (README).
"""

import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import matplotlib
import msgspec
from PIL import Image, ImageDraw, ImageFont
from published import PUBLISHED
from results import AGAIN, Loop, Metrics, Steps, read_score

from data_engine.cli import Parser, command
from data_engine.dataset import DataError, read_manifest
from data_engine.files import write_file
from data_engine.foreign import read_lines, read_object
from data_engine.login.actions import parse
from data_engine.login.env import Filling
from data_engine.login.failures import read_walk
from data_engine.login.tasks import MODES, Task, options_of, tasks
from data_engine.login.write import KIND
from data_engine.shapes import Fraction
from data_engine.training_log import log_rows, number

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

AIMS = {"coord": {"click_accuracy": 0.95, "episode_success_rate": 0.8}, "som": {"episode_success_rate": 0.95}}
STRICT = {  # heading -> strict metric
    "type": "type_accuracy",
    "click": "click_accuracy",
    "text": "text_accuracy",
    "step": "step_accuracy",
    "episode": "episode_success_rate",
}
LEGEND = """Percent, on `hard` login forms of a split that training never drew. `type`: the right kind of action;
`click`: inside of the right element, or its number; `text`: typed as the goal states it, sign by sign; `step`: all of
that; `episode`: every step right, each asked with the right history; `closed loop`: the model fills in the form itself,
and the form accepts it. Blind and text-only never open a picture. Oracle: what the score gives to right answers.
Published rows (in italics) are of another protocol and another scoring: their `type` has a ceiling of 57.1 % by
coordinates, their `click` counts near misses, their `episode` ignores where a click went."""
COLOURS = {"coord": "#2E5C8A", "som": "#FF6B35"}
STEP_NAME = re.compile(r"step_\d{1,9}")
TURNS = 6  # of an episode that are shown


Ends = tuple[Fraction, Fraction]


class EpisodeEnds(msgspec.Struct):
    episode_success_rate: Ends


class SuccessEnds(msgspec.Struct):
    success_rate: Ends


class Strict(Metrics, kw_only=True):
    """Metrics of the trained model that its line and its aims need."""

    num_episodes: Annotated[int, msgspec.Meta(ge=1)]
    episode_success_rate: Fraction
    intervals: EpisodeEnds


class Checkpoint(Steps, kw_only=True):
    """Of base.json and step_N.json."""

    strict: Strict
    commit: str


class Baselines(msgspec.Struct):
    """The policies that never look, by the strict scoring."""

    strict: dict[str, Metrics | None]


class Base(Checkpoint, kw_only=True):
    """Of base.json."""

    baselines: Baselines


class Success(Metrics, kw_only=True):
    success_rate: Fraction
    intervals: SuccessEnds


class Closed(Loop, kw_only=True):
    """Of closed_loop.json."""

    metrics: Success
    baselines: dict[str, Success | None]
    commit: str


class Part(msgspec.Struct):
    """A set of the probe."""

    rows: Annotated[int, msgspec.Meta(ge=1)]
    right: Fraction
    low: Fraction
    high: Fraction
    chance: Fraction


class Probe(msgspec.Struct):
    """The probe's metrics.json: sets by name, and their mean."""

    metrics: dict[str, Part | Fraction]


def results(run: Path, mode: str) -> dict[str, dict]:
    """Name -> content of ``RUN/MODE/eval/NAME.json``; empty for a mode that was not run. Raises DataError."""
    shapes = {"base": Base, "closed_loop": Closed}
    paths = sorted((run / mode / "eval").glob("*.json"))
    return {path.stem: read_score(path, shapes.get(path.stem, Checkpoint)) for path in paths}


def curve(scores: dict[str, dict]) -> dict[int, dict]:
    """Step -> strict metrics of the model then; 0 is the one it started from."""
    at = {int(name[5:]): name for name in scores if STEP_NAME.fullmatch(name)} | {0: "base"}
    return {step: scores[at[step]]["strict"] for step in sorted(at)}


def percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f}"


def line(agent: str, metrics: dict | None, loop: float | None) -> str:
    cells = [percent((metrics or {}).get(key)) for key in STRICT.values()]
    return f"| {agent} | " + " | ".join([*cells, percent(loop)]) + " |"


def mode_table(mode: str, scores: dict[str, dict]) -> str:
    """Markdown of one mode: baselines, the start, the trained model, the published rows."""
    steps = curve(scores)
    last = max(steps)
    closed = scores["closed_loop"]
    baselines = scores["base"]["baselines"]["strict"]
    loops = {name: metrics and metrics["success_rate"] for name, metrics in closed["baselines"].items()}
    lines = [line(name.replace("_", "-"), baselines[name], loops.get(name)) for name in baselines]
    lines += [line("base: the model to start from", steps[0], None)]
    lines += [line(f"**trained, {last:,} steps**", steps[last], closed["metrics"]["success_rate"])]
    lines += published_lines(mode)
    head = "| agent | " + " | ".join([*STRICT, "closed loop"]) + " |\n|---|" + "---:|" * (len(STRICT) + 1)
    asked = steps[last]["num_episodes"]
    rates = {"episode": (steps[last], "episode_success_rate"), "closed loop": (closed["metrics"], "success_rate")}
    sure = ", ".join(f"`{name}` {with_interval(m[key], m['intervals'][key])}" for name, (m, key) in rates.items())
    parts = [
        f"**{mode}**, {asked} episodes",
        "",
        head,
        *lines,
        "",
        f"Trained, 95 %: {sure}.",
        aims(mode, steps),
    ]
    return "\n".join(parts)


def published_lines(mode: str) -> list[str]:
    """The published rows of a mode: type accuracy, click hit rate or element accuracy, episode success."""
    table, lines = PUBLISHED["login"]["tables"][mode], []
    for agent, values in table["rows"].items():
        row = dict(zip(table["columns"], values, strict=True))
        click = row["element accuracy"] if row["click hit rate"] is None else row["click hit rate"]
        shown = [row["type accuracy"], click, None, None, row["episode success"], None]
        cells = ["n/a" if value is None else f"{value:.1f}" for value in shown]
        lines.append(f"| *{agent}, published* | " + " | ".join(f"*{cell}*" for cell in cells) + " |")
    return lines


def with_interval(rate: float, ends: Sequence[float]) -> str:
    """A rate with its 95 % interval, in percent."""
    low, high = ends
    return f"{percent(rate)} ({percent(low)} to {percent(high)})"


def seen_before(run: Path, mode: str) -> str:
    """What the model to start from can see: parts of unseen forms found by their names; empty where nobody asked."""
    path = run / mode / "probe" / "metrics.json"
    if not path.is_file():
        return ""
    sets = read_object(path, Probe, AGAIN)["metrics"]
    parts = [part for part in sets.values() if isinstance(part, dict)]
    if len(parts) != 1:
        raise DataError(f"{path}: holds {len(parts)} sets, one is shown; {AGAIN}")
    part = parts[0]
    asked = f"{part['rows']} parts of login forms asked for by name"
    right = with_interval(part["right"], (part["low"], part["high"]))
    return f"Before training, {asked}: {right}, chance {percent(part['chance'])}."


def aims(mode: str, steps: dict[int, dict]) -> str:
    """How far the last model is from what was aimed at, and the way there."""
    sentences = []
    for key, aim in AIMS[mode].items():
        heading = next(name for name, metric in STRICT.items() if metric == key)
        values = ", ".join(f"{step:,}: {percent(metrics.get(key))}" for step, metrics in steps.items())
        reached = "reached" if (steps[max(steps)].get(key) or 0) >= aim else "missed"
        sentences.append(f"Aim: `{heading}` {percent(aim)}, {reached}. By steps of training: {values}.")
    return "\n".join(sentences)


def draw_curves(run: Path, modes: dict[str, dict[str, dict]], path: Path) -> None:
    """Loss by step, and the strict scores of the checkpoints."""
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
    for mode, files in modes.items():
        rows = log_rows(run / mode / "model" / "logging.jsonl")
        points = [(row["step"], loss) for row in rows if (loss := number(row.get("loss"))) is not None]
        axes[0].plot([x for x, _ in points], [y for _, y in points], linewidth=1, color=COLOURS[mode], label=mode)
        steps = curve(files)
        for axis, name in zip(axes[1:], ("click", "text", "episode"), strict=True):
            axis.plot(
                list(steps), [100 * (m.get(STRICT[name]) or 0) for m in steps.values()], "o-", color=COLOURS[mode]
            )
            axis.set(title=f"{name} (%), unseen forms", xlabel="step", ylim=(-3, 103))
    axes[0].set(title="loss (nats a token)", xlabel="step", yscale="log")
    axes[0].legend()
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_episode(task: Task, trajectory: dict, path: Path) -> None:
    """An episode as a strip: each screenshot with the click on it, and below it the answer and what came of it."""
    screen, state = task.screen(), Filling(task)
    turns, size = trajectory["turns"][:TURNS], task.options.page_size
    strip = Image.new("RGB", (len(turns) * (size.width + 8) + 8, size.height + 76), "#eeeeee")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(12)
    draw.text((8, 4), f"{task.form.goal}   ({trajectory['ended']})", fill="black", font=ImageFont.load_default(14))
    for i, turn in enumerate(turns):
        x, y = 8 + i * (size.width + 8), 26
        strip.paste(screen.picture(state.view), (x, y))
        if turn.get("point"):
            px, py = x + turn["point"][0] * size.width, y + turn["point"][1] * size.height
            draw.ellipse((px - 5, py - 5, px + 5, py + 5), outline="#d00000", width=2)
        happened = " ".join(filter(None, (turn["outcome"], turn.get("element") or turn.get("failure"))))
        answer = turn["answer"].rpartition("Action: ")[2].replace("\n", " ")[:40]
        draw.multiline_text((x, y + size.height + 4), f"{answer}\n{happened}", fill="black", font=font)
        state.act(parse(turn["answer"]).action)
    strip.save(path)


def draw_examples(run: Path, mode: str, folder: Path) -> None:
    """The first two episodes that the form accepted, and the first two that it did not."""
    manifest = read_manifest(run / mode / "data" / "eval", KIND)
    items = {task.key: task for task in tasks(options_of(manifest["arguments"]))}
    played = read_lines(run / mode / "runs" / "closed_loop" / "trajectories.jsonl", partial(read_walk, items))
    folder.mkdir(exist_ok=True)
    for name, accepted in ("accepted", True), ("failed", False):
        for i, trajectory in enumerate([walk for walk in played if walk["accepted"] is accepted][:2]):
            draw_episode(items[trajectory["key"]], trajectory, folder / f"{mode}_{name}_{i}.png")


@command("login_table")
def main() -> None:
    parser = Parser(__doc__, "python eval/login_table.py runs/login/quickstart")
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    run = parser.parse_args().run
    modes = {mode: results(run, mode) for mode in MODES}
    modes = {mode: files for mode, files in modes.items() if {"base", "closed_loop"} <= files.keys()}
    if not modes:
        raise DataError(f"{run}: no MODE/eval/closed_loop.json; run recipes/login/tiny.sh first")
    commits = sorted({file["commit"] for files in modes.values() for file in files.values()})
    parts = [part for mode, files in modes.items() for part in (mode_table(mode, files), seen_before(run, mode))]
    text = "\n\n".join([*filter(None, parts), LEGEND, f"Commit: {', '.join(commits)}."]) + "\n"
    write_file(run / "table.md", text)
    print(text)
    draw_curves(run, modes, run / "curves.png")
    for mode in modes:
        draw_examples(run, mode, run / "examples")


if __name__ == "__main__":
    sys.exit(main())
