"""Files that anybody may have written or edited, read as the columns and types that a command needs.

What fits stays the plain dict it was, columns that nobody asks for included; what does not is one line: file and line,
column, what stands there, how to fix it. null counts as absent, and a text given as a list of parts is their texts.
"""

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

from .dataset import DataError, read_json, read_rows
from .shapes import misfit

Value = TypeVar("Value")
Row = dict[str, Any]
AGAIN = "write the file again"


def check(value: Value, shape: type, where: object, fix: str = AGAIN) -> Value:
    """``value`` itself, once it fits. Raises DataError: where, column, what stands there, how to fix it."""
    fault = misfit(value, shape)
    if fault:
        raise DataError(f"{where}: {fault}; {fix}")
    return value


def read_object(path: Path, shape: type = dict, fix: str = AGAIN) -> dict:
    """A JSON object that fits. Raises DataError."""
    return check(read_json(path), shape, path, fix)


def read_lines(path: Path, read: Callable[[Row], Row], limit: int | None = None) -> list[Row]:
    """Rows of a JSON-lines file, each as ``read`` gives it. Raises DataError with file and line."""
    rows = read_rows(path, limit)
    return [placed(f"{path}:{number}", read, row) for number, row in enumerate(rows, 1)]


def read_table(path: Path, read: Callable[[Row], Row], limit: int | None = None) -> list[Row]:
    """The same of a JSON-lines file or of one JSON list."""
    if not path.is_file() or not _begins_with_bracket(path):
        return read_lines(path, read, limit)
    rows = check(read_json(path), list[dict[str, Any]], path)
    return [placed(f"{path}, item {number}", read, row) for number, row in enumerate(rows[:limit])]


def read_growing(path: Path, read: Callable[[Row], Row] = dict) -> list[Row]:
    """Rows of a file that may still be written: what follows the last line end is left out; none without a file.

    Python's JSON reader, because diverged trainings log NaN. Raises DataError with file and line.
    """
    *lines, _ = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    return [
        placed(f"{path}:{number}", lambda line: read(_object(line)), line)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _object(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON, a broken line ({error}); remove it or start the run anew") from None
    return check(row, dict[str, Any], "a broken line", "remove it or start the run anew")


def placed(where: str, read: Callable[[Any], Value], value: Any) -> Value:
    """``read(value)``; its DataError gets the place."""
    try:
        return read(value)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _begins_with_bracket(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(64)
    return head.decode(json.detect_encoding(head), "replace").lstrip("\ufeff \t\r\n").startswith("[")


# What rows of several benchmarks have in common


def present(row: Row, kept: Collection[str] = ()) -> Row:
    """The row without its null columns, but for those in ``kept``."""
    if all(value is not None or name in kept for name, value in row.items()):
        return row
    return {name: value for name, value in row.items() if value is not None or name in kept}


def in_text(row: Row, *columns: str) -> Row:
    """The row with ``columns`` and the contents of its ``messages`` as text where they are lists of parts."""
    changed = {name: _joined(row[name]) for name in columns if isinstance(row.get(name), list)}
    messages = row.get("messages")
    if isinstance(messages, list) and any(_has_parts(message) for message in messages):
        changed["messages"] = list(_joined_messages(messages))
    return row | changed if changed else row


def _has_parts(message: Any) -> bool:
    return isinstance(message, dict) and isinstance(message.get("content"), list)


def _joined_messages(messages: list) -> Iterator[Any]:
    for message in messages:
        yield message | {"content": _joined(message["content"])} if _has_parts(message) else message


def _joined(parts: list) -> str | list:
    """The texts of a list of parts (``{"type": "text", "text": ..}``, pictures and others beside); else the list."""
    if not parts or not all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts):
        return parts
    texts = [part.get("text") for part in parts if part["type"] == "text"]
    return "".join(texts) if all(isinstance(text, str) for text in texts) else parts
