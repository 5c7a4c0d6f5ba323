"""Folders that are finished or not there, each made by one process at a time.

A folder is filled under a name of its own beside its place and renamed when it is whole, its manifest last; the hash
of each file is taken while the file is made. OUT's lock file, ``.OUT.lock``, is held meanwhile: a second writer is
refused in one line, and whoever comes after a killed one removes what that one left.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .dataset import DataError, changed_file, read_manifest, write_manifest, write_rows
from .files import scratch_name, sha256_of, try_lock, write_file

_PATIENCE = 5.0  # seconds: the workers of a killed run end within that time
_SCRATCH = re.compile(r".+\.part-[0-9a-f]{12}")


class NewFolder:
    """A folder that is being filled. ``path``: where, for now. ``hashes``: name below it -> SHA-256 of each file."""

    def __init__(self, path: Path):
        self.path = path
        self.hashes: dict[str, str] = {}

    def write(self, name: str, content: bytes | str) -> None:
        self.hashes[name] = write_file(self.path / name, content)

    def write_rows(self, name: str, rows: Iterable[dict]) -> int:
        """Write rows as JSON lines; returns how many."""
        count = write_rows(self.path / name, rows)
        self.add(name)
        return count

    def copy(self, source: Path, name: str) -> None:
        """Copy a file. Its folder is made."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, self.path / name)
        self.add(name)

    def hashes_below(self, name: str) -> dict[str, str]:
        """The hashes of the files in a folder of this one, by their names there."""
        return {file.removeprefix(f"{name}/"): h for file, h in self.hashes.items() if file.startswith(f"{name}/")}

    def add(self, name: str, digest: str | None = None) -> None:
        """A file that something else has just written here, with its hash if that is known."""
        self.hashes[name] = digest or sha256_of(self.path / name)


def make_folder(out: Path, kind: str, arguments: dict, fill: Callable[[NewFolder], dict[str, Any]]) -> dict:
    """Bring ``out`` to what ``arguments`` make and return its manifest; does nothing if it is there already.

    ``fill`` writes the files and returns the manifest's other fields. Raises DataError: another writer is at work
    here; made with other arguments; changed since. ``out`` is then as it was.
    """
    out, place = Path(out), Path(os.path.realpath(out))  # the place outlasts a working folder that is replaced
    if manifest := made(out, kind, arguments):
        return manifest
    with only_writer(out) as scratch:
        if manifest := made(out, kind, arguments):  # by the writer before
            return manifest
        with scratch() as path:
            folder = NewFolder(path)
            fields = fill(folder)
            write_manifest(path, kind, arguments, folder.hashes, **fields)
    return read_manifest(place, kind)


def made(out: Path, kind: str, arguments: dict) -> dict | None:
    """The manifest of ``out`` if it holds what these arguments make, every byte of it; None if it is free.

    Raises DataError if ``out`` holds anything else.
    """
    out = Path(out)
    if is_free(out):
        return None
    manifest = read_manifest(out, kind)
    check_arguments(out, manifest, arguments)
    if changed := changed_file(out, manifest.get("files", {})):
        raise DataError(f"{out}: {changed} was changed after it was written; remove {out} and run this again")
    return manifest


def is_free(out: Path) -> bool:
    """True if nothing is in the way: no such folder, or an empty one."""
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))


def check_arguments(out: Path, manifest: dict, arguments: dict) -> None:
    """Raises DataError naming the arguments that are not those of the manifest."""
    before = manifest.get("arguments", {})
    other = sorted(name for name in before.keys() | arguments.keys() if before.get(name) != arguments.get(name))
    if other:
        raise DataError(
            f"{out}: was made with other arguments ({', '.join(other)}); choose another folder or remove it"
        )


@contextmanager
def only_writer(out: Path) -> Iterator[Callable]:
    """Hold ``out`` alone, until all processes forked meanwhile have ended too; yields ``scratch()``.

    ``scratch()`` is a context: a folder to fill, which becomes ``out`` when the block ends well and vanishes when it
    raises. Raises DataError where another process writes ``out``.
    """
    out = Path(os.path.realpath(out))  # the same lock whatever it is called, and a name even for "."
    new_parents = [parent for parent in out.parents if not parent.exists()]  # the innermost first
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.with_name(f".{out.name}.lock")
    handle = _acquire(lock, out)
    try:
        _remove_leftover(handle, out)
        yield lambda: _scratch(handle, out)
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)
        with suppress(OSError):  # a parent that holds something stays
            for parent in new_parents:
                parent.rmdir()


def _acquire(lock: Path, out: Path) -> int:
    """A handle of the locked file. Another writer may have removed the file between opening and locking it."""
    until = time.monotonic() + _PATIENCE
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        if try_lock(handle) and _same(handle, lock):
            return handle
        os.close(handle)
        if time.monotonic() > until:
            raise DataError(f"{out}: another process is writing it; wait for it or end it, then run this again")
        time.sleep(0.05)


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _remove_leftover(handle: int, out: Path) -> None:
    """Remove the scratch folder of a writer that was killed; the lock file has its name."""
    name = os.pread(handle, 4096, 0).decode(errors="replace").strip()
    if _SCRATCH.fullmatch(name) and name.startswith(f"{out.name}.part-"):
        shutil.rmtree(out.with_name(name), ignore_errors=True)


@contextmanager
def _scratch(handle: int, out: Path) -> Iterator[Path]:
    scratch = scratch_name(out)
    os.ftruncate(handle, 0)
    os.pwrite(handle, scratch.name.encode(), 0)
    scratch.mkdir()
    try:
        yield scratch
        scratch.rename(out)  # takes the place of an empty folder; of another it raises
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
