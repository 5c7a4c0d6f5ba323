"""Rows and folders on disk: JSON lines, a manifest that says what made them, and loading that checks it.

A folder is written beside its place and renamed when it is whole, its manifest last; so a folder with a manifest is
complete. The manifest holds the arguments, the versions, and the SHA-256 of every file.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonlines
import msgspec

MANIFEST = "manifest.json"
_VERSIONS = ("pillow", "numpy", "fonticon-materialdesignicons7")  # what can change a byte of the output


class DataError(ValueError):
    """Data that is broken, foreign or missing; one line: what, where, the mend."""


def write_rows(path: Path, rows: Iterable[dict]) -> int:
    """Write rows as JSON lines; returns how many."""
    encode = msgspec.json.Encoder().encode
    count = 0
    with open(path, "wb") as file:
        for row in rows:
            file.write(encode(row) + b"\n")
            count += 1
    return count


def read_rows(path: Path, limit: int | None = None) -> list[dict]:
    """Rows of a JSON-lines file, the first ``limit`` if given. Raises DataError with file and line."""
    rows: list[dict] = []
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    with open(path, "rb") as file, jsonlines.Reader(file, loads=_loads) as reader:
        try:
            for row in reader.iter(type=dict):
                if limit is not None and len(rows) >= limit:
                    break
                rows.append(row)
        except jsonlines.InvalidLineError as error:
            raise DataError(f"{path}:{error.lineno}: not a JSON object; write the file again") from None
    return rows


def _loads(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def read_json(path: Path) -> Any:
    """A JSON file. Raises DataError where it is missing or broken."""
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from None


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it; several processes may."""
    path = Path(path)
    half = path.with_name(f"{path.name}.{os.getpid()}.part")
    half.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    half.replace(path)


def sha256(path: Path) -> str:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill; it becomes ``out`` when the block ends well and vanishes when it raises."""
    out = Path(out)
    half = out.with_name(out.name + ".part")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        yield half
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        half.rename(out)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def write_manifest(
    folder: Path, kind: str, arguments: dict, known: Mapping[str, str] = MappingProxyType({}), **fields: Any
) -> dict:
    """Describe a finished folder: kind, arguments, versions, fields of the kind, and the hash of each file in it.

    ``known`` has hashes of files that were taken when they were written; these are not read again.
    """
    files = sorted(p for p in Path(folder).rglob("*") if p.is_file() and p.name != MANIFEST)
    names = [path.relative_to(folder).as_posix() for path in files]
    manifest = {
        "kind": kind,
        "arguments": arguments,
        "versions": versions(),
        **fields,
        "files": {name: known.get(name) or sha256(path) for name, path in zip(names, files, strict=True)},
    }
    write_json(Path(folder) / MANIFEST, manifest)
    return manifest


@cache
def versions() -> Mapping[str, str]:
    """Package -> version, of those that can change a byte of what is written."""
    return {name: version(name) for name in _VERSIONS}


def read_manifest(folder: Path, kind: str) -> dict:
    """The manifest of a folder of that kind. Raises DataError if it is none."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder}: no {MANIFEST}; this is not a finished {kind} folder")
    manifest = read_json(path)
    if manifest.get("kind") != kind:
        raise DataError(f"{folder}: holds {manifest.get('kind')!r}, not {kind!r}; give the right folder")
    return manifest


def is_made(out: Path, kind: str, arguments: dict) -> bool:
    """True if ``out`` already holds what these arguments make; False if it is free. Raises DataError otherwise."""
    out = Path(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    made = read_manifest(out, kind)
    if made["arguments"] != arguments:
        raise DataError(f"{out}: was made with other arguments; choose another folder or remove it")
    return True


def verified_path(folder: Path, name: str, kind: str = "gelab-rows", manifest: dict | None = None) -> Path:
    """Absolute path of a file of a rows folder, its hash checked against the manifest. Raises DataError.

    A caller with many files reads the manifest once and passes it.
    """
    folder = Path(folder).resolve()
    expected = (manifest or read_manifest(folder, kind))["files"].get(name)
    path = folder / name
    if expected is None or not path.is_file():
        raise DataError(f"{path}: not part of this folder; write the rows again")
    if sha256(path) != expected:
        raise DataError(f"{path}: was changed after it was written; write the rows again")
    return path
