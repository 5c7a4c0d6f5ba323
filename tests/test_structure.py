"""Structure files of others: each is a world, or one line of WorldError that says where it is none."""

import copy
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_engine.dataset import DataError, sha256
from data_engine.gelab.build import build
from data_engine.gelab.graph import WorldError
from data_engine.gelab.layout import generate
from data_engine.gelab.page import LEAST
from data_engine.gelab.rows import ICON_COPIES, MIDDLE
from data_engine.gelab.structure import dump_structure, from_structure, parse_structure, to_structure
from data_engine.gelab.tasks import subtree_pages
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World
from data_engine.gelab.write import Options, write
from data_engine.geometry import Box, Size, clickable, to_thousand

ICON = [244, 568, 444, 768]  # a box of the grid


@pytest.fixture(scope="module")
def good() -> dict:
    """Three pages: page_0 leads to page_1 by icon a, this to page_2 by icon b."""
    return to_structure(generate((1, 1), 0, ["a", "b"]), {})


def put(*path, value):
    """A change of the pages: the value at a path of names and numbers."""

    def change(pages: dict) -> None:
        for step in path[:-1]:
            pages = pages[step]
        pages[path[-1]] = value

    return change


def box(value, both: bool = True):
    """A change of the box of page_1's `back`, told in both places."""

    def change(pages: dict) -> None:
        pages["page_1"]["layout"]["back"]["bbox"] = value
        if both:
            next(t for t in pages["page_1"]["transitions"] if t["action"] == "back")["icon_bbox"] = value

    return change


def again(pages: dict) -> None:
    pages["page_1"]["transitions"].append({"action": "back", "target_page": "page_2", "icon_bbox": [60, 60, 260, 260]})


DAMAGES = {
    "layout is text": (put("page_1", "layout", value="back"), "page_1: TypeError layout is no object of objects"),
    "layout is a list": (put("page_1", "layout", value=[{}]), "page_1: TypeError layout is no object of objects"),
    "layout is null": (put("page_1", "layout", value=None), "page_1: TypeError layout is no object of objects"),
    "place is null": (put("page_1", "layout", "back", value=None), "page_1: TypeError layout is no object of objects"),
    "no bbox": (put("page_1", "layout", "back", value={}), "page_1: KeyError 'bbox'"),
    "transitions are text": (
        put("page_1", "transitions", value="x"),
        "page_1: TypeError transitions is no list",
    ),
    "a transition is text": (put("page_1", "transitions", 0, value="x"), "TypeError transitions is no list of objects"),
    "an action is a list": (put("page_1", "transitions", 0, "action", value=[]), "TypeError an action is no text"),
    "a target is 5": (put("page_1", "transitions", 0, "target_page", value=5), "TypeError a target_page is no text"),
    "page is a list": (put("page_1", value=[]), "page_1: TypeError a page is no object"),
    "depth is text": (put("page_1", "depth", value="1"), "page_1: ValueError depth is no whole number"),
    "depth is 1.5": (put("page_1", "depth", value=1.5), "page_1: ValueError depth is no whole number"),
    "depth is true": (put("page_1", "depth", value=True), "page_1: ValueError depth is no whole number"),
    "depth is below 0": (put("page_1", "depth", value=-1), "page_1: ValueError depth is no whole number of 0 or more"),
    "box of digits": (box(["60", 60, 260, 260]), "page_1: ValueError an edge of a bbox is no whole number"),
    "box of fractions": (box([60.5, 60, 260, 260]), "page_1: ValueError an edge of a bbox is no whole number"),
    "box of infinity": (box([60, 60, math.inf, 260]), "page_1: ValueError an edge of a bbox is no whole number"),
    "box of no number": (box([60, 60, math.nan, 260]), "page_1: ValueError an edge of a bbox is no whole number"),
    "box beyond all digits": (box([60, 60, 10**5000, 260]), "page_1: ValueError an edge of a bbox is no whole number"),
    "box of lists": (box([[60], 60, 260, 260]), "page_1: ValueError an edge of a bbox is no whole number"),
    "box is text": (box("6666"), "page_1: TypeError a bbox is no list of four numbers"),
    "reversed": (
        box([260, 260, 60, 60]),
        r"page_1: box \(260, 260, 60, 60\) of 'back' is reversed; write \[left,",
    ),
    "reversed upwards": (box([60, 260, 260, 60]), "page_1: box .* of 'back' is reversed"),
    "1 x 1": (box([60, 60, 61, 61]), "page_1: box .* of 'back' leaves the click no room; make each side 16 pixels or"),
    "15 high": (box([60, 60, 260, 75]), "page_1: box .* of 'back' leaves the click no room"),
    "two places": (box([60, 60, 250, 260], both=False), "page_1: icon_bbox of 'back' is not its bbox in the layout"),
    "a place is null": (put("page_1", "transitions", 0, "icon_bbox", value=None), "page_1: icon_bbox of '[ab]' is not"),
    "two ways": (again, "page_1: ValueError two transitions of 'back'"),
    "one page": (lambda pages: [pages.pop(page) for page in ("page_1", "page_2")], "leads to 'page_1', which does not"),
}


