"""Manifests as they must be."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from ...dataset import MANIFEST
from .faults import Fault

Pixels = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class WorldArguments(msgspec.Struct):
    """What decides the pixels of a world. ``icons`` has path and hash of the user's own pictures, None: built-in."""

    page_size: tuple[Pixels, Pixels]
    icons: dict[str, str] | None


class WorldManifest(msgspec.Struct):
    """What data_engine.gelab.build writes beside a world."""

    kind: Literal["gelab-world"]
    arguments: WorldArguments
    versions: dict[str, str]
    fingerprint: str
    canvas: tuple[int, int]
    page_size: tuple[Pixels, Pixels]
    icons: dict[str, str]
    files: dict[str, str]
    blank_of: str | None = None  # fingerprint of the world that this one is the blind twin of


class Arguments(msgspec.Struct):
    """What decides the rows, next to the world."""

    scope: Literal["union", "separate"]
    clicks: Literal["uniform", "center"]
    sft_subtrees: list[int]
    st_rl_subtree: int
    mt_rl_subtree: int
    test_subtree: int
    world: str


class RowsManifest(msgspec.Struct):
    """What data_engine.gelab.write writes beside the rows."""

    kind: Literal["gelab-rows"]
    arguments: Arguments
    fingerprint: str
    prompt_sha256: str
    page_size: tuple[Pixels, Pixels]
    max_pixels: int
    rows: dict[str, int]
    merged: dict[str, int]
    files: dict[str, str]
    blank_of: str | None = None  # as the world's


Manifest = TypeVar("Manifest", WorldManifest, RowsManifest)


def load_manifest(folder: Path, kind: type[Manifest], below: str = "") -> Manifest | Fault:
    """The manifest of a folder, or why it cannot be read."""
    where = below + MANIFEST
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=kind)
    except FileNotFoundError:
        return Fault(where, None, "missing file", "every finished folder has one")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Fault(where, None, "broken manifest", str(error))
