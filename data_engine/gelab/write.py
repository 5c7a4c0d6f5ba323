"""Write the rows of every stage: ``python -m data_engine.gelab.write WORLD OUT [--scope union|separate] ...``

sft.jsonl        path rows of the SFT subtrees, edges of all subtrees, icon rows
st_rl.jsonl      path rows of the ST-RL subtree, gold in `solution`
mt_rl.jsonl      tasks of the MT-RL subtree, one row each
eval_id.jsonl    path rows of each SFT subtree          tasks_id.jsonl    their tasks
eval_ood.jsonl   path rows of the test subtree          tasks_ood.jsonl   its tasks
world/           a copy of the world, so that the folder stands alone; image paths point into it
manifest.json    arguments, world fingerprint, prompt hash, page size, MAX_PIXELS, counts, hashes
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..cli import Parser, command, positive, whole
from ..dataset import DataError
from ..folder import NewFolder, make_folder
from ..geometry import Size, fits_patches
from ..shapes import ScoredRows, manifest_kind
from . import prompts
from .graph import PageGraph, WorldError
from .rows import RowMaker, episode_row, task_row, without_answer
from .tasks import Task, all_tasks, subtree_pages
from .world import World, check_apart

KIND = manifest_kind("gelab-rows", ScoredRows)
EDGE_COPIES = {"union": 6, "separate": 2}  # 685 x 6 = 4,110 closes the paper's 60,864; the public fork repeats twice


@dataclass(frozen=True)
class Options:
    """What decides the rows, next to the world. Subtrees are named by their root page (paper: 2 : 2 : 1)."""

    seed: int = 0
    scope: str = "union"
    clicks: str = "uniform"
    sft_subtrees: tuple[int, ...] = (1, 2)
    st_rl_subtree: int = 3
    mt_rl_subtree: int = 4
    test_subtree: int = 5
    system_in_rows: bool = False


def write(world_folder: Path, out: Path, options: Options = Options()) -> dict:
    """Write the rows folder ``out`` and return its manifest; does nothing if it is there already.

    Raises DataError or WorldError in one line.
    """
    world = World(world_folder)
    check_page_size(world.page_size)
    arguments = asdict(options) | {"sft_subtrees": list(options.sft_subtrees), "world": world.fingerprint}
    _check_options(options, world.graph)
    check_apart(out, world.folder)

    def fill(folder: NewFolder) -> dict:
        world.copy(folder, "world")
        counts, merged = _write_files(folder, world.graph, options)
        return {
            "fingerprint": world.fingerprint,
            "prompt_sha256": prompts.sha256(),
            "page_size": world.page_size,
            "max_pixels": world.page_size.width * world.page_size.height,
            "rows": counts,
            "merged": merged,
        }

    return make_folder(out, KIND, arguments, fill)


def _check_options(options: Options, graph: PageGraph) -> None:
    if len(set(options.sft_subtrees)) < len(options.sft_subtrees):
        raise DataError(f"--sft-subtrees {' '.join(map(str, options.sft_subtrees))}: name each subtree once")
    for flag, roots in _subtrees(options).items():
        for root in roots:
            try:
                subtree_pages(graph, root)
            except WorldError as error:
                raise WorldError(f"{flag} {root}: {error}") from None


def _subtrees(options: Options) -> dict[str, tuple[int, ...]]:
    """Flag -> the subtrees that it names."""
    ones = ("st_rl_subtree", "mt_rl_subtree", "test_subtree")
    flags = {"sft_subtrees": options.sft_subtrees} | {name: (getattr(options, name),) for name in ones}
    return {f"--{name.replace('_', '-')}": roots for name, roots in flags.items()}


def check_page_size(size: Size) -> None:
    """Pages must pass the model's resize untouched: sides in merged patches of 28 (Qwen2.5-VL) or 32 (Qwen3-VL)."""
    if not fits_patches(size):
        raise WorldError(f"page size {size}: sides must be multiples of 28 or of 32; build with 448x448")