@pytest.mark.parametrize("change, message", DAMAGES.values(), ids=DAMAGES)
def test_what_is_wrong_is_one_line(good, change, message):
    structure = copy.deepcopy(good)
    change(structure["pages"])
    with pytest.raises(WorldError, match=f"^s.json: .*{message}") as error:
        from_structure(structure, "s.json")
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 300


def test_a_world_of_one_page_has_nowhere_to_go(good):
    page = copy.deepcopy(good["pages"]["page_0"]) | {"layout": {}, "transitions": []}
    with pytest.raises(WorldError, match="s.json: has no page but page_0; a world needs one to go to"):
        from_structure({"pages": {"page_0": page}}, "s.json")


def test_whole_numbers_may_have_a_point_and_a_place_may_be_told_once(good):
    structure = copy.deepcopy(good)
    box([60.0, 60, 260, 260.0])(structure["pages"])
    for page in structure["pages"].values():
        for transition in page["transitions"]:
            del transition["icon_bbox"]
    assert from_structure(structure, "s.json") == from_structure(good, "s.json")


TEXTS = {
    "100,000 levels": ("[" * 100_000, "is nested too deeply"),
    "100,000 objects": ('{"pages":' * 100_000, "is nested too deeply"),
    "Infinity": ('{"pages": {"page_0": {"depth": Infinity}}}', r"not JSON \(Infinity is no number\)"),
    "NaN": ('{"pages": NaN}', r"not JSON \(NaN is no number\)"),
    "1e999": ('{"pages": 1e999}', r"not JSON \(1e999 is no number\)"),
    "5,000 digits": ('{"pages": ' + "9" * 5000 + "}", "not JSON"),
    "a page twice": ('{"pages": {"page_0": {}, "page_0": {}}}', r"not JSON \('page_0' stands twice in one object\)"),
    "half": ('{"pages": {"pa', r"not JSON \(Unterminated string"),
    "nothing": ("", r"not JSON \(Expecting value"),
    "no UTF-8": (b'{"pages": "\xff"}', "not JSON .'utf-8' codec"),
    "null": ("null", "no object 'pages'; not GE-Lab's schema"),
    "a list of numbers": ('{"pages": [1, 2]}', "no object 'pages'; not GE-Lab's schema"),
}


