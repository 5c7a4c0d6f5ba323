"""Score a predictions file: ours, or the authors' (rows plus ``prediction``; JSON lines or one JSON list).

    python eval/gelab_score.py PREDICTIONS.jsonl [--out metrics.json] [--world WORLD]

Rows of ours carry ``bbox`` in pixels of ``canvas``; the authors' carry ``bbox_norm`` and are compared on 0..1000. Rows
without any box (the authors' sft.json) get theirs from ``--world``, by page and icon.
"""

import sys
from pathlib import Path

from common import finish

from data_engine.cli import Parser, command, positive
from data_engine.dataset import DataError, sha256
from data_engine.foreign import read_table
from data_engine.gelab.actions import parse
from data_engine.gelab.metrics import answered, static_metrics
from data_engine.gelab.world import World


def load(path: Path, world: World | None, limit: int | None) -> list[dict]:
    """The first ``limit`` rows of a JSON-lines file or of a JSON list, ready to be scored."""
    rows = read_table(path, lambda row: answered(row, lambda row: with_box(row, world)), limit)
    if not rows:
        raise DataError(f"{path}: holds no rows; run the evaluation first")
    return rows


def with_box(row: dict, world: World | None) -> dict:
    """The row with its element's box from the world, where it has none."""
    if world is None or row.get("bbox") or row.get("bbox_norm") or not row.get("messages"):
        return row
    if not row.get("images"):
        raise DataError(f"row {row.get('idx')}: has no 'images', which tell its page; write the rows again")
    gold = parse(row["messages"][-1]["content"])
    page = Path(row["images"][0]).stem
    if gold.icon is None or page not in world.graph.pages:
        return row
    element = next((e for e in world.graph.pages[page].elements if e.name == gold.icon), None)
    if element is None:
        raise DataError(f"row {row.get('idx')}: {page} of {world.folder} has no icon {gold.icon!r}; give its own world")
    return row | {"bbox": list(element.box), "canvas": list(world.graph.canvas)}


@command("gelab_score")
def main() -> None:
    parser = Parser(__doc__, "python eval/gelab_score.py runs/static/predictions.jsonl")
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--out", type=Path, help="where to write the metrics")
    parser.add_argument("--world", type=Path, help="world that gives boxes to rows without one")
    parser.add_argument("--limit", type=positive, help="only the first N rows")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    args = parser.parse_args()
    world = World(args.world) if args.world else None
    rows = load(args.predictions, world, args.limit)
    run = {"kind": "gelab-score", "predictions": args.predictions.name, "sha256": sha256(args.predictions)}
    finish(args.out, static_metrics(rows), run, args.json)


if __name__ == "__main__":
    sys.exit(main())
