"""Results of a long run, written chunk by chunk, so that a killed run resumes and ends with the same bytes.

The work is split into chunks that depend on the arguments alone. A chunk's lines are appended at once when it is
finished; on a new start every line after the last whole chunk is dropped and done again.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from tqdm import tqdm

from .dataset import DataError, read_json, write_json

Item = TypeVar("Item")


def open_run(out: Path, arguments: dict) -> None:
    """Start or continue a run in ``out``. Raises DataError if it holds another run, or results of an unknown one."""
    out.mkdir(parents=True, exist_ok=True)
    record = out / "run.json"
    if not record.exists() and any(out.glob("*.jsonl")):
        raise DataError(f"{out}: holds results but no run.json, so nothing says whose; give another --out or remove it")
    if record.exists():
        before = read_json(record)
        changed = sorted(key for key in before.keys() | arguments.keys() if before.get(key) != arguments.get(key))
        if changed:
            raise DataError(f"{out}: holds a run with another {', '.join(changed)}; give another --out or remove it")
    write_json(record, arguments)


def run_chunks(
    path: Path, items: Sequence[Item], size: int, work: Callable[[int, Sequence[Item]], list[dict]], name: str
) -> None:
    """Call ``work(number, chunk)`` for each chunk of ``size`` items that ``path`` does not hold; append its lines.

    ``work`` returns one line per item. Shows a progress bar with rate and remaining time on stderr.
    """
    done = _keep_whole_chunks(path, len(items), size)
    write_json(start_path(path), {"items": len(items), "done": done, "at": time.time()})
    encode = msgspec.json.Encoder().encode
    with tqdm(total=len(items), initial=done, desc=name, unit="item", dynamic_ncols=True) as bar, open(path, "ab") as f:
        for start in range(done, len(items), size):
            chunk = items[start : start + size]
            lines = work(start // size, chunk)
            if len(lines) != len(chunk):
                raise RuntimeError(f"{name}: {len(lines)} results for {len(chunk)} items")
            f.write(b"".join(encode(line) + b"\n" for line in lines))
            f.flush()
            os.fsync(f.fileno())
            bar.update(len(chunk))


def start_path(path: Path) -> Path:
    """Beside a results file: how many items it will hold, how many it held when last started, and when (Unix time)."""
    return path.with_suffix(".start.json")


def _keep_whole_chunks(path: Path, total: int, size: int) -> int:
    """Cut ``path`` after its last whole chunk; returns how many items that leaves done."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    lines = data.count(b"\n")
    done = total if lines >= total else lines - lines % size
    end = 0
    for _ in range(done):
        end = data.index(b"\n", end) + 1
    if end < len(data):
        os.truncate(path, end)
    return done
