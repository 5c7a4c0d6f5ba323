"""Build a world folder: ``python -m data_engine.gelab.build WORLD [--tree 5 3 2 2 1 1] [--seed 0] ...``"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ..cli import Parser, command, positive, size, whole
from ..dataset import sha256
from ..files import write_file
from ..folder import NewFolder, make_folder
from ..geometry import Size
from ..shards import run_shards
from .graph import Page, PageGraph, WorldError
from .icons import IconSet
from .layout import LAYOUTS, generate
from .render import Renderer, png
from .structure import dump_structure, from_structure, parse_structure, to_structure
from .style import THEMES, Style
from .world import KIND, STRUCTURE, fingerprint, hash_pixels, picture_path

TREE = (5, 3, 2, 2, 1, 1)  # Env-Base of the paper: 231 pages
PAGE_SIZE = Size(448, 448)  # pixels, the authors'; 448 x 448 = 200,704 = their MAX_PIXELS


def build(
    out: Path,
    tree: Sequence[int] = TREE,
    seed: int = 0,
    page_size: Size = PAGE_SIZE,
    icons: Path | None = None,
    workers: int = 1,
    structure_file: Path | None = None,
    layout: str = "grid",
    theme: str = "light",
    captions: bool = False,
) -> dict:
    """Write the world folder ``out`` and return its manifest; does nothing if it is there already.

    With ``structure_file`` the graph, layout and names come from that file (``tree`` is ignored) and pictures are
    given to its names: from ``icons`` by name, or from the built-in set in order. Raises DataError, WorldError.
    """
    icon_set = IconSet(icons)
    style = Style(theme, captions, LAYOUTS[layout].cards)
    arguments = _arguments(tree, seed, page_size, icon_set, structure_file, layout) | style.arguments()

    def fill(folder: NewFolder) -> dict:
        structure, graph = _structure(tree, seed, icon_set, structure_file, layout)
        sources = _sources(graph, icon_set, imported=structure_file is not None)
        renderer = Renderer(icon_set, sources, graph.canvas, page_size, style)
        return write_world(folder, structure, renderer, workers)

    return make_folder(out, KIND, arguments, fill)


def write_world(folder: NewFolder, structure: dict, renderer: Renderer, workers: int = 1) -> dict:
    """Draw the pages of ``structure`` and write them into a new world folder; returns its manifest's fields."""
    graph = from_structure(structure, STRUCTURE)
    renderer.check(graph.pages.values())
    folder.write(STRUCTURE, dump_structure(structure))
    (folder.path / "pages").mkdir()
    pixels = {}
    for page, digest, pixels_digest in _draw(renderer, list(graph.pages.values()), folder.path, workers):
        folder.add(picture_path(page), digest)
        pixels[page] = pixels_digest
    return {
        "fingerprint": fingerprint(structure, renderer.page_size, pixels),
        "canvas": renderer.canvas,
        "page_size": renderer.page_size,
        "icons": renderer.sources,
    }


def picture_hashes(icon_set: IconSet) -> dict[str, str] | None:
    """Path -> hash of the pictures in a folder of the user's; None for the built-in set."""
    return {icon.source: sha256(icon_set.folder / icon.source) for icon in icon_set.icons} if icon_set.folder else None


def _arguments(tree, seed, page_size, icon_set: IconSet, structure_file, layout) -> dict:
    """What decides the bytes; files of the user's by their hash, never by their path. The grid goes without saying."""
    if structure_file and layout != "grid":
        raise WorldError(f"--layout {layout}: {structure_file} says where its icons stand; omit one of the two")
    graph = {"structure": sha256(structure_file)} if structure_file else {"tree": list(tree), "seed": seed}
    graph |= {"layout": layout} if layout != "grid" else {}
    return graph | {"page_size": list(page_size), "icons": picture_hashes(icon_set)}


