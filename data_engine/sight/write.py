"""Write screens and questions: ``python -m data_engine.sight.write OUT --stage one|pair|shapes|... --rows N``

rows.jsonl     a conversation about one screen in each row, in plain swift format; image paths are relative to it
screens/       the pictures
manifest.json  arguments, versions, hashes
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from ..dataset import DataError, is_made, new_folder, read_manifest, write_manifest, write_rows
from ..gelab.render import png
from ..geometry import Size, fits_patches
from . import questions, screens
from .curriculum import STAGES, rows

KIND = "sight-rows"


def write(out: Path, stage: str, count: int, seed: int, page_size: Size = screens.PAGE) -> dict:
    """Write the folder ``out`` and return its manifest; does nothing if it is there already. Raises DataError."""
    if stage not in STAGES:
        raise DataError(f"--stage {stage}: unknown; known are {', '.join(STAGES)}")
    if not fits_patches(page_size):
        raise DataError(f"--page-size {page_size}: sides must be multiples of 28 or 32; 224x224 suits both families")
    arguments = {"stage": stage, "rows": count, "seed": seed, "page_size": str(page_size)}
    if not is_made(out, KIND, arguments):
        with new_folder(out) as folder:
            (folder / "screens").mkdir()
            hashes: dict[str, str] = {}
            write_rows(folder / "rows.jsonl", _rows(folder, stage, count, seed, page_size, hashes))
            max_pixels = page_size.width * page_size.height
            write_manifest(folder, KIND, arguments, hashes, prompt_sha256=questions.sha256(), max_pixels=max_pixels)
    return read_manifest(out, KIND)


def _rows(folder: Path, stage: str, count: int, seed: int, page_size: Size, hashes: dict[str, str]) -> Iterator[dict]:
    """The rows of a stage; their pictures are written on the way, and the files' hashes added."""
    for i, (messages, screen) in enumerate(rows(STAGES[stage], seed, stage, count, page_size)):
        picture, file = f"screens/{i:06d}.png", png(screen.picture)
        (folder / picture).write_bytes(file)
        hashes[picture] = hashlib.sha256(file).hexdigest()
        yield {"messages": messages, "images": [picture]}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--stage", required=True, help=", ".join(STAGES))
    parser.add_argument("--rows", type=int, required=True, help="screens, one conversation each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page-size", default=str(screens.PAGE), help="default: %(default)s")
    args = parser.parse_args(argv)
    try:
        manifest = write(args.out, args.stage, args.rows, args.seed, Size.parse(args.page_size))
    except ValueError as error:  # DataError is one
        print(f"data_engine.sight.write: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {args.rows} screens of stage {args.stage}, {len(manifest['files']) - 1} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
