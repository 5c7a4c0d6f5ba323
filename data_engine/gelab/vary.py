"""Vary a world in one thing: ``python -m data_engine.gelab.vary WORLD OUT --image|--name|--position|--noise [N] ...``

--image      other pictures under the same names; no picture of WORLD is left
--name       other names under the same pictures, from synonyms.tsv or --names FILE; text and history follow
--position   icons stand elsewhere in the page, apart from each other, each off its own old place
--noise [N]  N more icons on each page (4), which lead nowhere and are nowhere in WORLD

These are the perturbed worlds of GE-Lab's Table 3, whose generator was never released. Everything else stays: pages,
transitions, `back`, `home`, page size and look. OUT is a world like any other, so it can be varied again.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..cli import Parser, command, positive, whole
from ..dataset import DataError, sha256
from ..folder import NewFolder, make_folder
from ..geometry import Box
from ..seeds import rng
from .build import picture_hashes, write_world
from .graph import Element, Page, PageGraph, WorldError
from .icons import IconSet, builtin_sources, synonyms
from .layout import free_place, layout_of, place, scatter
from .names import check_icon_name, short
from .render import Renderer
from .structure import to_structure
from .world import KIND, World, check_apart

DISTRACTORS = 4  # on each page; the paper gives no number
Variant = tuple[PageGraph, dict[str, str]]  # graph; icon name -> picture source


def vary(
    base: Path,
    out: Path,
    kind: str,
    seed: int = 0,
    icons: Path | None = None,
    names: Path | None = None,
    distractors: int = DISTRACTORS,
    workers: int = 1,
) -> dict:
    """Write the variant ``kind`` (image, name, position, noise) of the world ``base`` and return its manifest.

    ``icons`` is the folder of pictures that ``base`` was built with, if any; for ``image`` a folder of other pictures.
    ``names`` is a table NAME <tab> OTHER, on top of the built-in one. Does nothing if ``out`` is there already. Raises
    DataError or WorldError in one line.
    """
    world, icon_set = World(base), IconSet(icons)
    check_apart(out, base)
    sources = world.manifest["icons"]
    if kind != "image":
        check_pictures(world, icon_set)
    makers: dict[str, Callable[[], Variant]] = {
        "image": lambda: (world.graph, other_pictures(sources, icon_set, seed)),
        "name": lambda: renamed(world.graph, sources, names),
        "position": lambda: (moved(world.graph, seed), sources),
        "noise": lambda: with_distractors(world.graph, sources, icon_set, distractors, seed),
    }
    arguments = {"variant": kind, "base": world.fingerprint, "seed": seed}
    arguments |= {"names": sha256(names)} if names else {}
    arguments |= {"distractors": distractors} if kind == "noise" else {}
    arguments |= {"page_size": list(world.page_size), "icons": picture_hashes(icon_set)} | world.style.arguments()

    def fill(folder: NewFolder) -> dict:
        graph, pictures = makers[kind]()
        structure = to_structure(graph, world.structure.get("metadata", {}))
        renderer = Renderer(icon_set, pictures, graph.canvas, world.page_size, world.style)
        return write_world(folder, structure, renderer, workers)

    return make_folder(out, KIND, arguments, fill)


def check_pictures(world: World, icon_set: IconSet) -> None:
    """The pictures that the world was built with are at hand, and are the same."""
    wanted, there = world.manifest["arguments"]["icons"], picture_hashes(icon_set)
    if wanted and not there:
        raise WorldError(f"{world.folder}: was built with pictures of its own; name their folder: --icons DIR")
    if there and not wanted:
        raise WorldError(f"--icons: {world.folder} has built-in pictures; omit --icons, or vary it with --image")
    changed = sorted(
        source
        for source in set(world.manifest["icons"].values())
        if (wanted or {}).get(source) != (there or {}).get(source)
    )
    if changed:
        raise WorldError(
            f"--icons: {changed[0]} is not the picture that {world.folder} was built with; give its folder"
        )


def other_pictures(sources: dict[str, str], icon_set: IconSet, seed: int) -> dict[str, str]:
    """The same names with pictures that none of them had."""
    own = [icon.source for icon in icon_set.icons]
    free = [source for source in (own if icon_set.folder else builtin_sources()) if source not in sources.values()]
    if len(free) < len(sources):
        raise WorldError(f"--image: {len(sources)} names, only {len(free)} other pictures; pass --icons DIR with more")
    order = rng(seed, "image").permutation(len(free))
    return {name: free[i] for name, i in zip(sources, order, strict=False)}


def renamed(graph: PageGraph, sources: dict[str, str], file: Path | None = None) -> Variant:
    """Every icon under another name, of the built-in table or of ``file``; `back` and `home` keep theirs."""
    own = _table(file) if file else {}
    table = synonyms() | own
    names = {name: _other_name(name, table) for name in sources}
    doubled = [name for name in names.values() if name in sources or list(names.values()).count(name) > 1]
    if doubled:
        raise WorldError(f"--name: {doubled[0]!r} would be the name of two icons; change the table of --names")
    known = {*names, *map(_category, names)}
    if strange := [name for name in own if name not in known]:
        raise WorldError(f"--names {file}: {short(strange[0])} is no icon of the world, and no category; fix the line")
    for name in names.values():
        check_icon_name(name, f"--names {file}" if file else "--name")

    def rename(page: Page) -> Page:
        return replace(page, elements=tuple(replace(e, name=names.get(e.name, e.name)) for e in page.elements))

    return _with_pages(graph, rename), {names[name]: source for name, source in sources.items()}


def _other_name(name: str, table: dict[str, str]) -> str:
    """From the table; of CATEGORY_STEM (the authors' names), the category."""
    category = _category(name)
    if name in table or category in table:
        return table[name] if name in table else table[category] + name[len(category) :]
    raise WorldError(f"--name: no other name for {name!r}; give a table NAME<tab>OTHER: --names FILE")


def _category(name: str) -> str:
    """CATEGORY of CATEGORY_STEM; of any other name nothing."""
    return name.rpartition("_")[0]


def _table(file: Path) -> dict[str, str]:
    """Name -> other name, of a text file. Raises DataError naming file and line."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"--names {file}: is no UTF-8 text ({error.reason}); save it as UTF-8") from None
    table: dict[str, str] = {}
    for number, line in ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line):
        if len(line) != 2 or not all(line):
            raise DataError(f"--names {file}:{number}: not NAME<tab>OTHER; fix the line")
        if line[0] in table:
            raise DataError(f"--names {file}:{number}: {short(line[0])} has another name already; keep one of the two")
        table[line[0]] = line[1]
    return table


def moved(graph: PageGraph, seed: int) -> PageGraph:
    """Every icon somewhere else on its page; `back` and `home` stay."""

    def move(page: Page) -> Page:
        icons = [e for e in page.elements if not e.system]
        fixed = [e.box for e in page.elements if e.system]
        boxes = iter(scatter([e.box for e in icons], rng(seed, "position", page.id), fixed))
        return replace(page, elements=tuple(e if e.system else replace(e, box=next(boxes)) for e in page.elements))

    return _with_pages(graph, move)


def with_distractors(graph: PageGraph, sources: dict[str, str], icon_set: IconSet, count: int, seed: int) -> Variant:
    """``count`` more icons on each page, after its own; pictures and names that the world does not have.

    They stand where the world's own layout could have put icons, so that no place gives them away.
    """
    taken = {*sources.values()}, {*graph.places}
    spare = [icon for icon in icon_set.icons if icon.source not in taken[0] and icon.name not in taken[1]]
    if len(spare) < count:
        raise WorldError(f"--noise {count}: only {len(spare)} pictures are not in the world; ask for fewer")
    like = next(e.box for page in graph.pages.values() for e in page.elements if not e.system)
    layout = layout_of(graph)

    def add(page: Page) -> Page:
        generator = rng(seed, "noise", page.id)
        filled = [e.box for e in page.elements]
        if layout.scattered:
            boxes = _beside(filled, like, count, generator)
        else:
            boxes = place(layout, count, generator, filled)
        chosen = [spare[i] for i in generator.permutation(len(spare))[:count]]
        more = [Element(icon.name, box, None) for icon, box in zip(chosen, boxes, strict=True)]
        icons = [e for e in page.elements if not e.system]
        return replace(page, elements=(*icons, *more, *page.elements[len(icons) :]))

    varied = _with_pages(graph, add)
    shown = {icon.name: icon.source for icon in spare if icon.name in varied.places}
    return varied, sources | shown


def _beside(filled: list[Box], like: Box, count: int, generator: np.random.Generator) -> list[Box]:
    boxes: list[Box] = []
    for _ in range(count):
        box = free_place(like, [*filled, *boxes], generator)
        if box is None:
            raise WorldError(f"--noise {count}: a page has no room for {count} more icons; ask for fewer")
        boxes.append(box)
    return boxes


def _with_pages(graph: PageGraph, change: Callable[[Page], Page]) -> PageGraph:
    return PageGraph({name: change(page) for name, page in graph.pages.items()}, graph.canvas)


def parser() -> Parser:
    example = "python -m data_engine.gelab.vary worlds/base worlds/moved --position"
    parser = Parser(__doc__, example, prog="python -m data_engine.gelab.vary")
    parser.add_argument("world", type=Path, metavar="WORLD", help="the world to vary")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    kinds = parser.add_mutually_exclusive_group(required=True)
    kinds.add_argument("--image", action="store_true", help="other pictures, same names")
    kinds.add_argument("--name", action="store_true", help="other names, same pictures")
    kinds.add_argument("--position", action="store_true", help="other places")
    kinds.add_argument(
        "--noise", type=positive, nargs="?", const=DISTRACTORS, metavar="N", help="N distractors a page; default: 4"
    )
    parser.add_argument("--seed", type=whole(), default=0, help="of what is varied")
    parser.add_argument("--icons", type=Path, metavar="DIR", help="WORLD's own pictures; with --image, others")
    parser.add_argument("--names", type=Path, metavar="FILE", help="with --name: NAME<tab>OTHER, line by line")
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes that draw")
    return parser


@command("vary")
def main(argv: list[str] | None = None) -> None:
    cli = parser()
    args = cli.parse_args(argv)
    kind = next((kind for kind in ("image", "name", "position") if getattr(args, kind)), "noise")
    if args.names and kind != "name":
        cli.error(f"--names goes with --name, not with --{kind}")
    manifest = vary(
        args.world, args.out, kind, args.seed, args.icons, args.names, args.noise or DISTRACTORS, args.workers
    )
    print(f"{args.out}: {kind} variant of {args.world}, fingerprint {manifest['fingerprint'][:12]}")


if __name__ == "__main__":
    sys.exit(main())
