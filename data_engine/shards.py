"""Work in shards: on the processes of this machine, or on a Ray cluster.

Results come as they are ready, in any order, and only a few shards wait at a time; so memory does not grow with the
work. What a shard writes must depend on the shard alone, and its place on disk belongs to it alone.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import suppress
from multiprocessing import connection, parent_process
from typing import Any, TypeVar

from .dataset import DataError

Shard = TypeVar("Shard")
Result = TypeVar("Result")

_PATIENCE = 10.0  # seconds to find a cluster
_STARTER = "GUI_SWIFT_STARTER"  # the end of a pipe whose other end the starting process holds
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

    pool = ProcessPoolExecutor(workers, initializer=_end_with_parent)
    try:
        yield from _bounded(lambda shard: pool.submit(work, shard), first, shards, 2 * workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A worker whose parent is gone (killed, too) ends at once; else it would go on beside the run that resumes.
    Ctrl-C, which reaches the workers too, ends them without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _end_when(lambda: connection.wait([parent_process().sentinel]))


def _end_when(wait: Callable[[], object]) -> None:
    def watch() -> None:
        wait()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def starter() -> tuple[dict[str, str], int]:
    """(environment, file descriptor to pass on) for processes that shall end with this one: see end_with_starter."""
    reader, _ = os.pipe()  # the other end closes when this process ends, however that is
    return {_STARTER: str(reader)}, reader


def end_with_starter() -> None:
    """End as soon as the process that started this one by ``starter`` has ended; else do nothing."""
    handle = os.environ.pop(_STARTER, "")
    if handle.isdecimal():
        with suppress(OSError):
            os.set_inheritable(int(handle), False)
            _end_when(lambda: os.read(int(handle), 1))


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
        _probe_port(address)
        ray.init(address=address, log_to_driver=False, **own)
    except Exception as error:  # Ray raises that very class where it starts too slowly
        reason = " ".join(str(error).splitlines()[:1])
        raise DataError(f"--ray {address}: {reason}; is a cluster there (`ray start --head`)? or use local") from None
    return ray


def _probe_port(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT; Ray would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
