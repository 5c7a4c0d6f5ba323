"""Static (teacher-forced) evaluation: one answer per row, scored against the gold of the row.

    python eval/gelab_static.py --engine transformers --model CKPT --data DATA/eval_ood.jsonl --out runs/x/static

Writes OUT/predictions.jsonl (rows plus ``prediction``; resumes) and OUT/metrics.json.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from common import answers, checked_manifest, engine_and_run, engine_flags, finish, loading, spent
from settings import Settings
from shards import run_items, shard_flags

from data_engine.cli import Parser, command
from data_engine.dataset import DataError, verified_path
from data_engine.episode import Request
from data_engine.foreign import check, present, read_lines
from data_engine.gelab import prompts
from data_engine.gelab.actions import CLICK_SPACE
from data_engine.gelab.metrics import answered, static_metrics
from data_engine.shapes import Message

NAME = "predictions.jsonl"


class Question(msgspec.Struct):
    """A row that can be asked: the last two of its messages are the question and the right answer."""

    idx: int
    messages: Annotated[list[Message], msgspec.Meta(min_length=2)]
    images: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1)]
    action_space: str = CLICK_SPACE


def question(row: dict) -> dict:
    """A row as ``request`` reads it. Raises DataError."""
    row, mend = present(row), "give eval_id.jsonl, eval_ood.jsonl or sft.jsonl"
    check(row, Question, f"row {row.get('idx')}", mend)
    if row["messages"][-1]["role"] != "assistant":
        raise DataError(f"row {row['idx']}: its messages end without an answer; {mend}")
    return row


def request(row: dict, folder: Path) -> Request:
    """The question of a row, exactly as training asks it."""
    asked, answer = row["messages"][-2:]
    system = prompts.system(row.get("action_space", CLICK_SPACE))
    return Request(system, asked["content"], folder / row["images"][0], str(row["idx"]), lambda: answer["content"])


@command("gelab_static")
def main() -> None:
    example = "python eval/gelab_static.py --engine transformers --model CKPT --data D/eval_ood.jsonl --out X"
    parser = Parser(__doc__, example)
    parser.add_argument("--data", type=Path, required=True, help="eval_id.jsonl, eval_ood.jsonl or sft.jsonl")
    engine_flags(parser)
    shard_flags(parser)
    args = parser.parse_args()
    settings = Settings.of(args)
    manifest = checked_manifest(args.data)
    rows = read_lines(args.data, question, args.limit)
    for image in sorted({row["images"][0] for row in rows}):
        verified_path(args.data.parent, image, manifest=manifest)
    engine, run = engine_and_run(settings, "gelab-static", args.data, manifest)

    def work(todo: Sequence[dict], write: Callable[[dict], None]) -> None:
        asked = [request(row, args.data.parent) for row in todo]
        for row, answer in zip(todo, answers(engine, asked, settings), strict=True):
            write(row | {"prediction": answer})

    if run_items(settings, NAME, rows, work, "static", ready=loading(engine)):
        metrics = static_metrics(read_lines(args.out / NAME, answered))
        finish(args.out / "metrics.json", metrics, run, args.json, **spent(settings))


if __name__ == "__main__":
    sys.exit(main())