def _structure(tree, seed, icon_set: IconSet, structure_file, layout) -> tuple[dict, PageGraph]:
    if structure_file:
        structure = parse_structure(Path(structure_file).read_bytes(), str(structure_file))
        return structure, from_structure(structure, str(structure_file))
    graph = generate(tree, seed, [icon.name for icon in icon_set.icons], layout)
    metadata = {"total_pages": len(graph.pages), "tree_depth": len(tree) + 1, "nodes_per_level": list(tree)}
    return to_structure(graph, metadata), graph


def _sources(graph: PageGraph, icon_set: IconSet, imported: bool) -> dict[str, str]:
    """Icon name -> picture source. An imported world's names take pictures in order unless the folder has them."""
    names = [name for name in graph.places if name not in ("back", "home")]
    known = {icon.name: icon.source for icon in icon_set.icons}
    if not imported or icon_set.folder:
        missing = [name for name in names if name not in known]
        if missing:
            raise WorldError(
                f"--icons: no picture named {missing[0]!r} ({len(missing)} missing); add it or omit --icons"
            )
        return {name: known[name] for name in names}
    if len(names) > len(known):
        raise WorldError(f"--from-structure: {len(names)} names, only {len(known)} built-in pictures; pass --icons DIR")
    return dict(zip(names, known.values(), strict=False))


Drawn = tuple[str, str, str]  # page id, hash of the file, hash of the pixels


def _draw(renderer: Renderer, pages: list[Page], folder: Path, workers: int) -> Iterator[Drawn]:
    """Write every page's picture. The number of workers changes no byte."""
    parts = [pages[i::workers] for i in range(workers)]
    for drawn in run_shards(partial(_draw_some, renderer, folder), parts, workers):
        yield from drawn


def _draw_some(renderer: Renderer, folder: Path, pages: list[Page]) -> list[Drawn]:
    drawn = []
    for page in pages:
        picture = renderer.page(page)
        digest = write_file(folder / picture_path(page.id), png(picture))
        drawn.append((page.id, digest, hash_pixels(picture)))
    return drawn


class _Removed(argparse.Action):
    """A flag that was removed: 0, its default, passes without a trace; for any other value one line says so."""

    def __call__(self, parser, namespace, value, option_string=None) -> None:
        if value:
            parser.error(f"{option_string} {value}: pages that scroll are no longer supported; omit it")


def options() -> argparse.ArgumentParser:
    """The options that decide a world next to its seed; their names are those of ``build``. Also of ``build_many``."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tree", type=whole(), nargs="+", default=list(TREE), help="children per page, level by level")
    parser.add_argument("--page-size", type=size, default=PAGE_SIZE, help="pixels, WIDTHxHEIGHT")
    parser.add_argument("--icons", type=Path, help="folder with CATEGORY/PNG/*.png; default: the built-in set")
    parser.add_argument(
        "--layout", choices=tuple(LAYOUTS), default="grid", help="where icons stand; grid: the authors'"
    )
    parser.add_argument("--theme", choices=tuple(THEMES), default="light", help="colours of pages")
    parser.add_argument("--captions", action="store_true", help="write each icon's name into its box")
    parser.add_argument("--scroll", action=_Removed, type=whole(0), dest=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def parser() -> Parser:
    example = "python -m data_engine.gelab.build worlds/base --workers 2"
    parser = Parser(__doc__, example, prog="python -m data_engine.gelab.build", parents=[options()])
    parser.add_argument("out", type=Path, metavar="WORLD", help="folder to write")
    parser.add_argument("--seed", type=whole(), default=0, help="of graph, places and names")
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes that draw")
    parser.add_argument(
        "--from-structure", dest="structure_file", type=Path, metavar="FILE", help="a ui_structure.json to import"
    )
    return parser


@command("build")
def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    manifest = build(**vars(args))
    pages = sum(name.startswith("pages/") for name in manifest["files"])
    print(f"{args.out}: {pages} pages of {args.page_size}, fingerprint {manifest['fingerprint'][:12]}")


if __name__ == "__main__":
    sys.exit(main())
