"""Write the rows of every stage: ``python -m data_engine.gelab.write WORLD OUT [--protocol paper|hard] ...``

sft.jsonl        path rows of the SFT subtrees, edges of all subtrees, icon rows
st_rl.jsonl      path rows of the ST-RL subtree, gold in `solution`
mt_rl.jsonl      tasks of the MT-RL subtree, one row each
eval_id.jsonl    path rows of each SFT subtree          tasks_id.jsonl    their tasks
eval_ood.jsonl   path rows of the test subtree          tasks_ood.jsonl   its tasks
world/           a copy of the world, so that the folder stands alone; image paths point into it
placements/      with --protocol hard: the world with its icons elsewhere, for training and for evaluation
manifest.json    arguments, world fingerprint, prompt hash, page size, MAX_PIXELS, counts, hashes

--protocol paper shows each page in one picture, where icons never move: an agent can click from memory. With hard each
task is shown on one of several placements, and evaluation has placements that training never shows.
--explain way has each answer to a task say the way before the click: the pages above the one that is shown, and above
the goal. Its rows hold the system prompt, which asks for it.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, product
from pathlib import Path

from ..cli import Parser, command, positive, real, whole
from ..dataset import DataError
from ..folder import NewFolder, make_folder
from ..geometry import Size, fits_patches
from ..seeds import rng
from ..shapes import ScoredRows, manifest_kind
from . import prompts
from .actions import EXPLAIN
from .graph import PageGraph, WorldError
from .placements import SPLITS, check_grid, write_placements
from .rows import ICON_COPIES, Placement, RowMaker, episode_row, placement_of, task_row, without_answer
from .tasks import Task, all_tasks, subtree_pages
from .world import World, check_apart

KIND = manifest_kind("gelab-rows", ScoredRows)
# Rows of each edge: 685 x 6 = 4,110 closes the paper's 60,864; the public fork has two. An edge is a task of length 1,
# so two of its rows make a pair, click and complete, as in the paper's 274 edge instances of a subtree's 137 edges.
EDGE_ROWS = {"union": 6, "separate": 2}
EDGES, PROTOCOLS = ("pairs", "clicks"), ("paper", "hard")


@dataclass(frozen=True)
class Options:
    """What decides the rows, next to the world. Subtrees are named by their root page (paper: 2 : 2 : 1).

    ``placements`` (for training), ``passes`` over the training tasks: of ``hard`` alone. ``recovery``: rows after a
    mishap, for each click of training paths and edges, 0..1. ``page_questions``: of each kind, for each page and pass.
    """

    seed: int = 0
    scope: str = "union"
    clicks: str = "uniform"
    sft_subtrees: tuple[int, ...] = (1, 2)
    st_rl_subtree: int = 3
    mt_rl_subtree: int = 4
    test_subtree: int = 5
    system_in_rows: bool = False
    edges: str = "pairs"
    protocol: str = "paper"
    explain: str = "step"
    placements: int = 16
    passes: int = 1
    recovery: float = 0.0
    page_questions: int = 0

    @property
    def edge_copies(self) -> int:
        """How often each edge is written."""
        return EDGE_ROWS[self.scope] // (2 if self.edges == "pairs" else 1)

    @property
    def variant(self) -> str:
        """What the rows are besides the paper's protocol; empty where they are it."""
        return " ".join(word for word in (self.protocol, self.explain) if word not in ("paper", "step"))

    @property
    def system(self) -> bool:
        """Whether rows hold the system prompt: where it is not the template's, they must."""
        return self.system_in_rows or self.explain != "step"


