"""JSON files that others wrote, read for the checks."""

from pathlib import Path

from data_engine.dataset import DataError, read_json


def read_object(path: Path) -> dict:
    """A file's JSON object. Raises DataError where it is missing, broken or of another kind."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: holds no JSON object; copy or write the file again")
    return value


def field(path: Path, values: dict, name: str, kind: type):
    """One value of an object read from ``path``. Raises DataError where it is absent or of another kind."""
    if not isinstance(values.get(name), kind):
        raise DataError(f"{path}: {name} is {values.get(name)!r:.60}, no {kind.__name__}; copy or write the file again")
    return values[name]
