"""What a value must hold, as types, and in words what does not fit.

A shape is a ``msgspec.Struct``: it names the columns that a reader needs, and says nothing of the others.
"""

import re
from typing import Annotated, Any

import msgspec

Number = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]  # neither NaN nor infinite
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Side = Annotated[int, msgspec.Meta(ge=1, le=100_000)]  # pixels
SHOWN = 40  # characters of a value that does not fit

_PLACED = re.compile(r"(?s)(.*?)(?: - at `(?:(key)` in `)?\$(.*)`)?")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_LACKS = re.compile(r"Object missing required field `(.+)`")
_KIND = re.compile(r"(Expected .+?), got .+")


def misfit(value: Any, shape: type) -> str | None:
    """What about ``value`` does not fit ``shape``, by column and with what stands there; None if all does."""
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        return _in_words(value, *_PLACED.fullmatch(str(error)).groups())
    return None


def _in_words(value: Any, reason: str, key: str | None, place: str | None) -> str:
    """A sentence made of msgspec's: ``place`` is its path below the value; with ``key``, the fault is a name there."""
    column, place = (place or "").lstrip("."), place or ""
    if key:
        return f"a name in {column}: {reason}"
    lacks = _LACKS.fullmatch(reason)
    if lacks:
        return f"{column + ' ' * bool(column)}has no {lacks[1]!r}"
    kind = _KIND.fullmatch(reason)
    if "[...]" in place:  # the path does not say which
        return f"a value of {column.partition('[...]')[0]}: {reason}"
    reason = (kind[1] if kind else reason).replace("Expected", "expected")
    return f"{column or 'it'} is {_shown(_inside(value, place))}, {reason}"


def _inside(value: Any, place: str) -> Any:
    """What stands at a path, as deep as the path can be followed."""
    for name, index in _STEP.findall(place):
        value = value[name] if name else value[int(index)]
    return value


def _shown(value: Any) -> str:
    """A value as JSON would say it, on one line, cut."""
    text = "null" if value is None else repr(value) if isinstance(value, str | int | float) else _kind_of(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _kind_of(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list | tuple) else "an object"


class Message(msgspec.Struct):
    """A message of a row."""

    role: str
    content: str


class Turn(msgspec.Struct):
    """One answer of a trajectory and what it did; ``point`` is where it clicked."""

    outcome: str
    failure: str | None = None
    point: tuple[Number, Number] | None = None


class Manifest(msgspec.Struct):
    """What every manifest says."""

    kind: str
    arguments: dict[str, Any]


class Files(Manifest):
    """What the manifest of a folder with files of its own says; the columns that only some kinds have are typed."""

    files: dict[str, str]
    fingerprint: str | None = None
    blank_of: str | None = None
    icons: dict[str, str] = {}
    rows: dict[str, Count] = {}
    merged: dict[str, Count] = {}


class Style(msgspec.Struct):
    """The part of a world's arguments that readers ask for."""

    theme: str = "light"
    captions: bool = False
    cards: bool = False


class WorldManifest(Files, kw_only=True):
    """A world."""

    arguments: Style
    fingerprint: str
    page_size: tuple[Side, Side]


class Rows(Files, kw_only=True):
    """Rows that models are trained or asked with."""

    prompt_sha256: str
    max_pixels: Annotated[int, msgspec.Meta(ge=1)]


class ScoredRows(Rows, kw_only=True):
    """Rows that are scored."""

    fingerprint: str
    rows: dict[str, Count]


class FormArguments(msgspec.Struct):
    """The part of a forms folder's arguments that is no option of its tasks (login.tasks.options_of reads those)."""

    system: bool


class Forms(ScoredRows, kw_only=True):
    """Rows of forms."""

    arguments: FormArguments


class Made(msgspec.Struct):
    """A world of a collection: its fingerprint, and the hash of its own manifest."""

    fingerprint: str
    manifest: str


class Sized(Style, kw_only=True):
    """The arguments of a collection."""

    page_size: tuple[Side, Side]


class Collection(Manifest, kw_only=True):
    """Many worlds."""

    arguments: Sized
    worlds: dict[Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6,}\Z")], Made]  # by folder: a number, no path


_MANIFESTS: dict[str, type[Manifest]] = {}  # kind -> shape


def manifest_kind(name: str, shape: type[Manifest]) -> str:
    """The name of a kind, whose manifests fit the shape from now on; for the module that writes them."""
    _MANIFESTS[name] = shape
    return name


def manifest_misfit(manifest: Any) -> str | None:
    """What about a manifest does not fit its kind; None if all does."""
    shape = misfit(manifest, Manifest)
    return shape or retired(manifest) or misfit(manifest, _MANIFESTS.get(manifest["kind"], Manifest))


def retired(manifest: dict) -> str | None:
    """What a manifest has of earlier versions that is read no more; None if nothing."""
    if manifest["arguments"].get("scroll") or manifest.get("action_space", "click") != "click":
        return "was made with scroll worlds, which are no longer supported"
    return None
