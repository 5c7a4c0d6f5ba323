"""One run shared by several processes: ``--nproc N`` starts them here, ``--shard I/N`` is one of them, anywhere.

Task t belongs to shard t mod N. A shard writes OUT/shard-I-of-N/ and resumes there; whoever finishes last lays the
lines together in the order of an undivided run, so OUT ends with the same bytes.
"""

import argparse
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from checkpoint import gpus
from dialects import DIALECTS
from settings import Settings
from tqdm import tqdm

from data_engine.cli import positive
from data_engine.dataset import DataError
from data_engine.files import write_file
from data_engine.runlog import nothing, run_in_order, start_path
from data_engine.shards import starter

Shard = tuple[int, int]  # number from 0, how many
Work = Callable[[Sequence, Callable[[dict], None]], None]
LOG = "log.txt"  # what a process of --nproc says


def shard_of(text: str) -> Shard:
    """``I/N`` as an argument type: 0 <= I < N."""
    i, _, n = text.partition("/")
    if not (i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard; give I/N with I from 0 to N - 1, like 0/4")
    return int(i), int(n)


def shard_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shard", type=shard_of, metavar="I/N", help="only every N-th task from I; the last one merges"
    )
    parser.add_argument(
        "--nproc", type=positive, default=1, metavar="N", help="processes, one GPU each, that share the tasks"
    )


def run_items(
    settings: Settings,
    name: str,
    items: Sequence,
    work: Work,
    unit: str,
    ready: Callable[[], object] = nothing,
    group: int = 1,
) -> bool:
    """Bring OUT/``name`` to one line for each item, by this process, its shard or --nproc processes.

    ``group`` items that follow each other are one task. ``ready`` prepares what ``work`` needs, where anything is left
    to do. False: other shards have not finished. Raises DataError.
    """
    out, shard, nproc = settings.out, settings.shard, settings.nproc
    if (shard or nproc > 1) and settings.engine in DIALECTS:
        raise DataError(f"--engine {settings.engine}: shards are for models on this machine; raise --batch-size")
    if shard and nproc > 1:
        raise DataError("--shard and --nproc: give one of them")
    if nproc > 1:
        _start_and_wait(out, name, len(items), nproc)
    if not shard:
        run_in_order(out / name, items, work, unit, ready)
        return True
    number, count = shard
    folder = _folder(out, shard)
    folder.mkdir(exist_ok=True)
    part = [item for k, item in enumerate(items) if k // group % count == number]
    run_in_order(folder / name, part, work, unit, ready)
    return _merged(out, name, [k // group % count for k in range(len(items))], count)


def _folder(out: Path, which: Shard) -> Path:
    return out / f"shard-{which[0]}-of-{which[1]}"


def _merged(out: Path, name: str, owners: Sequence[int], count: int) -> bool:
    """Lay the shards' lines together, if all are there; ``owners`` has the shard of each line."""
    with open(out / "merge.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        paths = [_folder(out, (i, count)) / name for i in range(count)]
        lines = [path.read_bytes().splitlines(keepends=True) if path.is_file() else [] for path in paths]
        if any(len(lines[i]) != owners.count(i) or not all(x.endswith(b"\n") for x in lines[i]) for i in range(count)):
            return False
        queues = [iter(some) for some in lines]
        write_file(out / name, b"".join(next(queues[owner]) for owner in owners))
    return True


def _start_and_wait(out: Path, name: str, total: int, count: int) -> None:
    """Run this command ``count`` times, a shard each; one progress bar for all. Raises DataError if one fails."""
    begun = time.time()
    results = [_folder(out, (i, count)) / name for i in range(count)]
    started = [_start(out, (i, count)) for i in range(count)]

    def at_work(path: Path) -> bool:
        return start_path(path).is_file() and start_path(path).stat().st_mtime >= begun

    try:
        while not any(map(at_work, results)) and all(process.poll() is None for process in started):
            time.sleep(0.2)  # they load their models
        with tqdm(total=total, desc=f"{count} processes", unit="item", dynamic_ncols=True) as bar:
            while any(process.poll() is None for process in started):
                time.sleep(0.2)
                if any(process.poll() for process in started):
                    break  # one has failed
                bar.update(sum(map(_lines, results)) - bar.n)
    finally:
        for process in started:
            process.kill()
            process.wait()
    for i, process in enumerate(started):
        if process.returncode > 0:
            raise DataError(f"shard {i} of {count} failed; {_folder(out, (i, count)) / LOG} says why")


def _start(out: Path, which: Shard) -> subprocess.Popen:
    """One process, on its own GPU where there are any (more processes than GPUs share them)."""
    names = visible_gpus()
    tie, handle = starter()  # a process whose starter is killed ends, too
    env = os.environ | tie | ({"CUDA_VISIBLE_DEVICES": names[which[0] % len(names)]} if names else {})
    folder = _folder(out, which)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOG, "w") as log:
        command = [sys.executable, *sys.argv, "--nproc", "1", "--shard", f"{which[0]}/{which[1]}"]  # the last counts
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, pass_fds=[handle])
    os.close(handle)
    return process


def visible_gpus() -> list[str]:
    """GPUs of this process: CUDA_VISIBLE_DEVICES, or all that torch may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(i) for i in range(gpus())] if named is None else [name for name in named.split(",") if name]


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0
