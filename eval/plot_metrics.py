"""Compare metrics files as bars, one panel a metric, one bar a model.

    python eval/plot_metrics.py --files a.json b.json --labels "Qwen3-VL-2B base" "Qwen3-VL-2B FT" --output plot.png

A file is in the published schema ({"metrics": {...}}) or the metrics alone. Colours tell model families, stripes tell
fine-tuned models; both are read from whole words of the labels (32B is not 2B), or told by --families and --tuned. A
metric that a file does not have, or has as null, is written "n/a", never drawn as zero.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from data_engine.cli import Parser, command
from data_engine.dataset import DataError
from data_engine.foreign import check, read_object
from data_engine.shapes import Number

# Title of each panel; the first seven are the published ones, in their order.
METRICS = {
    "action_type_accuracy": "Action type accuracy",
    "mean_coord_error": "Mean coordinate error",
    "click_hit_rate": "Click hit rate",
    "episode_success_rate": "Episode success",
    "mean_episode_progress": "Mean episode progress",
    "mean_episode_step_score": "Mean episode step score",
    "weak_episode_success_rate": "Weak episode success",
    "bbox_hit_rate": "Bbox hit rate",
    "element_accuracy": "Element accuracy",
}
# Family -> (words of a label that name it, colour, name in the legend). The published colours.
FAMILIES = {
    "claude": (("claude",), "#FF6B35", "Claude"),
    "gpt": (("gpt", "openai"), "#C1121F", "GPT"),
    "2b": (("2b",), "#4A90E2", "2B"),
    "8b": (("8b",), "#2E5C8A", "8B"),
    "other": ((), "#6C757D", "other"),
}
TUNED_WORDS = {"ft", "fine", "finetuned", "tuned"}
COLUMNS, PANEL = 4, (3.6, 3.4)  # panels a row; inches of a panel


def words(label: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", label.lower())


def family_of(label: str) -> str:
    """The family that a whole word of the label names, the first of FAMILIES."""
    named = set(words(label))
    return next((name for name, (known, _, _) in FAMILIES.items() if named & set(known)), "other")


def is_tuned(label: str) -> bool:
    return bool(TUNED_WORDS & set(words(label)))


def metrics_of(path: Path) -> dict:
    """The metrics of a file. Raises DataError if it holds none."""
    data = read_object(path, dict[str, Any], "holds no metrics, give a metrics.json")
    metrics = check(data.get("metrics", data), dict[str, Any], path, "holds no metrics, give a metrics.json")
    if not metrics:
        raise DataError(f"{path}: holds no metrics; give a metrics.json")
    return metrics


def check_drawn(paths: list[Path], metrics: list[dict], names: list[str]) -> None:
    """Raises DataError where a metric to be drawn is no number."""
    for path, values in zip(paths, metrics, strict=True):
        for name in names:
            check(values.get(name), Number | None, f"{path}: {name}", "give a metrics.json")


def panel(axes: Axes, title: str, values: list[float | None], labels: list[str], looks: list[dict]) -> None:
    """One metric: a bar or "n/a" for each model."""
    top = max([value for value in values if value is not None], default=0.0) or 1.0
    for i, (value, look) in enumerate(zip(values, looks, strict=True)):
        if value is not None:
            axes.bar(i, value, width=0.75, edgecolor="black", linewidth=1.2, **look)
        text = "n/a" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
        axes.text(i, (value or 0) + 0.02 * top, text, ha="center", va="bottom", fontsize=8)
    axes.set(title=title, ylim=(0, 1.15 * top), xlim=(-0.6, len(values) - 0.4))
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw(metrics: list[dict], labels: list[str], families: list[str], tuned: list[bool], names: list[str], title: str):
    """The figure: panels in rows, a legend below them."""
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    width = max(PANEL[0], 1.2 + 0.45 * len(labels))
    figure, grid = plt.subplots(
        rows, columns, figsize=(width * columns, PANEL[1] * rows + 0.9), squeeze=False, layout="constrained"
    )
    looks = [{"color": FAMILIES[f][1], "hatch": "///" if t else None} for f, t in zip(families, tuned, strict=True)]
    for axes, name in zip(grid.flat, names, strict=False):
        panel(axes, METRICS.get(name, name), [values.get(name) for values in metrics], labels, looks)
    for axes in grid.flat[len(names) :]:
        axes.remove()
    patches = [
        Patch(facecolor=FAMILIES[f][1], edgecolor="black", label=FAMILIES[f][2]) for f in dict.fromkeys(families)
    ]
    patches += [Patch(facecolor="white", edgecolor="black", label="as it comes")] * (not all(tuned))
    patches += [Patch(facecolor="white", edgecolor="black", hatch="///", label="fine-tuned")] * any(tuned)
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    figure.suptitle(title)
    return figure


def panels(metrics: list[dict], asked: list[str] | None) -> list[str]:
    """The metrics to draw: those asked for, or the known ones that some file has. Raises DataError if none is there."""
    names = asked or [name for name in METRICS if any(values.get(name) is not None for values in metrics)]
    unknown = [name for name in names if not any(name in values for values in metrics)]
    if unknown or not names:
        known = sorted({name for values in metrics for name, value in values.items() if not isinstance(value, dict)})
        raise DataError(f"--metrics {' '.join(unknown)}: in none of the files; they have {', '.join(known)}")
    return names


def check_counts(args: argparse.Namespace) -> None:
    for flag in ("labels", "families", "tuned"):
        given = getattr(args, flag)
        if given is not None and len(given) != len(args.files):
            raise DataError(f"--{flag}: {len(given)} for {len(args.files)} files; give one for each")


@command("plot_metrics")
def main() -> None:
    parser = Parser(
        __doc__, "python eval/plot_metrics.py --files a.json b.json --labels Base Tuned --output models.png"
    )
    parser.add_argument("--files", type=Path, nargs="+", required=True, help="metrics.json files")
    parser.add_argument("--labels", nargs="+", required=True, help="one for each file")
    parser.add_argument("--output", type=Path, required=True, help="picture to write, 150 dpi")
    parser.add_argument("--families", nargs="+", choices=tuple(FAMILIES), help="one for each file")
    parser.add_argument("--tuned", nargs="+", choices=("yes", "no"), help="one for each file")
    parser.add_argument("--metrics", nargs="+", help="keys to draw; default: all known ones that a file has")
    parser.add_argument("--title", default="Model comparison", help="above the picture")
    args = parser.parse_args()
    check_counts(args)
    metrics = [metrics_of(path) for path in args.files]
    families = args.families or [family_of(label) for label in args.labels]
    tuned = [word == "yes" for word in args.tuned] if args.tuned else [is_tuned(label) for label in args.labels]
    names = panels(metrics, args.metrics)
    check_drawn(args.files, metrics, names)
    figure = draw(metrics, args.labels, families, tuned, names, args.title)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output, dpi=150)
    print(args.output)


if __name__ == "__main__":
    sys.exit(main())
