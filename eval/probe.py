"""What a small model can see: pointing, naming, reading, marks, on screens that no training has shown.

    python eval/probe.py --engine transformers --model CKPT --out runs/x/probe [--rows 200] [--blank]

Writes OUT/screens/, OUT/predictions.jsonl (resumes) and OUT/metrics.json: for each set the share of right answers, its
95 % interval, and what chance gives. ``--blank`` hides the screens: what is right then was guessed.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from common import engine_flags, finish, identity, loading, spent
from engines import LEARNERS, make_engine
from PIL import Image
from settings import Settings

from data_engine.answer import cleaned
from data_engine.cli import Parser, command, positive, size
from data_engine.dataset import DataError, read_rows
from data_engine.episode import Request
from data_engine.geometry import Size
from data_engine.intervals import interval
from data_engine.runlog import open_run, run_chunks
from data_engine.sight import probe, questions, screens


@dataclass(frozen=True, kw_only=True)
class Flags(Settings):
    """And this script's own: questions of each set, the sets, the size of pages, whether the screens are hidden."""

    rows: int
    sets: list[str]
    page_size: Size
    blank: bool


def made(flags: Flags) -> Iterator[dict]:
    """The rows of the probe, their screens written below OUT."""
    (flags.out / "screens").mkdir(exist_ok=True)
    for name in flags.sets:
        for i, (question, screen, chance) in enumerate(probe.rows(name, flags.seed, flags.rows, flags.page_size)):
            picture = f"screens/{name.replace(' ', '_')}_{i:04d}.png"
            shown = Image.new("RGB", screen.picture.size, "white") if flags.blank else screen.picture
            shown.save(flags.out / picture)
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
    sets: dict[str, dict] = {}
    for name in dict.fromkeys(row["set"] for row in rows):
        those = [row for row in rows if row["set"] == name]
        rights = [probe.right(row, row["prediction"]) for row in those]
        low, high = interval((right, 1) for right in rights)
        chance = sum(row["chance"] for row in those) / len(those)
        shares = {"right": sum(rights) / len(those), "low": low, "high": high, "chance": chance}
        sets[name] = {key: round(value, 4) for key, value in shares.items()} | {"rows": len(those)}
    return sets | {"mean": sum(values["right"] for values in sets.values()) / len(sets)}


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
    flags = Flags.of(parser.parse_args())
    if flags.engine in (*LEARNERS, "replay"):
        raise DataError(f"--engine {flags.engine}: the probe has no training rows and no keys to replay; use --blank")
    engine = make_engine(flags, flags.page_size.width * flags.page_size.height)
    run = {"kind": "probe", "engine": flags.engine, "model": identity(flags.model), "template": flags.template}
    run |= {"rows": flags.rows, "sets": flags.sets, "seed": flags.seed, "blank": flags.blank, "limit": flags.limit}
    run |= {"page_size": str(flags.page_size), "max_new_tokens": flags.max_new_tokens}
    open_run(flags.out, run)
    rows = list(made(flags))[: flags.limit]

    def work(_: int, chunk: list[dict]) -> list[dict]:
        asked = [
            Request(row["system"], row["prompt"], flags.out / row["image"], f"{row['set']}/{row['idx']}", gold(row))
            for row in chunk
        ]
        answers = map(cleaned, engine.answer(asked, temperature=0, seed=flags.seed))
        return [row | {"prediction": answer} for row, answer in zip(chunk, answers, strict=True)]

    def gold(row: dict):
        return lambda: row["gold"]

    path = flags.out / "predictions.jsonl"
    run_chunks(path, rows, flags.batch_size, work, "probe", loading(engine))
    finish(flags.out / "metrics.json", metrics(read_rows(path)), run, flags.json, **spent(flags))


if __name__ == "__main__":
    sys.exit(main())
