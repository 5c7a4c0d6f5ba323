"""Rows and their screenshots in one Parquet file, each screenshot once in each row group.

The schema is what ms-swift reads without a plugin: ``images`` is a list of {bytes, path}. Parquet keeps the distinct
values of a column in one dictionary per row group; a group here holds whole worlds, so a screenshot lies in the file
once, however many rows show it, as long as its world has not more rows than ``MOST``.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ..dataset import DataError

LEAST, MOST = 1000, 8000  # rows of a group: readers unpack one at a time, with a screenshot in each row
_DICTIONARY = 512 << 20  # bytes; above its limit (1 MiB by default) a dictionary is given up, without a word


def pyarrow() -> ModuleType:
    """The package, imported when it is needed. Raises DataError with how to fix it."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError("--parquet: pyarrow is not installed here; run: pip install pyarrow") from None
    return pyarrow


def write_parquet(rows: Path, out: Path) -> None:
    """Write the rows of the JSON-lines file ``rows``, with the pictures that they name, as ``out``."""
    pa = pyarrow()
    options = {"compression": "zstd", "dictionary_pagesize_limit": _DICTIONARY, "write_statistics": False}
    schema = _schema()
    with pa.parquet.ParquetWriter(out, schema, **options) as writer:
        for group in _groups(rows):
            read = cache(lambda name: (rows.parent / name).read_bytes())
            for row in group:
                row["images"] = [{"bytes": read(name), "path": name} for name in row["images"]]
            writer.write_table(pa.Table.from_pylist(group, schema), row_group_size=len(group))


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of such a file, ``images`` as [{"bytes": ..., "path": ...}]; one row group in memory at a time.

    Raises DataError if it is none.
    """
    pa = pyarrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group).to_pylist()
    except pa.ArrowException as error:
        raise DataError(f"{path}: not Parquet ({str(error).splitlines()[0]}); write the rows again") from None


def _schema() -> Any:
    pa = pyarrow()
    message = pa.struct({"role": pa.string(), "content": pa.string()})
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.schema(
        {
            "idx": pa.int64(),
            "task": pa.string(),
            "path": pa.int64(),
            "messages": pa.list_(message),
            "images": pa.list_(image),
            "bbox": pa.list_(pa.int64()),
            "canvas": pa.list_(pa.int64()),
            "source": pa.string(),
        }
    )


def _groups(rows: Path) -> Iterator[list[dict]]:
    """Whole worlds, ``LEAST`` rows or more together; a world of more than ``MOST`` rows is cut."""
    group: list[dict] = []
    with open(rows, "rb") as lines:
        for row in map(json.loads, lines):
            new_world = group and Path(group[-1]["images"][0]).parent != Path(row["images"][0]).parent
            if len(group) >= MOST or (len(group) >= LEAST and new_world):
                yield group
                group = []
            group.append(row)
    if group:
        yield group
