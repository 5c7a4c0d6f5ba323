"""Static (teacher-forced) evaluation: one answer per row, scored against the gold of the row.

    python eval/gelab_static.py --engine transformers --model CKPT --data DATA/eval_ood.jsonl --out runs/x/static

Writes OUT/predictions.jsonl (rows plus ``prediction``; resumes) and OUT/metrics.json.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from common import answers, checked_manifest, engine_and_run, engine_flags, finish, loading, spent
from settings import Settings
from shards import run_items, shard_flags

from data_engine.benchmark import Row
from data_engine.cli import Parser, command
from data_engine.dataset import DataError, verified_path
from data_engine.foreign import check, present, read_lines
from data_engine.gelab.benchmark import GELAB, STATIC, request


def question(row: dict) -> dict:
    """A row as ``request`` reads it. Raises DataError."""
    row, fix = present(row), "give eval_id.jsonl, eval_ood.jsonl or sft.jsonl"
    check(row, Row, f"row {row.get('idx')}", fix)
    if row["messages"][-1]["role"] != "assistant":
        raise DataError(f"row {row['idx']}: its messages end without an answer; {fix}")
    return row


@command("gelab_static")
def main() -> None:
    example = "python eval/gelab_static.py --engine transformers --model CKPT --data D/eval_ood.jsonl --out X"
    parser = Parser(__doc__, example)
    parser.add_argument("--data", type=Path, required=True, help="eval_id.jsonl, eval_ood.jsonl or sft.jsonl")
    engine_flags(parser)
    shard_flags(parser)
    args = parser.parse_args()
    settings = Settings.of(args)
    manifest = checked_manifest(args.data, GELAB)
    rows = read_lines(args.data, question, args.limit)
    for image in sorted({row["images"][0] for row in rows}):
        verified_path(args.data.parent, image, manifest=manifest)
    engine, run = engine_and_run(settings, STATIC.kind, args.data, manifest)

    def work(todo: Sequence[dict], write: Callable[[dict], None]) -> None:
        asked = [request(row, args.data.parent) for row in todo]
        for row, answer in zip(todo, answers(engine, asked, settings), strict=True):
            write(row | {"prediction": answer})

    if run_items(settings, STATIC.answers_file, rows, work, "static", loading(engine)):
        metrics = STATIC.metrics(read_lines(args.out / STATIC.answers_file, STATIC.read))
        finish(args.out / "metrics.json", metrics, run, args.json, **spent(settings))


if __name__ == "__main__":
    sys.exit(main())
