"""Manifests: which fields they must have, and of which type."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from ...dataset import MANIFEST
from ...faults import UNREADABLE
from ...geometry import Size, fits_patches
from .. import prompts
from ..style import Style
from .faults import Fault

PlacementPath = Annotated[str, msgspec.Meta(pattern=r"^placements/(train|eval)_[0-9]+\Z")]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class WorldArguments(msgspec.Struct):
    """What decides the pixels of a world. ``icons`` has path and hash of the user's own pictures, None: built-in."""

    page_size: tuple[Pixels, Pixels]
    icons: dict[str, str] | None
    theme: Literal["light", "dark"] = "light"
    captions: bool = False
    cards: bool = False

    @property
    def style(self) -> Style:
        return Style(self.theme, self.captions, self.cards)


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
    edges: Literal["pairs", "clicks"] = "clicks"
    protocol: Literal["paper", "hard"] = "paper"
    explain: Literal["step", "way"] = "step"
    placements: Annotated[int, msgspec.Meta(ge=1)] = 1
    passes: Annotated[int, msgspec.Meta(ge=1)] = 1
    recovery: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    page_questions: Annotated[int, msgspec.Meta(ge=0)] = 0


class Written(msgspec.Struct, kw_only=True):
    """What every manifest beside rows says."""

    prompt_sha256: str
    page_size: tuple[Pixels, Pixels]
    max_pixels: int
    rows: dict[str, int]
    merged: dict[str, int]
    files: dict[str, str]


class RowsManifest(Written, kw_only=True):
    """What data_engine.gelab.write writes beside the rows."""

    kind: Literal["gelab-rows"]
    arguments: Arguments
    fingerprint: str
    blank_of: str | None = None  # as the world's
    placements: dict[PlacementPath, str] = {}  # path -> fingerprint


class Made(msgspec.Struct):
    """A world of a collection: its fingerprint, and the hash of its own manifest."""

    fingerprint: str
    manifest: str


class WorldsManifest(msgspec.Struct):
    """What data_engine.gelab.build_many writes beside the worlds."""

    kind: Literal["gelab-worlds"]
    versions: dict[str, str]
    worlds: dict[str, Made]


class ManyArguments(msgspec.Struct):
    """What decides the rows of many worlds."""

    tasks_per_world: int
    clicks: Literal["uniform", "center"]
    parquet: bool


class Split(msgspec.Struct):
    """World name -> fingerprint."""

    train: dict[str, str]
    eval: dict[str, str]


class ManyRowsManifest(Written, kw_only=True):
    """What data_engine.gelab.write_many writes beside the rows."""

    kind: Literal["gelab-many-rows"]
    arguments: ManyArguments
    split: Split


Manifest = TypeVar("Manifest", WorldManifest, RowsManifest, WorldsManifest, ManyRowsManifest)


def load_manifest(folder: Path, kind: type[Manifest], below: str = "") -> Manifest | Fault:
    """The manifest of a folder, or why it cannot be read."""
    where = below + MANIFEST
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=kind)
    except FileNotFoundError:
        return Fault(where, None, "missing file", "every finished folder has one")
    except UNREADABLE as error:
        return Fault(where, None, "broken manifest", str(error))


def stale(manifest: RowsManifest | ManyRowsManifest) -> Iterator[tuple[str, str]]:
    """What about a manifest of rows does not fit this prompt builder, and the model's resize."""
    explain = getattr(manifest.arguments, "explain", "step")
    if manifest.prompt_sha256 != (here := prompts.sha256(explain=explain)):
        yield "other prompts", f"prompt_sha256 {manifest.prompt_sha256[:12]}, here it is {here[:12]}"
    width, height = manifest.page_size
    if manifest.max_pixels != width * height or not fits_patches(Size(width, height)):
        yield "page size", f"max_pixels {manifest.max_pixels} would resize pages of {width}x{height}"
