"""What a small model can see: pointing, naming, reading, marks, on screens that no training has shown.

    python eval/probe.py --engine transformers --model CKPT --out runs/x/probe [--rows 200] [--blank]

Writes OUT/screens/, OUT/predictions.jsonl (resumes) and OUT/metrics.json: for each set the share of right answers, its
95 % interval, and what chance gives. ``--blank`` hides the screens: what is right then was guessed.
"""

import argparse
import sys
from collections.abc import Iterator

from common import engine_flags, engine_of, finish, identity, loading, spent
from PIL import Image

from data_engine.answer import cleaned
from data_engine.cli import Parser, command, positive, size
from data_engine.dataset import DataError, read_rows
from data_engine.episode import Request
from data_engine.intervals import interval
from data_engine.runlog import open_run, run_chunks
from data_engine.sight import probe, questions, screens


def made(args: argparse.Namespace) -> Iterator[dict]:
    """The rows of the probe, their screens written below OUT."""
    (args.out / "screens").mkdir(exist_ok=True)
    for name in args.sets:
        for i, (question, screen, chance) in enumerate(probe.rows(name, args.seed, args.rows, args.page_size)):
            picture = f"screens/{name.replace(' ', '_')}_{i:04d}.png"
            shown = Image.new("RGB", screen.picture.size, "white") if args.blank else screen.picture
            shown.save(args.out / picture)
            yield {
                "set": name,
                "idx": i,
                "system": questions.system(screen),
                "prompt": question.prompt,
                "gold": question.answer,
                "image": picture,
                "bbox": list(question.box or ()),
                "canvas": list(screen.canvas),
                "mode": screen.mode,
                "chance": chance,
            }


def metrics(rows: list[dict]) -> dict:
    """set -> {right, low, high, chance (fractions), rows}; and the mean of the sets."""
    found: dict[str, dict] = {}
    for name in dict.fromkeys(row["set"] for row in rows):
        those = [row for row in rows if row["set"] == name]
        rights = [probe.right(row, row["prediction"]) for row in those]
        low, high = interval((right, 1) for right in rights)
        chance = sum(row["chance"] for row in those) / len(those)
        shares = {"right": sum(rights) / len(those), "low": low, "high": high, "chance": chance}
        found[name] = {key: round(value, 4) for key, value in shares.items()} | {"rows": len(those)}
    return found | {"mean": sum(one["right"] for one in found.values()) / len(found)}


@command("probe")
def main() -> None:
    parser = Parser(__doc__, "python eval/probe.py --engine transformers --model CKPT --out runs/probe")
    engine_flags(parser)
    parser.add_argument("--rows", type=positive, default=200, help="questions of each set; default: %(default)s")
    parser.add_argument(
        "--sets", nargs="+", default=list(probe.SETS), choices=list(probe.SETS), metavar="SET", help="of questions"
    )
    parser.add_argument("--page-size", type=size, default=screens.PAGE, metavar="WxH", help="of pages, pixels")
    parser.add_argument("--blank", action="store_true", help="hide the screens")
    args = parser.parse_args()
    if args.engine in ("blind", "replay"):
        raise DataError(f"--engine {args.engine}: the probe has no training rows and no keys to replay; use --blank")
    engine = engine_of(args, args.page_size.width * args.page_size.height)
    run = {"kind": "probe", "engine": args.engine, "model": identity(args.model), "template": args.template}
    run |= {"rows": args.rows, "sets": args.sets, "seed": args.seed, "blank": args.blank, "limit": args.limit}
    run |= {"page_size": str(args.page_size), "max_new_tokens": args.max_new_tokens}
    open_run(args.out, run)
    rows = list(made(args))[: args.limit]

    def work(_: int, chunk: list[dict]) -> list[dict]:
        asked = [
            Request(row["system"], row["prompt"], args.out / row["image"], f"{row['set']}/{row['idx']}", gold(row))
            for row in chunk
        ]
        answers = map(cleaned, engine.answer(asked, temperature=0, seed=args.seed))
        return [row | {"prediction": answer} for row, answer in zip(chunk, answers, strict=True)]

    def gold(row: dict):
        return lambda: row["gold"]

    path = args.out / "predictions.jsonl"
    run_chunks(path, rows, args.batch_size, work, "probe", loading(engine))
    finish(args.out / "metrics.json", metrics(read_rows(path)), run, args.json, **spent(args))


if __name__ == "__main__":
    sys.exit(main())
