"""Write screens and questions: ``python -m data_engine.sight.write OUT --stage one|pair|shapes|... --rows N``

rows.jsonl     a conversation about one screen in each row, in plain ms-swift format; image paths are relative to it
screens/       the pictures
manifest.json  arguments, versions, hashes

A row, its system prompt and further questions cut: ``{"messages": [..., {"role": "user", "content": "<image>Click on
pink box icon in the image."}, {"role": "assistant", "content": "Explain:click pink box icon on page_0.\\tAction: ..."},
...], "images": ["screens/000000.png"]}``
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from ..cli import Parser, command, positive, size, whole
from ..dataset import DataError
from ..folder import NewFolder, make_folder
from ..gelab.render import png
from ..geometry import Size, fits_patches
from ..shapes import Rows, manifest_kind
from . import questions, screens
from .curriculum import STAGES, rows

KIND = manifest_kind("sight-rows", Rows)


def write(out: Path, stage: str, count: int, seed: int, page_size: Size = screens.PAGE) -> dict:
    """Write the folder ``out`` and return its manifest; does nothing if it is there already. Raises DataError."""
    if stage not in STAGES:
        raise DataError(f"--stage {stage}: unknown; known are {', '.join(STAGES)}")
    if not fits_patches(page_size):
        raise DataError(f"--page-size {page_size}: sides must be multiples of 28 or 32; 224x224 suits both families")
    arguments = {"stage": stage, "rows": count, "seed": seed, "page_size": str(page_size)}

    def fill(folder: NewFolder) -> dict:
        folder.write_rows("rows.jsonl", _rows(folder, stage, count, seed, page_size))
        return {"prompt_sha256": questions.sha256(), "max_pixels": page_size.width * page_size.height}

    return make_folder(out, KIND, arguments, fill)


def _rows(folder: NewFolder, stage: str, count: int, seed: int, page_size: Size) -> Iterator[dict]:
    """The rows of a stage; their pictures are written on the way."""
    for i, (messages, screen) in enumerate(rows(STAGES[stage], seed, stage, count, page_size)):
        picture = f"screens/{i:06d}.png"
        folder.write(picture, png(screen.picture))
        yield {"messages": messages, "images": [picture]}


@command("sight.write")
def main(argv: list[str] | None = None) -> None:
    example = "python -m data_engine.sight.write screens/shapes --stage shapes --rows 100"
    parser = Parser(__doc__, example, prog="python -m data_engine.sight.write")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--stage", required=True, help=", ".join(STAGES))
    parser.add_argument("--rows", type=positive, required=True, help="screens, one conversation each")
    parser.add_argument("--seed", type=whole(), default=0, help="of the screens")
    parser.add_argument(
        "--page-size", type=size, default=screens.PAGE, metavar="WxH", help="pixels, multiples of 28 or 32"
    )
    args = parser.parse_args(argv)
    manifest = write(args.out, args.stage, args.rows, args.seed, args.page_size)
    print(f"{args.out}: {args.rows} screens of stage {args.stage}, {len(manifest['files']) - 1} pictures")


if __name__ == "__main__":
    sys.exit(main())