def write(
    world_folder: Path, out: Path, options: Options = Options(), icons: Path | None = None, workers: int = 1
) -> dict:
    """Write the rows folder ``out`` and return its manifest; does nothing if it is there already.

    ``icons``: with ``hard``, the folder of pictures that the world was built with, if any.

    Raises DataError or WorldError in one line.
    """
    world = World(world_folder)
    check_page_size(world.page_size)
    arguments = asdict(options) | {"sft_subtrees": list(options.sft_subtrees), "world": world.fingerprint}
    _check_options(options, world)
    check_apart(out, world.folder)

    def fill(folder: NewFolder) -> dict:
        world.copy(folder, "world")
        shown, placements = dict.fromkeys(SPLITS, [Placement(world.graph, "world")]), {}
        if options.protocol == "hard":
            shown, prints = write_placements(folder, world, options.placements, options.seed, icons, workers)
            placements = {"placements": prints}
        counts, merged = _write_files(folder, world.graph, shown, options)
        return {
            "fingerprint": world.fingerprint,
            "prompt_sha256": prompts.sha256(explain=options.explain),
            "page_size": world.page_size,
            "max_pixels": world.page_size.width * world.page_size.height,
            "rows": counts,
            "merged": merged,
            **placements,
            **({"protocol": options.variant} if options.variant else {}),
        }

    return make_folder(out, KIND, arguments, fill)


def _check_options(options: Options, world: World) -> None:
    graph = world.graph
    if options.protocol == "hard":
        check_grid(world)
    elif options.passes > 1:
        raise DataError(f"--passes {options.passes}: on one placement all passes are the same; give --protocol hard")
    if options.passes > options.placements:
        raise DataError(f"--passes {options.passes}: more than --placements {options.placements}; ask for as many")
    if options.page_questions and options.explain != "way":
        raise DataError(f"--page-questions {options.page_questions}: the answers belong to --explain way; give it too")
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


def _write_files(
    folder: NewFolder, graph: PageGraph, shown: dict[str, list[Placement]], options: Options
) -> tuple[dict[str, int], dict[str, int]]:
    """Write all files; ``shown``: split -> the placements that its rows show. Returns rows and merged rows of each."""
    counts, merged = {}, {}
    held_out = frozenset({f"sub{options.test_subtree}"})
    tasks = {
        "sft": _sft_tasks(graph, options),
        "st_rl": _tasks_of_each(graph, (options.st_rl_subtree,)),
        "eval_id": _tasks_of_each(graph, options.sft_subtrees),
        "eval_ood": _tasks_of_each(graph, (options.test_subtree,)),
    }
    for stem, of_stem in tasks.items():
        name, training = f"{stem}.jsonl", not stem.startswith("eval")
        edges = options.passes * options.edge_copies * len(graph.edges) if stem == "sft" else 0
        recovering = _recovering(of_stem, edges, name, options) if training else frozenset()
        where = shown["train" if training else "eval"]
        maker = RowMaker(
            where, options.clicks, options.seed, name, options.system, options.explain, recovering, held_out
        )
        rows = _steps(maker, of_stem, options.passes if training else 1)
        if stem == "sft":
            rows = chain(rows, _single_steps(maker, options))
        counts[name] = folder.write_rows(name, map(without_answer, rows) if stem == "st_rl" else rows)
        merged[name] = maker.merged
    episodes = _episodes(_tasks_of_each(graph, (options.mt_rl_subtree,)), shown["train"], options)
    counts["mt_rl.jsonl"] = folder.write_rows("mt_rl.jsonl", episodes)
    for name, rows in ("tasks_id.jsonl", "eval_id"), ("tasks_ood.jsonl", "eval_ood"):
        where = partial(placement_of, shown["eval"], options.seed, f"{rows}.jsonl", 0)  # as the task's rows
        lines = (task_row(i, task, where(task.name).images) for i, task in enumerate(tasks[rows]))
        counts[name] = folder.write_rows(name, lines)
    return counts, merged


def _steps(maker: RowMaker, tasks: list[Task], passes: int) -> Iterator[dict]:
    """The path rows of tasks."""
    return (row for turn in range(passes) for task in tasks for row in maker.path(task, turn))


