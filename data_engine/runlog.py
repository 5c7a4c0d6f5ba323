"""Results of a long run, written as they come, so that a killed run resumes and ends with the same bytes.

``run_in_order``: a result depends on its item alone. Lines are appended one by one, in the order of the items; on a
new start a torn last line is dropped, and what is missing is done.
``run_chunks``: a result may depend on its chunk, and chunks on the arguments alone. A chunk's lines are appended at
once when it is finished; on a new start every line after the last whole chunk is dropped and done again.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
from tqdm import tqdm

from .dataset import DataError, write_json
from .files import try_lock
from .foreign import read_object

Item = TypeVar("Item")
SYNC = 1.0  # seconds: what a power cut can cost; a killed process loses no line


def open_run(out: Path, arguments: dict) -> None:
    """Start or continue a run in ``out``, which belongs to it while this process lives.

    A run that has no results yet may be replaced by another one. Raises DataError if ``out`` holds results of another
    run or of an unknown one, or if another run is at work there.
    """
    out.mkdir(parents=True, exist_ok=True)
    alone = _hold(out)
    record = out / "run.json"
    before = read_object(record) if record.exists() else None
    results = not alone or any(path.stat().st_size for path in out.rglob("*.jsonl"))
    if before is None and results:
        raise DataError(f"{out}: holds results but no run.json, so nothing says whose; give another --out or remove it")
    if results and (changed := sorted(key for key in {*before, *arguments} if before.get(key) != arguments.get(key))):
        raise DataError(f"{out}: holds a run with another {', '.join(changed)}; give another --out or remove it")
    if alone:
        write_json(record, arguments)
        fcntl.flock(_HELD[-1], fcntl.LOCK_SH)


_HELD: list[int] = []  # handles of the folders of this process's runs


def _hold(out: Path) -> bool:
    """Keep ``out`` until this process ends, for now alone. False if other processes of the same run keep it, too."""
    _HELD.append(os.open(out, os.O_RDONLY))
    alone = try_lock(_HELD[-1])
    if not alone:
        fcntl.flock(_HELD[-1], fcntl.LOCK_SH)  # waits while one of them writes run.json
    return alone


def nothing() -> None:
    """No preparation."""


def run_chunks(
    path: Path,
    items: Sequence[Item],
    size: int,
    work: Callable[[int, Sequence[Item]], list[dict]],
    name: str,
    ready: Callable[[], object] = nothing,
) -> None:
    """Call ``work(number, chunk)`` for each chunk of ``size`` items that ``path`` does not hold; append its lines.

    ``work`` returns one line per item. Shows a progress bar with rate and remaining time on stderr, which starts after
    ``ready()``: called first, and only where something is left to do.
    """
    encode = msgspec.json.Encoder().encode
    with _own(path) as f:
        done = _begin(path, len(items), size, ready)
        with _bar(name, len(items), done) as bar:
            for start in range(done, len(items), size):
                chunk = items[start : start + size]
                lines = work(start // size, chunk)
                if len(lines) != len(chunk):
                    raise RuntimeError(f"{name}: {len(lines)} results for {len(chunk)} items")
                f.write(b"".join(encode(line) + b"\n" for line in lines))
                f.flush()
                os.fsync(f.fileno())
                bar.update(len(chunk))


def run_in_order(
    path: Path,
    items: Sequence[Item],
    work: Callable[[Sequence[Item], Callable[[dict], None]], None],
    name: str,
    ready: Callable[[], object] = nothing,
) -> None:
    """Call ``work(todo, write)`` with the items that ``path`` does not hold; it calls ``write(line)`` for each, in
    order. ``ready`` and the bar: see run_chunks. Raises RuntimeError if a line is missing."""
    encode, synced, written = msgspec.json.Encoder().encode, 0.0, 0
    with _own(path) as f:
        done = _begin(path, len(items), 1, ready)
        with _bar(name, len(items), done) as bar:

            def write(line: dict) -> None:
                nonlocal synced, written
                f.write(encode(line) + b"\n")
                f.flush()
                if time.monotonic() - synced > SYNC:
                    os.fsync(f.fileno())
                    synced = time.monotonic()
                written += 1
                bar.update()

            if done < len(items):
                work(items[done:], write)
            os.fsync(f.fileno())
    if done + written != len(items):
        raise RuntimeError(f"{name}: {done + written} results for {len(items)} items")


@contextmanager
def _own(path: Path) -> Iterator[BinaryIO]:
    """The file, open for appending, and nobody else's. Raises DataError if another process writes it."""
    with open(path, "ab") as file:
        if not try_lock(file.fileno()):
            raise DataError(f"{path}: another process writes it; wait for it or end it, then start again")
        yield file


def _bar(name: str, total: int, done: int) -> tqdm:
    return tqdm(total=total, initial=done, desc=name, unit="item", dynamic_ncols=True)


def start_path(path: Path) -> Path:
    """Beside a results file: how many items it will hold, how many it held when last started, and when (Unix time)."""
    return path.with_suffix(".start.json")


def _begin(path: Path, total: int, size: int, ready: Callable[[], object]) -> int:
    """Make ``path`` ready to go on, and note when; returns how many items are done."""
    done = _keep_whole_chunks(path, total, size)
    if done < total:
        ready()
    write_json(start_path(path), {"items": total, "done": done, "at": time.time()})
    return done


def _keep_whole_chunks(path: Path, total: int, size: int) -> int:
    """Cut ``path`` after its last whole chunk; returns how many items that leaves done."""
    data = path.read_bytes()
    lines = data.count(b"\n")
    done = total if lines >= total else lines - lines % size
    end = 0
    for _ in range(done):
        end = data.index(b"\n", end) + 1
    if end < len(data):
        os.truncate(path, end)
    return done
