"""Tokens of rows and answers, as a table: ``python tools/token_table.py CKPT FOLDER...``

CKPT has the tokenizer and the size of a patch; each file of a FOLDER of rows, GE-Lab's or forms, is one line. A row is
a question with its picture and, where it has one, its answer. `12 turns` bounds a trajectory of RL: every answer is as
long as the longest gold one, every question as the last one, in GE-Lab with eleven long entries of history.
--max_length, --max_completion_length and the lengths of vLLM must be more.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_engine.benchmark import Benchmark
from data_engine.benchmarks import OF_ROWS
from data_engine.cli import Parser, command
from data_engine.dataset import DataError, read_manifest, read_rows
from data_engine.foreign import read_object
from data_engine.gelab import prompts
from data_engine.gelab.actions import HIT
from data_engine.gelab.env import MAX_STEPS
from data_engine.gelab.world import World
from data_engine.model_folder import check_config

HEAD = "| rows | number | longest row | longest answer | mean answer | 12 turns |\n|---|---:|---:|---:|---:|---:|"


class Counter:
    """Counts tokens as a chat of the family has them; tests/test_real.py compares it with the templates."""

    def __init__(self, checkpoint: Path, max_pixels: int):
        from transformers import AutoProcessor

        self.processor = AutoProcessor.from_pretrained(checkpoint)
        self.max_pixels = max_pixels

    def texts(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self.processor.tokenizer(list(texts))["input_ids"]] if texts else []

    def picture(self, path: Path) -> int:
        """Tokens of a picture as ms-swift feeds it: never enlarged but to four tokens, at most MAX_PIXELS."""
        from PIL import Image
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

        side = self.processor.image_processor.patch_size * self.processor.image_processor.merge_size
        with Image.open(path) as picture:
            width, height = picture.size
        high, wide = smart_resize(height, width, side, 4 * side**2, max(self.max_pixels, 4 * side**2))
        return high * wide // side**2


def chat(system: str | None, messages: Sequence[dict]) -> str:
    """The family's form of a chat, pictures without their tokens. ``system``: where the rows have none."""
    own = [{"role": "system", "content": system}] if system and messages[0]["role"] != "system" else []
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in [*own, *messages])
    return text.replace(prompts.IMAGE, "<|vision_start|><|vision_end|>")


def last_question(world: World) -> str:
    """The longest question that a trajectory of GE-Lab can end with."""
    page = max(world.graph.pages, key=len)
    names = {element.name for shown in world.graph.pages.values() for element in shown.elements}
    longest = prompts.entry(HIT, page, max(names, key=len))
    return prompts.navigation(page, page, [longest] * (MAX_STEPS - 1))


def table(counter: Counter, folder: Path, benchmark: Benchmark, manifest: dict) -> Iterator[str]:
    """A line for each file of rows."""
    count = counter.texts
    names = dict.fromkeys(one.file for one in benchmark.datasets if one.file in manifest["files"])
    files = {name: read_rows(folder / name) for name in names}
    said = [row["messages"][-1]["content"] for rows in files.values() for row in rows if answered(row)]
    longest = max(said, key=len)
    for name, rows in files.items():
        pictures = {image: counter.picture(folder / image) for row in rows for image in row["images"]}
        tokens = count([chat(benchmark.system, row["messages"]) for row in rows])
        whole = [n + sum(pictures[image] for image in row["images"]) for n, row in zip(tokens, rows, strict=True)]
        answers = [
            n + 1 for n in count([row["messages"][-1]["content"] for row in rows if answered(row)])
        ]  # and its end
        shown = f"{max(answers)} | {sum(answers) / len(answers):.1f}" if answers else "- | -"
        turns = "-"
        if "env_config" in rows[0]:
            own = max((row["messages"][-1]["content"] for row in rows), key=len)
            question = last_question(World(folder / "world")) if benchmark.world_kind else own
            first, user = rows[0]["messages"][:-1], {"role": "user", "content": question}
            walk = [*first, *[user, {"role": "assistant", "content": longest}] * MAX_STEPS]
            turns = f"{count([chat(benchmark.system, walk)])[0] + MAX_STEPS * max(pictures.values()):,}"
        yield f"| `{folder.name}/{name}` | {len(rows):,} | {max(whole):,} | {shown} | {turns} |"


def answered(row: dict) -> bool:
    return row["messages"][-1]["role"] == "assistant"


def parser() -> Parser:
    parser = Parser(__doc__, "python tools/token_table.py models/tiny runs/gelab/data")
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="folder with the tokenizer")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="rows of GE-Lab or of forms")
    return parser


@command("token_table")
def main(argv: list[str] | None = None) -> None:
    given = parser().parse_args(argv)
    check_config(given.checkpoint)
    print(HEAD)
    for folder in given.folders:
        kind = read_object(folder / "manifest.json").get("kind")
        if kind not in OF_ROWS:
            raise DataError(f"{folder}: holds {kind!r}; give rows of {' or '.join(OF_ROWS)}")
        manifest = read_manifest(folder, kind)
        counter = Counter(given.checkpoint, manifest["max_pixels"])
        for line in table(counter, folder, OF_ROWS[kind], manifest):
            print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
