"""Write rows over many worlds, for pre-training: ``python -m data_engine.gelab.write_many WORLDS OUT ...``

train.jsonl    of each training world: the paths of some tasks, every edge, two questions for each icon
eval.jsonl     of each evaluation world: the paths of some tasks
worlds/        a copy of these worlds, so that the folder stands alone; image paths point into it
*.parquet      with --parquet: the same rows with the screenshots in them, one file each
manifest.json  arguments, worlds and their fingerprints, prompt hash, page size, MAX_PIXELS, counts, hashes

Training takes the first worlds of WORLDS, evaluation the last: more training worlds later leave evaluation as it was.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from ..cli import Parser, command, positive, whole
from ..dataset import MANIFEST, DataError, read_manifest, sha256
from ..folder import NewFolder, make_folder
from ..geometry import Size
from ..seeds import rng
from ..shapes import Rows, manifest_kind
from . import prompts
from .build_many import KIND as WORLDS_KIND
from .graph import PageGraph
from .parquet import pyarrow, write_parquet
from .rows import Placement, RowMaker
from .tasks import Task
from .world import World, check_apart
from .write import check_page_size

KIND = manifest_kind("gelab-many-rows", Rows)
SPLITS = ("train", "eval")


@dataclass(frozen=True)
class Options:
    """What decides the rows, next to the worlds."""

    worlds_train: int
    worlds_eval: int
    seed: int = 0
    tasks_per_world: int = 20
    clicks: str = "uniform"
    system_in_rows: bool = False
    parquet: bool = False


def write_many(worlds: Path, out: Path, options: Options) -> dict:
    """Write the rows folder ``out`` and return its manifest; does nothing if it is there already.

    Raises DataError or WorldError in one line.
    """
    manifest = read_manifest(worlds, WORLDS_KIND)
    _check(options, worlds, out)
    names = _split(manifest["worlds"], options)
    page_size = Size(*manifest["arguments"]["page_size"])
    check_page_size(page_size)
    arguments = asdict(options) | {"worlds": sha256(Path(worlds) / MANIFEST)}

    def fill(folder: NewFolder) -> dict:
        writer = Writer(Path(worlds), folder, options, manifest["worlds"])
        for split in SPLITS:
            writer.write(split, names[split])
        return {
            "split": {split: {n: manifest["worlds"][n]["fingerprint"] for n in names[split]} for split in SPLITS},
            "prompt_sha256": prompts.sha256(),
            "page_size": page_size,
            "max_pixels": page_size.width * page_size.height,
            "rows": writer.counts,
            "merged": writer.merged,
            "pyarrow": pyarrow().__version__ if options.parquet else None,
        }

    return make_folder(out, KIND, arguments, fill)


def _check(options: Options, worlds: Path, out: Path) -> None:
    for name in ("worlds_train", "worlds_eval", "tasks_per_world"):
        if getattr(options, name) < 1:
            raise DataError(f"--{name.replace('_', '-')} {getattr(options, name)}: must be 1 or more")
    check_apart(out, worlds)
    if options.parquet:
        pyarrow()


def _split(worlds: dict[str, dict], options: Options) -> dict[str, list[str]]:
    """Names of each split's worlds. Raises DataError where the splits would share a world."""
    names, train, test = list(worlds), options.worlds_train, options.worlds_eval
    if train + test > len(names):
        raise DataError(f"--worlds-train {train} and --worlds-eval {test} are more than the {len(names)} worlds")
    split = {"train": names[:train], "eval": names[-test:]}
    trained = {worlds[name]["fingerprint"]: name for name in split["train"]}
    for name in split["eval"]:
        if same := trained.get(worlds[name]["fingerprint"]):
            raise DataError(f"worlds {same} and {name} are the same, but of two splits; build with a larger --tree")
    return split