def _single_steps(maker: RowMaker, options: Options) -> Iterator[dict]:
    """The rows of edges and icons."""
    for turn in range(options.passes * options.edge_copies):
        for page, element in maker.graph.edges:
            yield from maker.edge(page, element, turn, options.edges == "pairs")
    for turn in range(options.passes):
        for name in maker.graph.places:
            yield from maker.icon(name, turn=turn * ICON_COPIES)
    for turn in range(options.passes * options.page_questions):
        for page in maker.graph.pages:
            yield from maker.page(page, turn)


def _episodes(tasks: list[Task], shown: list[Placement], options: Options) -> Iterator[dict]:
    """The rows of multi-turn RL."""
    for idx, (turn, task) in enumerate(product(range(options.passes), tasks)):
        where = placement_of(shown, options.seed, "mt_rl.jsonl", turn, task.name)
        yield episode_row(idx, task, where.graph, where.images, options.system, options.explain)


def _recovering(tasks: list[Task], edges: int, name: str, options: Options) -> frozenset[int]:
    """Numbers of the clicks in the paths of a file, and in the rows of its ``edges``, after which a mishap is shown."""
    clicks = options.passes * sum(task.length for task in tasks) + edges
    drawn = rng(options.seed, "recovery", name).permutation(clicks)[: recovery_rows(clicks, options.recovery)]
    return frozenset(drawn.tolist())


def recovery_rows(clicks: int, share: float) -> int:
    """How many recovery rows a file has, for the ``clicks`` of its paths and edges."""
    return round(share * clicks)


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
    parser.add_argument("--scope", choices=tuple(EDGE_ROWS), default=default.scope, help="pages SFT tasks join")
    parser.add_argument("--clicks", choices=("uniform", "center"), default=default.clicks, help="gold points in a box")
    parser.add_argument(
        "--sft-subtrees", type=positive, nargs="+", default=list(default.sft_subtrees), metavar="N", help="root pages"
    )
    parser.add_argument("--st-rl-subtree", type=positive, default=default.st_rl_subtree, metavar="N", help="root page")
    parser.add_argument("--mt-rl-subtree", type=positive, default=default.mt_rl_subtree, metavar="N", help="root page")
    parser.add_argument("--test-subtree", type=positive, default=default.test_subtree, metavar="N", help="root page")
    parser.add_argument("--edges", choices=EDGES, default=default.edges, help="click and complete, or clicks alone")
    parser.add_argument("--protocol", choices=PROTOCOLS, default=default.protocol, help="icons stay, or change places")
    parser.add_argument("--explain", choices=EXPLAIN, default=default.explain, help="what is said before an action")
    parser.add_argument(
        "--placements",
        type=positive,
        default=default.placements,
        metavar="N",
        help="hard: for training; N / 4 for eval",
    )
    parser.add_argument(
        "--passes", type=positive, default=default.passes, metavar="N", help="hard: over training tasks"
    )
    parser.add_argument(
        "--recovery", type=real(0, 1), default=default.recovery, metavar="SHARE", help="rows after a mishap, per click"
    )
    parser.add_argument(
        "--page-questions", type=whole(0), default=default.page_questions, metavar="N", help="way: a page, of each kind"
    )
    parser.add_argument(
        "--icons", type=Path, metavar="DIR", help="hard: the pictures that WORLD was built with, if any"
    )
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="hard: processes that draw")
    parser.add_argument("--system-in-rows", action="store_true", help="write the system prompt into each row")
    return parser


@command("write")
def main(argv: list[str] | None = None) -> None:
    given = vars(parser().parse_args(argv))
    folders = {name: given.pop(name) for name in ("icons", "workers")}
    world, out = given.pop("world"), given.pop("out")
    manifest = write(world, out, Options(**given | {"sft_subtrees": tuple(given["sft_subtrees"])}), **folders)
    for name, count in manifest["rows"].items():
        left_out = manifest["merged"].get(name, 0)
        print(f"{name:16} {count:7,} rows" + (f"  ({left_out:,} equal rows merged)" if left_out else ""))


if __name__ == "__main__":
    sys.exit(main())