def _write_files(folder: NewFolder, graph: PageGraph, options: Options) -> tuple[dict[str, int], dict[str, int]]:
    counts, merged = {}, {}
    for name, steps in _step_files(graph, options).items():
        maker = RowMaker(graph, "world", options.clicks, options.seed, name, options.system_in_rows)
        rows = steps(maker)
        counts[name] = folder.write_rows(name, map(without_answer, rows) if name == "st_rl.jsonl" else rows)
        merged[name] = maker.merged
    mt_rl = _tasks_of_each(graph, (options.mt_rl_subtree,))
    counts["mt_rl.jsonl"] = folder.write_rows(
        "mt_rl.jsonl",
        (episode_row(i, task, graph, "world", options.system_in_rows) for i, task in enumerate(mt_rl)),
    )
    for name, subtrees in ("tasks_id.jsonl", options.sft_subtrees), ("tasks_ood.jsonl", (options.test_subtree,)):
        tasks = _tasks_of_each(graph, subtrees)
        counts[name] = folder.write_rows(name, (task_row(i, task) for i, task in enumerate(tasks)))
    return counts, merged


def _step_files(graph: PageGraph, options: Options) -> dict[str, Callable[[RowMaker], Iterator[dict]]]:
    """File name -> its rows, given the maker of that file."""

    def paths(tasks: list[Task]) -> Callable[[RowMaker], Iterator[dict]]:
        return lambda maker: (row for task in tasks for row in maker.path(task))

    def sft(maker: RowMaker) -> Iterator[dict]:
        yield from paths(_sft_tasks(graph, options))(maker)
        for _ in range(EDGE_COPIES[options.scope]):
            for page, element in graph.edges:
                yield from maker.edge(page, element)
        for name in graph.places:
            yield from maker.icon(name)

    return {
        "sft.jsonl": sft,
        "st_rl.jsonl": paths(_tasks_of_each(graph, (options.st_rl_subtree,))),
        "eval_id.jsonl": paths(_tasks_of_each(graph, options.sft_subtrees)),
        "eval_ood.jsonl": paths(_tasks_of_each(graph, (options.test_subtree,))),
    }


def _sft_tasks(graph: PageGraph, options: Options) -> list[Task]:
    """All ordered pairs of the union of the SFT subtrees (the paper's count), or of each of them (the fork's)."""
    if options.scope == "separate":
        return _tasks_of_each(graph, options.sft_subtrees)
    pages = {page for root in options.sft_subtrees for page in subtree_pages(graph, root)}
    return all_tasks(graph, [page for page in graph.pages if page in pages])


def _tasks_of_each(graph: PageGraph, subtrees: tuple[int, ...]) -> list[Task]:
    return [task for root in subtrees for task in all_tasks(graph, subtree_pages(graph, root))]


def parser() -> Parser:
    default = Options()
    example = "python -m data_engine.gelab.write worlds/base data/base"
    parser = Parser(__doc__, example, prog="python -m data_engine.gelab.write")
    parser.add_argument("world", type=Path, metavar="WORLD", help="folder written by data_engine.gelab.build")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--seed", type=whole(), default=default.seed, help="of the gold points")
    parser.add_argument("--scope", choices=tuple(EDGE_COPIES), default=default.scope, help="pages SFT tasks join")
    parser.add_argument("--clicks", choices=("uniform", "center"), default=default.clicks, help="gold points in a box")
    parser.add_argument(
        "--sft-subtrees", type=positive, nargs="+", default=list(default.sft_subtrees), metavar="N", help="root pages"
    )
    parser.add_argument("--st-rl-subtree", type=positive, default=default.st_rl_subtree, metavar="N", help="root page")
    parser.add_argument("--mt-rl-subtree", type=positive, default=default.mt_rl_subtree, metavar="N", help="root page")
    parser.add_argument("--test-subtree", type=positive, default=default.test_subtree, metavar="N", help="root page")
    parser.add_argument("--system-in-rows", action="store_true", help="write the system prompt into each row")
    return parser


@command("write")
def main(argv: list[str] | None = None) -> None:
    given = vars(parser().parse_args(argv))
    world, out = given.pop("world"), given.pop("out")
    manifest = write(world, out, Options(**given | {"sft_subtrees": tuple(given["sft_subtrees"])}))
    for name, count in manifest["rows"].items():
        left_out = manifest["merged"].get(name, 0)
        print(f"{name:16} {count:7,} rows" + (f"  ({left_out:,} equal rows merged)" if left_out else ""))


if __name__ == "__main__":
    sys.exit(main())
