"""The squares asked and scored. To be eval/toy_eval.py of a copy of the tree."""

from pathlib import Path

from common import answers, checked_manifest, engine_and_run, engine_flags, finish
from settings import Settings
from shards import run_items, shard_flags

from data_engine.cli import Parser, command
from data_engine.dataset import read_rows
from data_engine.foreign import read_lines
from data_engine.toy.benchmark import ROWS, STEPS, TOY


@command("toy_eval")
def main() -> None:
    parser = Parser(__doc__, "python eval/toy_eval.py --engine oracle --data D --out X")
    parser.add_argument("--data", type=Path, required=True, help="folder of rows")
    engine_flags(parser)
    shard_flags(parser)
    args = parser.parse_args()
    settings = Settings.of(args)
    manifest = checked_manifest(args.data / ROWS, TOY)
    engine, run = engine_and_run(settings, STEPS.kind, args.data / ROWS, manifest)

    def work(todo, write) -> None:
        asked = [TOY.request(row, args.data) for row in todo]
        for row, answer in zip(todo, answers(engine, asked, settings), strict=True):
            write(row | {"prediction": answer})

    run_items(settings, STEPS.answers_file, read_rows(args.data / ROWS, args.limit), work, "squares")
    said = read_lines(args.out / STEPS.answers_file, STEPS.read)
    finish(args.out / "metrics.json", STEPS.metrics(said), run, args.json)


if __name__ == "__main__":
    main()
