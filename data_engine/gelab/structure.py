"""The authors' ``ui_structure.json``: read into a page graph, written from one.

What others wrote is proven here: a file is a world, or one line says where it is none.
"""

import json
from collections import Counter
from typing import Any

from ..geometry import Box
from .graph import Element, Page, PageGraph, WorldError, check
from .layout import CANVAS
from .names import check_icon_name, check_page_id, short

_KINDS = {dict: "object", list: "list", str: "text"}
_FAR = 10**6  # pixels, and pages below page_0: no number of a structure is beyond it


def parse_structure(data: bytes, where: str) -> Any:
    """What a ``ui_structure.json`` holds: JSON of the standard, each name in an object once. Raises WorldError."""
    try:
        return json.loads(data, object_pairs_hook=_object, parse_constant=_number, parse_float=_number)
    except RecursionError:
        raise WorldError(f"{where}: is nested too deeply; not GE-Lab's schema") from None
    except ValueError as error:
        raise WorldError(f"{where}: not JSON ({error})") from None


def _object(pairs: list[tuple[str, Any]]) -> dict:
    if len(record := dict(pairs)) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{short(name)} stands twice in one object")
    return record


def _number(text: str) -> float:
    if abs(number := float(text)) < float("inf"):
        return number
    raise ValueError(f"{text[:20]} is no number")


def dump_structure(structure: dict) -> str:
    """The text of ``ui_structure.json``, spaced as the authors space it. Raises WorldError if UTF-8 cannot hold it."""
    try:
        text = json.dumps(structure, indent=2, ensure_ascii=False, allow_nan=False)
        text.encode()
    except RecursionError:
        raise WorldError("the structure is nested too deeply; leave its other fields out") from None
    except ValueError as error:
        raise WorldError(f"the structure cannot be written ({error}); leave its other fields out") from None
    return text


def to_structure(graph: PageGraph, metadata: dict[str, Any]) -> dict:
    """The authors' ``ui_structure.json`` for a graph."""
    return {"pages": {page.id: _page_record(page) for page in graph.pages.values()}, "metadata": metadata}


def _page_record(page: Page) -> dict:
    kinds = {True: "system", False: "normal"}
    return {
        "image": f"{page.id}.png",
        "depth": page.depth,
        "layout": {e.name: {"bbox": list(e.box), "type": kinds[e.system]} for e in page.elements},
        "transitions": [
            {"action": e.name, "target_page": e.target, "icon_bbox": list(e.box)} for e in page.elements if e.target
        ],
    }


def from_structure(structure: dict, where: str) -> PageGraph:
    """The graph of a ``ui_structure.json``. Raises WorldError naming file, page and fault."""
    if not isinstance(structure, dict) or not isinstance(structure.get("pages"), dict):
        raise WorldError(f"{where}: no object 'pages'; not GE-Lab's schema")
    pages = {check_page_id(name, where): record for name, record in structure["pages"].items()}
    _check_files(pages, where)
    graph = PageGraph({name: _page(name, record, where) for name, record in pages.items()}, CANVAS)
    check(graph, where)
    for page in graph.pages.values():
        _check_places(page, pages[page.id]["transitions"], where)
    return graph


def _check_files(pages: dict[str, Any], where: str) -> None:
    """No two pages have one file, where a disk takes large and small letters for the same."""
    files: dict[str, str] = {}
    for page in pages:
        if (other := files.setdefault(page.lower(), page)) != page:
            raise WorldError(f"{where}: pages {other} and {page} differ in nothing but large letters; rename one")


def _check_places(page: Page, transitions: list[dict], where: str) -> None:
    """What is told twice of an icon, where it stands, is the same."""
    boxes = {element.name: element.box for element in page.elements}
    for transition in transitions:
        icon = transition["action"]
        if transition.get("icon_bbox", list(boxes[icon])) != list(boxes[icon]):
            raise WorldError(f"{where}: {page.id}: icon_bbox of {short(icon)} is not its bbox in the layout; fix one")


def _page(name: str, record: Any, where: str) -> Page:
    try:
        page = _read_page(name, record)
    except (KeyError, TypeError, ValueError) as fault:
        raise WorldError(f"{where}: {name}: {type(fault).__name__} {fault}; not GE-Lab's schema") from None
    for element in page.elements:
        if not element.system:
            check_icon_name(element.name, f"{where}: {name}")
        if element.target is not None:
            check_page_id(element.target, f"{where}: {name}")
    return page


def _read_page(name: str, record: Any) -> Page:
    layout, transitions = _typed(record, "a page", dict)["layout"], record["transitions"]
    boxes = {icon: _box(place["bbox"]) for icon, place in _each(layout, "layout", dict)}
    targets = {}
    for _, transition in _each(transitions, "transitions", list):
        icon = _typed(transition["action"], "an action", str)
        if icon in targets:
            raise ValueError(f"two transitions of {short(icon)}")
        if icon not in boxes:
            raise ValueError(f"transition {short(icon)} has no place in the layout")
        targets[icon] = _typed(transition["target_page"], "a target_page", str)
    elements = tuple(Element(icon, box, targets.get(icon)) for icon, box in boxes.items())
    return Page(name, _whole(record["depth"], "depth", 0), elements)


def _each(values: Any, what: str, kind: type) -> list[tuple[Any, dict]]:
    """(name or number, object) of each thing in an object or a list of objects. Raises TypeError if it is neither."""
    pairs = list(values.items() if kind is dict else enumerate(values)) if type(values) is kind else None
    if pairs is None or not all(type(value) is dict for _, value in pairs):
        raise TypeError(f"{what} is no {_KINDS[kind]} of objects")
    return pairs


def _typed(value: Any, what: str, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{what} is no {_KINDS[kind]}")
    return value


def _box(edges: Any) -> Box:
    if type(edges) is not list or len(edges) != 4:
        raise TypeError("a bbox is no list of four numbers")
    return Box(*(_whole(edge, "an edge of a bbox", -_FAR) for edge in edges))


def _whole(value: Any, what: str, least: int) -> int:
    """A whole number, also as 12.0. Raises ValueError if it is none, or out of all range."""
    if type(value) not in (int, float) or not least <= value <= _FAR or value != int(value):
        raise ValueError(f"{what} is no whole number of {least} or more, {_FAR} or less")
    return int(value)