@pytest.mark.parametrize("text, message", TEXTS.values(), ids=TEXTS)
def test_no_text_is_a_traceback_in_the_command(cli, tmp_path, text, message):
    (tmp_path / "s.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WorldError, match=f"^.*s.json: .*{message}"):
        build(tmp_path / "w", structure_file=tmp_path / "s.json")
    if text in ("[" * 100_000, "null"):  # as a user starts it
        done = cli("data_engine.gelab.build", "w", "--from-structure", "s.json", cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1) and done.stderr.startswith("build: s.json: ")
    assert not (tmp_path / "w").exists()


def nested(levels: int):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def test_other_fields_that_cannot_be_kept_are_refused(good, tmp_path):
    with pytest.raises(WorldError, match="is nested too deeply; leave its other fields out"):
        dump_structure(good | {"metadata": nested(5000)})
    (tmp_path / "s.json").write_text(json.dumps(good | {"metadata": {"note": "half \ud83d"}}))
    with pytest.raises(WorldError, match="cannot be written .*surrogates.*; leave its other fields out"):
        build(tmp_path / "w", structure_file=tmp_path / "s.json", page_size=Size(112, 112))
    assert not (tmp_path / "w").exists()


# JSON that has about the right form, with the wrong thing in any place
edges = st.lists(st.integers(-5, 3000) | st.floats() | st.sampled_from([10**400, None, "60", True]), max_size=5)
boxes = st.sampled_from([ICON, [60, 60, 260, 260], [919, 60, 1119, 260]]) | edges
names = st.sampled_from(["a", "b", "back", "home", "page_1", "<image>", "x\ny"]) | st.text(max_size=3)
ids = st.sampled_from(["page_0", "page_1", "page_2", "../x"]) | st.text(max_size=3)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
places = st.fixed_dictionaries({}, optional={"bbox": boxes | junk, "type": junk}) | junk
moves = st.fixed_dictionaries(
    {}, optional={"action": names | junk, "target_page": ids | junk, "icon_bbox": boxes | junk}
)
records = st.fixed_dictionaries(
    {},
    optional={
        "depth": st.integers(0, 3) | junk,
        "layout": st.dictionaries(names, places, max_size=3) | junk,
        "transitions": st.lists(moves | junk, max_size=3) | junk,
    },
)
structures = st.fixed_dictionaries({"pages": st.dictionaries(ids, records | junk, max_size=3) | junk}) | junk


@settings(max_examples=200)
@given(structures)
def test_any_json_is_a_world_or_one_line(structure):
    try:
        from_structure(structure, "s.json")
    except WorldError as error:
        assert len(str(error).splitlines()) == 1


@st.composite
def damaged(draw) -> dict:
    """A good structure after one to three changes, each of one value, to another of its kind or to anything."""
    structure = to_structure(generate((2, 1), 0, list("abcd")), {})
    for _ in range(draw(st.integers(1, 3))):
        pages = structure["pages"]
        page = pages[draw(st.sampled_from(sorted(pages)))]
        kind = draw(st.sampled_from(["bbox", "icon_bbox", "target_page", "action", "depth", "layout", "transitions"]))
        value = draw({"bbox": boxes, "icon_bbox": boxes, "target_page": ids, "action": names}.get(kind, junk) | junk)
        if kind == "bbox" and type(page["layout"]) is dict and page["layout"]:
            page["layout"][draw(st.sampled_from(sorted(page["layout"])))] = {"bbox": value}
        elif kind in ("icon_bbox", "target_page", "action") and type(page["transitions"]) is list:
            page["transitions"] = [
                draw(st.sampled_from([t, {**t, kind: value}])) for t in page["transitions"] if type(t) is dict
            ]
        else:
            page[kind] = value
    return structure


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_world_loads_and_can_be_walked_or_is_one_line(data):
    structure = data.draw(damaged())
    try:
        graph = from_structure(structure, "s.json")
    except WorldError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert dump_structure(to_structure(graph, {}))
    ways = {page: len(graph.shortest_path(page, "page_0")) for page in graph.pages}
    assert ways == graph.distances_to("page_0")
    assert all(subtree_pages(graph, int(page[5:])) for page, parent in graph.parents.items() if parent == "page_0")


# ---- what passes has room for every row


@pytest.mark.parametrize("x", range(0, 59))
def test_the_smallest_box_has_points_for_the_rows_of_an_icon(x):
    """Whole units of 0..1000 in the middle half, all of which are drawn alike: ten at least, at any place."""
    canvas = Size(1179, 2556)

    def whole(low: float, high: float) -> int:
        return max(0, math.floor(high - 0.5) - math.ceil(low + 0.5) + 1)

    def span(start: int, side: int) -> tuple[float, float]:
        return tuple(1000 * (start + part * LEAST) / side for part in MIDDLE)

    for y in range(0, 128):
        assert whole(*span(x, canvas.width)) * whole(*span(y, canvas.height)) >= ICON_COPIES
        small = Box(x, y, x + LEAST, y + LEAST)
        assert clickable(small, canvas).contains(*to_thousand(*small.at(0.25, 0.75), canvas))


def test_a_world_of_smallest_boxes_is_proven(good, tmp_path):
    structure = json.loads(json.dumps(good).replace(json.dumps(_box_of(good, "a")), "[300, 600, 316, 616]"))
    (tmp_path / "s.json").write_text(json.dumps(structure))
    build(tmp_path / "w", structure_file=tmp_path / "s.json", page_size=Size(448, 448))
    for scope in ("union", "separate"):
        write(tmp_path / "w", tmp_path / scope, Options(0, scope, "uniform", (1,), 1, 1, 1))
        assert verify(tmp_path / scope).faults == []


def _box_of(structure: dict, name: str) -> list[int]:
    return next(page["layout"][name]["bbox"] for page in structure["pages"].values() if name in page["layout"])


def test_pages_too_small_for_their_icons_are_refused(good, tmp_path):
    structure = json.loads(json.dumps(good).replace(json.dumps(_box_of(good, "a")), "[300, 600, 316, 616]"))
    (tmp_path / "s.json").write_text(json.dumps(structure))
    with pytest.raises(WorldError, match="--page-size 56x56: 'a' of page_[01] would have no pixel; give more"):
        build(tmp_path / "w", structure_file=tmp_path / "s.json", page_size=Size(56, 56))
    with pytest.raises(WorldError, match="--page-size 1x1: the name of page_0 would have no pixel; give more"):
        build(tmp_path / "w", tree=(1,), page_size=Size(1, 1))
    assert not (tmp_path / "w").exists()


# ---- the same of a world folder


@pytest.mark.parametrize("text", ["[" * 100_000, '{"pages": NaN}', '{"pages": {"page_0": {"layout": "x"}}}'])
def test_a_broken_structure_in_a_world_is_one_fault(tmp_path, text):
    build(tmp_path / "w", tree=(1,), page_size=Size(112, 112))
    (tmp_path / "w" / "ui_structure.json").write_text(text)
    manifest = json.loads((tmp_path / "w" / "manifest.json").read_text())
    manifest["files"]["ui_structure.json"] = sha256(tmp_path / "w" / "ui_structure.json")
    (tmp_path / "w" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(WorldError, match="ui_structure.json: "):
        World(tmp_path / "w")
    assert {fault.kind for fault in verify(tmp_path / "w").faults} == {"broken world"}


@pytest.mark.parametrize(
    "changes",
    [{"page_size": "112"}, {"page_size": [112]}, {"page_size": [0, 0]}, {"files": []}, {"icons": None}, {"canvas": 1}]
    + [{"arguments": {"scroll": "x"}}, {"arguments": {"theme": "neon"}}, {"arguments": 3}, {"fingerprint": None}],
    ids=str,
)
def test_an_edited_manifest_is_one_line(tmp_path, changes):
    build(tmp_path / "w", tree=(1,), page_size=Size(112, 112))
    path = tmp_path / "w" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(
        DataError, match="manifest.json: .*; (build it|make the folder) again, or get it again where it came from"
    ) as error:
        World(tmp_path / "w")
    assert len(str(error.value).splitlines()) == 1


def test_a_file_may_begin_with_a_mark(good, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(good), encoding="utf-8-sig")
    assert build(tmp_path / "w", structure_file=tmp_path / "s.json", page_size=Size(112, 112))["icons"]
    assert parse_structure((tmp_path / "s.json").read_bytes(), "s") == good
