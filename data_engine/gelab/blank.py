"""The blind twin of a rows folder: the same rows, byte for byte, over a world of blank screenshots.

    python -m data_engine.gelab.blank DATA OUT

Page ids stand in instructions and histories, so a world can be learnt by heart without looking. What a model learns
from OUT it learns from the text alone. Each page is white and keeps its size, so a row has as many image tokens as
before. Graph and layout are DATA's, the pixels are not: OUT has a fingerprint of its own, and both its manifests name
the original's under ``blank_of``.
"""

import sys
from pathlib import Path

from PIL import Image

from ..cli import Parser, command
from ..dataset import MANIFEST, DataError, read_manifest, verified_path, write_manifest
from ..folder import NewFolder, make_folder
from .placements import opened
from .render import png
from .world import KIND as WORLD
from .world import STRUCTURE, World, check_apart, fingerprint, hash_pixels, picture_path
from .write import KIND as ROWS

GROUND = "white"  # of a page without its icons and its name
_KEPT = ("prompt_sha256", "page_size", "max_pixels", "rows", "merged")  # of the rows' manifest


def blank(data: Path, out: Path) -> dict:
    """Write the twin ``out`` of the rows folder ``data`` and return its manifest; does nothing if it is there already.

    Raises DataError or WorldError in one line.
    """
    data, out = Path(data), Path(out)
    rows, world = _rows_manifest(data), World(data / "world")
    if "blank_of" in rows:
        raise DataError(f"{data}: its screenshots are blank already; give the rows it was made from")
    check_apart(out, data)
    picture = Image.new("RGB", world.page_size, GROUND)
    pixels = dict.fromkeys(world.graph.pages, hash_pixels(picture))
    worlds = {"world": world} | {path: opened(data, path) for path in rows.get("placements", {})}
    twins = {path: _twin(shown, pixels) for path, shown in worlds.items()}
    twin = twins.pop("world")
    kept = {name: rows[name] for name in _KEPT}
    kept |= {"protocol": rows["protocol"]} if "protocol" in rows else {}
    kept |= {"placements": {path: of_path["fingerprint"] for path, of_path in twins.items()}} if twins else {}
    arguments = rows["arguments"] | {"world": twin["fingerprint"]}

    def fill(folder: NewFolder) -> dict:
        for name in rows["rows"]:
            folder.copy(verified_path(data, name, rows), name)
        content = png(picture)
        for path, shown in worlds.items():
            _write_world(folder, path, shown, content, twins.get(path, twin))
        return kept | twin

    return make_folder(out, ROWS, arguments, fill)


def _twin(world: World, pixels: dict[str, str]) -> dict[str, str]:
    """What the manifest of a world's twin says of both."""
    return {"fingerprint": fingerprint(world.structure, world.page_size, pixels), "blank_of": world.fingerprint}


def _rows_manifest(data: Path) -> dict:
    """The manifest of a rows folder, its files beside it. Raises DataError."""
    manifest = read_manifest(data, ROWS)
    lacking = [name for name in ("arguments", "files", *_KEPT) if name not in manifest]
    odd = lacking or [name for name in manifest["rows"] if Path(name).name != name]
    if odd:
        fault = "is not there" if lacking else "is no file of rows"
        raise DataError(f"{data / MANIFEST}: {odd[0]!r} {fault}; write the rows again")
    return manifest


def _write_world(folder: NewFolder, path: str, world: World, picture: bytes, twin: dict) -> None:
    """The world's structure, and the same blank picture for each page."""
    folder.copy(world.folder / STRUCTURE, f"{path}/{STRUCTURE}")
    for page in world.graph.pages:
        folder.write(f"{path}/{picture_path(page)}", picture)
    hashes = folder.hashes_below(path)
    kept = {name: world.manifest[name] for name in ("canvas", "page_size", "icons")}
    write_manifest(folder.path / path, WORLD, world.manifest["arguments"] | {"blank": True}, hashes, **kept, **twin)


@command("blank")
def main(argv: list[str] | None = None) -> None:
    example = "python -m data_engine.gelab.blank data/base data/blank"
    parser = Parser(__doc__, example, prog="python -m data_engine.gelab.blank")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder written by data_engine.gelab.write")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    args = parser.parse_args(argv)
    manifest = blank(args.data, args.out)
    rows = sum(manifest["rows"].values())
    print(
        f"{args.out}: {rows:,} rows of {manifest['blank_of'][:12]}, blank, fingerprint {manifest['fingerprint'][:12]}"
    )


if __name__ == "__main__":
    sys.exit(main())
