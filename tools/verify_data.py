"""Prove a folder of rows, or of a world: ``python tools/verify_data.py PATH [--limit N] [--json]``

Every row is checked against its world or form, pixels and prompt builder. Exit code 0: all is right, one line per file.
1: every fault, one line each: file:line, what, how to fix it. 2: wrong use.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import msgspec
from tqdm import tqdm

from data_engine.benchmark import Benchmark
from data_engine.benchmarks import BENCHMARKS, OF_FOLDERS
from data_engine.cli import Parser, command, positive
from data_engine.dataset import MANIFEST, DataError
from data_engine.faults import Report
from data_engine.foreign import read_object
from data_engine.shapes import Count

SHOWN = 20  # lines per kind of fault; --json has them all
SHORT = 2.0  # seconds: a proof that takes no longer needs no bar


class Kind(msgspec.Struct):
    """What a proof needs to know of a manifest before it reads it."""

    kind: str
    rows: dict[str, Count] = {}


def parser() -> Parser:
    parser = Parser(__doc__, "python tools/verify_data.py data/base")
    parser.add_argument("path", type=Path, metavar="PATH", help="written by a data_engine command")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N rows of each file")
    parser.add_argument("--json", action="store_true", help="print the report as JSON, with every fault")
    return parser


def fault_lines(report: Report, folder: Path) -> list[str]:
    """The faults as text: of each kind the first ``SHOWN``, then how many more and where; the total."""
    lines, shown, more = [], Counter(), Counter()
    for fault in report.faults:
        shown[fault.kind] += 1
        if shown[fault.kind] <= SHOWN:
            lines.append(f"{folder}/{fault}")
        else:
            more[fault.kind, fault.file.rpartition("/")[0] or fault.file] += 1
    lines += [f"... and {count:,} more of {kind!r} in {folder / file}" for (kind, file), count in more.items()]
    total = len(report.faults)
    return lines + [f"{folder}: {total:,} fault{'s' * (total != 1)}"] if total else lines


def as_json(report: Report) -> str:
    faults = [asdict(fault) | {"mend": fault.fix} for fault in report.faults]
    return json.dumps({"checked": report.checked, "kinds": report.kinds, "faults": faults}, indent=2)


def show(name: str, count: int) -> None:
    """The summary line of a file, as soon as it is checked."""
    with tqdm.external_write_mode():
        print(f"{name:16} {count:7,} {'pages' if name.endswith('pages') else 'rows'} checked", flush=True)


def manifest_of(folder: Path) -> dict:
    """The manifest, as far as it can be read."""
    try:
        return read_object(folder / MANIFEST, Kind)
    except DataError:
        return {}


def benchmark_of(folder: Path, manifest: dict) -> Benchmark:
    """Whose folder it is: by its manifest, else by its pictures. Others: the first, whose proof says what is wrong."""
    if manifest:
        return OF_FOLDERS.get(manifest["kind"], BENCHMARKS[0])
    return next((b for b in BENCHMARKS if b.pictures and (folder / b.pictures).is_dir()), BENCHMARKS[0])


def size(folder: Path, manifest: dict, limit: int | None) -> int:
    """How many pages and rows a proof will look at, as far as the manifest says."""
    rows = sum(count if limit is None else min(limit, count) for count in manifest.get("rows", {}).values())
    return rows + sum(1 for _ in folder.rglob("pages/*.png"))


def prove(folder: Path, limit: int | None, done: Callable[[str, int], None]) -> Report:
    """The proof by the benchmark of the folder, with a bar on stderr if it takes longer. Raises DataError."""
    manifest = manifest_of(folder)
    total = size(folder, manifest, limit)
    with tqdm(total=total, desc="verify", unit="item", delay=SHORT, dynamic_ncols=True) as bar:
        return benchmark_of(folder, manifest).verify(folder, limit, done, bar.update)


@command("verify_data")
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    report = prove(args.path, args.limit, (lambda name, count: None) if args.json else show)
    for line in [as_json(report)] if args.json else fault_lines(report, args.path):
        print(line)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