class Writer:
    """Writes the files of one folder, a world at a time. ``counts``, ``merged``: of each JSON-lines file."""

    def __init__(self, worlds: Path, folder: NewFolder, options: Options, made: dict[str, dict]):
        self.worlds, self.folder, self.options, self.made = worlds, folder, options, made
        self.counts: dict[str, int] = {}
        self.merged: dict[str, int] = {}

    def write(self, split: str, names: list[str]) -> None:
        file = f"{split}.jsonl"
        self.merged[file] = 0
        rows = (row for name in tqdm(names, split, unit="world") for row in self._world(split, name))
        self.counts[file] = self.folder.write_rows(file, (row | {"idx": i} for i, row in enumerate(rows)))
        if self.options.parquet:
            write_parquet(self.folder.path / file, self.folder.path / f"{split}.parquet")
            self.folder.add(f"{split}.parquet")

    def _world(self, split: str, name: str) -> Iterator[dict]:
        world = self._copy(name)
        options = self.options
        where = [Placement(world.graph, f"worlds/{name}")]
        maker = RowMaker(where, options.clicks, options.seed, f"{split}/{name}", options.system_in_rows)
        for task in draw_tasks(world.graph, options.tasks_per_world, options.seed, f"{split}/{name}"):
            yield from maker.path(task)
        if split == "train":
            for page, element in world.graph.edges:
                yield from maker.edge(page, element)
            for icon in world.graph.places:
                yield from maker.icon(icon, copies=1)
        self.merged[f"{split}.jsonl"] += maker.merged

    def _copy(self, name: str) -> World:
        """Copy a world, proven to be the one that was built."""
        if sha256(self.worlds / name / MANIFEST) != self.made[name]["manifest"]:
            raise DataError(f"{self.worlds / name}: was changed after it was built; build the worlds again")
        world = World(self.worlds / name)
        world.copy(self.folder, f"worlds/{name}")
        return world


def draw_tasks(graph: PageGraph, count: int, seed: int, stream: str) -> list[Task]:
    """``count`` of the ordered pairs of pages, or all if there are fewer, without repeats, in the order of pages."""
    pages = list(graph.pages)
    pairs = len(pages) * (len(pages) - 1)
    drawn = sorted(rng(seed, "tasks", stream).choice(pairs, min(count, pairs), replace=False).tolist())
    tasks = []
    for start, goal in (divmod(pair, len(pages) - 1) for pair in drawn):
        start, goal = pages[start], pages[goal + (goal >= start)]
        tasks.append(Task(start, goal, graph.distances_to(goal)[start]))
    return tasks


def parser() -> Parser:
    example = "python -m data_engine.gelab.write_many worlds/many data/many --worlds-train 90 --worlds-eval 10"
    parser = Parser(__doc__, example, prog="python -m data_engine.gelab.write_many")
    parser.add_argument("worlds", type=Path, metavar="WORLDS", help="folder written by data_engine.gelab.build_many")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--worlds-train", type=positive, required=True, metavar="N", help="the first N worlds")
    parser.add_argument("--worlds-eval", type=positive, required=True, metavar="N", help="the last N worlds")
    parser.add_argument("--seed", type=whole(), default=Options.seed, help="of tasks and gold points")
    parser.add_argument("--tasks-per-world", type=positive, default=Options.tasks_per_world, metavar="N", help="drawn")
    parser.add_argument("--clicks", choices=("uniform", "center"), default=Options.clicks, help="gold points in a box")
    parser.add_argument("--system-in-rows", action="store_true", help="write the system prompt into each row")
    parser.add_argument("--parquet", action="store_true", help="also one Parquet file a split, screenshots in it")
    return parser


@command("write_many")
def main(argv: list[str] | None = None) -> None:
    given = vars(parser().parse_args(argv))
    worlds, out = given.pop("worlds"), given.pop("out")
    manifest = write_many(worlds, out, Options(**given))
    for name, count in manifest["rows"].items():
        left_out = manifest["merged"][name]
        worlds = len(manifest["split"][name.removesuffix(".jsonl")])
        merged = f"  ({left_out:,} equal rows merged)" if left_out else ""
        print(f"{name:16} {count:9,} rows of {worlds:,} worlds{merged}")


if __name__ == "__main__":
    sys.exit(main())
