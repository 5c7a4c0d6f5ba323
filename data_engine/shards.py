"""Work in shards: on the processes of this machine, or on a Ray cluster.

Results come as they are ready, in any order, and only a few shards wait at a time; so memory does not grow with the
work. What a shard writes must depend on the shard alone, and its place on disk belongs to it alone.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any, TypeVar

from .dataset import DataError

Shard = TypeVar("Shard")
Result = TypeVar("Result")

_PATIENCE = 10.0  # seconds: what is left of a killed run ends within the time of one write
_OBJECT_STORE = 100 << 20  # bytes; results are small, Ray would take a third of the memory


def run_shards(
    work: Callable[[Shard], Result], shards: Iterable[Shard], workers: int = 1, ray: str | None = None
) -> Iterator[Result]:
    """Yield ``work(shard)`` of each shard. Both are pickled.

    ``ray``: "local" (started for this run, with all cores), "auto" or an address of a running cluster; its machines
    have this package and the same storage. Raises what ``work`` raises, and DataError where Ray cannot be had.
    """
    if ray:
        return _on_ray(work, shards, ray)
    return _on_processes(work, shards, workers) if workers > 1 else map(work, shards)


def _bounded(submit: Callable, first: Callable, shards: Iterable[Shard], width: int) -> Iterator[Any]:
    """Keep ``width`` shards in flight. ``first(running)`` waits and gives (results, those still running)."""
    running: list = []
    for shard in shards:
        running.append(submit(shard))
        while len(running) >= width:
            results, running = first(running)
            yield from results
    while running:
        results, running = first(running)
        yield from results


def _on_processes(work: Callable, shards: Iterable[Shard], workers: int) -> Iterator[Any]:
    def first(running: list) -> tuple[list, list]:
        done, rest = wait(running, return_when=FIRST_COMPLETED)
        return [future.result() for future in done], list(rest)

    with ProcessPoolExecutor(workers, initializer=_end_with_parent) as pool:
        yield from _bounded(lambda shard: pool.submit(work, shard), first, shards, 2 * workers)


def _end_with_parent() -> None:
    """A worker whose parent is gone (killed, too) ends at once; else it would go on beside the run that resumes."""

    def watch() -> None:
        connection.wait([parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_ray(work: Callable, shards: Iterable[Shard], address: str) -> Iterator[Any]:
    ray = _start_ray(address)

    def first(running: list) -> tuple[list, list]:
        done, rest = ray.wait(running)
        try:
            return ray.get(done), rest
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    try:
        width = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        yield from _bounded(ray.remote(work).remote, first, shards, width)
    finally:
        ray.shutdown()


def _start_ray(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise DataError("--ray: Ray is not installed here; run: pip install ray") from None
    own = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE} if address == "local" else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, **own)
    except Exception as error:  # Ray raises that very class where it starts too slowly
        said = " ".join(str(error).splitlines()[:1])
        raise DataError(f"--ray {address}: {said}; is a cluster there (`ray start --head`)? or use local") from None
    return ray


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT; Ray would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()


@contextmanager
def only_run(out: Path) -> Iterator[None]:
    """Make the folder ``out`` and hold it alone, until all processes forked meanwhile have ended too.

    Raises DataError where another run on this machine holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        until = time.monotonic() + _PATIENCE
        while not _locked(handle):
            if time.monotonic() > until:
                raise DataError(f"{out}: another run is at work here; wait for it, or end it")
            time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
