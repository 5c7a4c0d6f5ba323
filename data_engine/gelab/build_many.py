"""Build many worlds: ``python -m data_engine.gelab.build_many OUT --worlds N [--seed S] [--workers W | --ray ADDRESS]``

000000/ ...    a world folder each, as data_engine.gelab.build writes it
manifest.json  arguments, and the fingerprint of each world; written last

World i follows from (--seed, i) and the options alone: shards, workers, machines and interruptions change no byte. A
killed run resumes with the same command.
"""

import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tqdm import tqdm

from ..cli import Parser, command, positive, whole
from ..dataset import MANIFEST, DataError, read_manifest, sha256, versions, write_json
from ..folder import check_arguments, only_writer
from ..seeds import rng
from ..shapes import Collection, manifest_kind
from ..shards import run_shards
from .build import build, options
from .world import KIND as WORLD_KIND

KIND = manifest_kind("gelab-worlds", Collection)
SHARD = 16  # worlds that a worker is given at a time: below a second of small worlds
_NAME = re.compile(r"(\d{6,})(\.part-[0-9a-f]{12})?|\.(\d{6,})\.lock")  # a world, or what a killed run left of it


def world_name(number: int) -> str:
    """The folder of world ``number``, 0 .. N-1."""
    return f"{number:06d}"


def world_seed(seed: int, number: int) -> int:
    """The --seed of world ``number``: a hash, so that collections of near seeds share no world. Below 2**53 (JSON)."""
    return int(rng(seed, "world", number).integers(1 << 53))


@dataclass(frozen=True)
class Shard:
    """Some worlds of one collection: what a worker gets. ``options`` are arguments of ``build``."""

    out: Path
    numbers: tuple[int, ...]
    seed: int
    options: Mapping[str, Any]


def build_shard(shard: Shard) -> int:
    """Build the worlds of a shard, each whole or not at all; one that is there is proven. Returns how many."""
    for number in shard.numbers:
        build(shard.out / world_name(number), seed=world_seed(shard.seed, number), **shard.options)
    return len(shard.numbers)


def build_many(
    out: Path,
    worlds: int,
    seed: int = 0,
    workers: int = 1,
    ray: str | None = None,
    shard: int = SHARD,
    limit: int | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> dict | None:
    """Write the folder ``out`` of ``worlds`` worlds and return its manifest; worlds that are there stay.

    ``ray``: see ``shards.run_shards``. ``shard``: worlds a task. ``limit``: build the first ones only, write no
    manifest and return None. ``options`` are arguments of ``build``. Raises DataError, WorldError in one line.
    """
    _check(worlds, workers, shard, limit)
    out = Path(out).resolve()
    options = {k: v.resolve() if isinstance(v, Path) else v for k, v in options.items()}  # for workers elsewhere
    with only_writer(out):
        out.mkdir(exist_ok=True)
        _check_folder(out, worlds)
        first = build(out / world_name(0), seed=world_seed(seed, 0), **options)  # raises if made with other options
        arguments = {"worlds": worlds, "seed": seed} | {k: v for k, v in first["arguments"].items() if k != "seed"}
        finished = read_manifest(out, KIND) if (out / MANIFEST).exists() else None
        if finished:
            check_arguments(out, finished, arguments)
        stop = worlds if limit is None or finished else min(limit, worlds)
        numbers = range(stop)
        shards = [Shard(out, tuple(numbers[i : i + shard]), seed, options) for i in range(0, stop, shard)]
        with tqdm(total=stop, desc="worlds", unit="world", dynamic_ncols=True) as bar:
            for built in run_shards(build_shard, shards, workers, ray):
                bar.update(built)
        if stop < worlds:
            return None
        made = dict(_made(out, worlds, seed, first))
        if finished and finished["worlds"] != made:
            raise DataError(f"{out}: its worlds are not those of its {MANIFEST}; remove {out} and run this again")
        if not finished:
            write_json(out / MANIFEST, {"kind": KIND, "arguments": arguments, "versions": versions(), "worlds": made})
    return read_manifest(out, KIND)


def _check(worlds: int, workers: int, shard: int, limit: int | None) -> None:
    for name, value in ("worlds", worlds), ("workers", workers), ("shard", shard), ("limit", limit):
        if value is not None and value < 1:
            raise DataError(f"--{name} {value}: must be 1 or more")


def _check_folder(out: Path, worlds: int) -> None:
    """Nothing lies in ``out`` but worlds of this collection."""
    for path in out.iterdir():
        name = _NAME.fullmatch(path.name)
        if path.name != MANIFEST and not name:
            raise DataError(f"{out}: holds {path.name}, which is no world; choose another folder")
        if name and int(name[1] or name[3]) >= worlds:
            raise DataError(f"{out}: holds world {name[1] or name[3]}, beyond --worlds {worlds}; choose another folder")


def _made(out: Path, worlds: int, seed: int, first: dict) -> Iterator[tuple[str, dict]]:
    """(name, fingerprint and manifest hash) of each world, all of one making."""
    for number in range(worlds):
        name = world_name(number)
        if not (out / name).is_dir():
            raise DataError(f"{out / name}: built, but not here; machines need the same storage at this path")
        made = read_manifest(out / name, WORLD_KIND)
        if made["arguments"] != first["arguments"] | {"seed": world_seed(seed, number)}:
            raise DataError(f"{out / name}: was made with other arguments; choose another folder or remove it")
        if made["versions"] != versions():
            raise DataError(f"{out / name}: was drawn by other package versions than are here; remove it")
        yield name, {"fingerprint": made["fingerprint"], "manifest": sha256(out / name / MANIFEST)}


def parser() -> Parser:
    example = "python -m data_engine.gelab.build_many worlds/many --worlds 100 --tree 5 2 1 --workers 2"
    parser = Parser(__doc__, example, prog="python -m data_engine.gelab.build_many", parents=[options()])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--worlds", type=positive, required=True, metavar="N", help="how many")
    parser.add_argument("--seed", type=whole(), default=0, help="of the collection")
    engine = parser.add_mutually_exclusive_group()
    engine.add_argument("--workers", type=positive, default=1, metavar="W", help="processes of this machine")
    engine.add_argument("--ray", metavar="ADDRESS", help="of a Ray cluster, auto, or local; storage is shared")
    parser.add_argument("--shard", type=positive, default=SHARD, metavar="N", help="worlds a task; changes no byte")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N now; run again for the others")
    return parser


@command("build_many")
def main(argv: list[str] | None = None) -> None:
    given = vars(parser().parse_args(argv))
    world = {name: given.pop(name) for name in vars(options().parse_args([]))}
    there = sum(1 for _ in given["out"].glob(f"*[0-9]/{MANIFEST}"))
    start = time.monotonic()
    manifest = build_many(**given, options=world)
    print(_summary(given["out"], manifest, there, time.monotonic() - start))


def _summary(out: Path, manifest: dict | None, there: int, seconds: float) -> str:
    worlds = sum(1 for _ in out.glob(f"*[0-9]/{MANIFEST}"))
    built = f"{worlds - there:,} built now, {(worlds - there) / seconds:.1f} worlds/s"
    if manifest is None:
        return f"{out}: {worlds:,} worlds, {built}; run again without --limit for the others"
    different = len({world["fingerprint"] for world in manifest["worlds"].values()})
    return f"{out}: {worlds:,} worlds, {different:,} of them different; {built}"


if __name__ == "__main__":
    sys.exit(main())
