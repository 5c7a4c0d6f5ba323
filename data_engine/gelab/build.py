"""Build a world folder: ``python -m data_engine.gelab.build WORLD [--tree 5 3 2 2 1 1] [--seed 0] ...``"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ..dataset import is_made, new_folder, read_json, sha256, write_manifest
from ..geometry import Size
from .graph import Page, PageGraph, WorldError
from .icons import IconSet
from .layout import LAYOUTS, generate
from .page import MOST
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
    scroll: int = 0,
) -> dict:
    """Write the world folder ``out`` and return its manifest; does nothing if it is there already.

    With ``structure_file`` the graph, layout and names come from that file (``tree`` is ignored) and pictures are
    given to its names: from ``icons`` by name, or from the built-in set in order. With ``scroll`` pages are taller
    than the screen by so many halves of it. Raises DataError, WorldError.
    """
    if not 0 <= scroll <= MOST:
        raise WorldError(f"--scroll {scroll}: give 0 to {MOST} half screens")
    icon_set = IconSet(icons)
    style = Style(theme, captions, LAYOUTS[layout].cards)
    arguments = _arguments(tree, seed, page_size, icon_set, structure_file, layout) | style.arguments()
    arguments |= {"scroll": scroll} if scroll else {}
    if not is_made(out, KIND, arguments):
        structure, graph = _structure(tree, seed, icon_set, structure_file, layout, scroll)
        sources = _sources(graph, icon_set, imported=structure_file is not None)
        write_world(out, arguments, structure, Renderer(icon_set, sources, graph.canvas, page_size, style), workers)
    return read_json(Path(out) / "manifest.json")


def write_world(out: Path, arguments: dict, structure: dict, renderer: Renderer, workers: int = 1) -> None:
    """Draw the pages of ``structure`` and write them as the world folder ``out``, its manifest last."""
    screens = from_structure(structure, STRUCTURE, arguments.get("scroll", 0)).screens
    renderer.check(screens.values())
    with new_folder(out) as folder:
        (folder / STRUCTURE).write_text(dump_structure(structure), encoding="utf-8")
        (folder / "pages").mkdir()
        hashes = _draw(renderer, list(screens.values()), folder, workers)
        write_manifest(
            folder,
            KIND,
            arguments,
            fingerprint=fingerprint(structure, renderer.page_size, hashes),
            canvas=renderer.canvas,
            page_size=renderer.page_size,
            icons=renderer.sources,
        )


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


def _structure(tree, seed, icon_set: IconSet, structure_file, layout, scroll) -> tuple[dict, PageGraph]:
    if structure_file:
        structure = parse_structure(Path(structure_file).read_bytes(), str(structure_file))
        return structure, from_structure(structure, str(structure_file), scroll)
    graph = generate(tree, seed, [icon.name for icon in icon_set.icons], layout, scroll)
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


def _draw(renderer: Renderer, pages: list[Page], folder: Path, workers: int) -> dict[str, str]:
    """Write every page's picture; returns page id -> hash of its pixels. The number of workers changes no byte."""
    if workers <= 1:
        return _draw_some(renderer, pages, folder)
    with ProcessPoolExecutor(workers) as pool:
        parts = [pool.submit(_draw_some, renderer, pages[i::workers], folder) for i in range(workers)]
        return {page: digest for part in parts for page, digest in part.result().items()}


def _draw_some(renderer: Renderer, pages: list[Page], folder: Path) -> dict[str, str]:
    hashes = {}
    for page in pages:
        picture = renderer.page(page)
        (folder / picture_path(page.id)).write_bytes(png(picture))
        hashes[page.id] = hash_pixels(picture)
    return hashes


def _size(text: str) -> Size:
    try:
        return Size.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def options() -> argparse.ArgumentParser:
    """The options that decide a world next to its seed; their names are those of ``build``. Also of ``build_many``."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tree", type=int, nargs="+", default=list(TREE), help="children per page, level by level")
    parser.add_argument("--page-size", type=_size, default=PAGE_SIZE, help="pixels, WIDTHxHEIGHT")
    parser.add_argument("--icons", type=Path, help="folder with CATEGORY/PNG/*.png; default: the built-in set")
    parser.add_argument(
        "--layout", choices=tuple(LAYOUTS), default="grid", help="where icons stand; grid: the authors'"
    )
    parser.add_argument("--theme", choices=tuple(THEMES), default="light")
    parser.add_argument("--captions", action="store_true", help="write each icon's name into its box")
    parser.add_argument(
        "--scroll",
        type=int,
        default=0,
        metavar="N",
        help="pages are N half screens taller than the screen",
    )
    return parser


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data_engine.gelab.build", description=__doc__.split(":")[0], parents=[options()]
    )
    parser.add_argument("out", type=Path, metavar="WORLD", help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument(
        "--from-structure", dest="structure_file", type=Path, metavar="FILE", help="a ui_structure.json to import"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        manifest = build(**vars(args))
    except (ValueError, OSError) as error:  # DataError and WorldError are ValueErrors
        print(f"build: {error}", file=sys.stderr)
        return 2
    pages, what = sum(name.startswith("pages/") for name in manifest["files"]), "screens" if args.scroll else "pages"
    print(f"{args.out}: {pages} {what} of {args.page_size}, fingerprint {manifest['fingerprint'][:12]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
