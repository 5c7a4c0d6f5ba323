"""Rows and manifests on disk: JSON lines, and what says how a folder was made; both are checked when they are read.

``folder.make_folder`` writes folders. A folder with a manifest is complete: the manifest holds the arguments, the
versions, and the SHA-256 of every file.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonlines
import msgspec

from .answer import cleaned
from .files import sha256_of, write_file
from .shapes import manifest_misfit

MANIFEST = "manifest.json"
_VERSIONS = ("pillow", "numpy", "fonticon-materialdesignicons7")  # what can change a byte of the output
_BOM = b"\xef\xbb\xbf"
_AGAIN = "write the rows again, or get them where they came from"
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")  # perhaps: the escape of a surrogate


class DataError(ValueError):
    """Data that is broken, foreign or missing, or wrong use; one line: what, where, how to fix it."""


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
    """Rows of a JSON-lines file, the first ``limit`` if given. Raises DataError with file, line and reason."""
    rows: list[dict] = []
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    with open(path, "rb") as file:
        file.seek(len(_BOM) if file.read(len(_BOM)) == _BOM else 0)
        with jsonlines.Reader(file, loads=_loads) as reader:
            try:
                for row in reader.iter(type=dict):
                    if limit is not None and len(rows) >= limit:
                        break
                    rows.append(row)
            except jsonlines.InvalidLineError as error:
                reason = str(error.__cause__ or "").removeprefix("invalid json: ")
                reason = f" ({reason})" if reason else ""
                raise DataError(f"{path}:{error.lineno}: not a JSON object{reason}; write the file again") from None
    return rows


def _loads(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        if not _HALF_PAIR.search(text):
            raise ValueError(str(error)) from None
    try:  # other programs write half a pair, where a model's text was cut in an emoji
        return msgspec.json.decode(cleaned(json.dumps(json.loads(text), ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise ValueError(str(error)) from None


def read_json(path: Path) -> Any:
    """A JSON file in UTF-8. Raises DataError where it is missing or broken."""
    try:
        return json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it; several processes may."""
    write_file(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal. Raises DataError where there is none."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    return sha256_of(path)


def write_manifest(folder: Path, kind: str, arguments: dict, hashes: Mapping[str, str], **fields: Any) -> dict:
    """Describe a finished folder: kind, arguments, versions, fields of the kind, and ``hashes`` of its files.

    Manifests of folders inside it are not among the files: each holds for its own folder.
    """
    names = sorted((name for name in hashes if Path(name).name != MANIFEST), key=Path)
    files = {name: hashes[name] for name in names}
    manifest = {"kind": kind, "arguments": arguments, "versions": versions(), **fields, "files": files}
    write_json(Path(folder) / MANIFEST, manifest)
    return manifest


@cache
def versions() -> Mapping[str, str]:
    """Package -> version, of those that can change a byte of what is written."""
    return {name: version(name) for name in _VERSIONS}


def read_manifest(folder: Path, kind: str) -> dict:
    """The manifest of a folder of that kind, with the columns that readers rely on. Raises DataError if it is none."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder}: no {MANIFEST}; this is not a finished {kind} folder")
    manifest = read_json(path)
    if isinstance(manifest, dict) and manifest.get("kind") != kind:
        raise DataError(f"{folder}: holds {manifest.get('kind')!r}, not {kind!r}; give the right folder")
    if fault := manifest_misfit(manifest):
        raise DataError(f"{path}: {fault}; make the folder again, or get it again where it came from")
    return manifest


def changed_file(folder: Path, files: Mapping[str, str]) -> str | None:
    """The first file that is missing or has not the hash that ``files`` has for it; None if all are right."""
    paths = ((name, Path(folder) / name) for name in files)
    return next((name for name, path in paths if not path.is_file() or sha256_of(path) != files[name]), None)


def verified_path(folder: Path, name: str, manifest: dict | str) -> Path:
    """Absolute path of a file of a folder, its hash checked against the manifest. Raises DataError.

    ``manifest``: the folder's, read once for many files; or its kind, to be read here.
    """
    folder = Path(folder).resolve()
    manifest = read_manifest(folder, manifest) if isinstance(manifest, str) else manifest
    expected = manifest["files"].get(name)
    path = folder / name
    if expected is None or not path.is_file():
        raise DataError(f"{path}: not part of this folder; remove the folder and {_AGAIN}")
    if sha256(path) != expected:
        raise DataError(f"{path}: was changed after it was written; remove the folder and {_AGAIN}")
    return path
