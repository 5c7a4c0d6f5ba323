"""Layouts, themes and captions: where things stand, that the graph is the same in each, and that pages are legible."""

import hashlib

import numpy as np
import pytest

from data_engine.dataset import read_json
from data_engine.gelab.build import build
from data_engine.gelab.graph import PageGraph, WorldError
from data_engine.gelab.icons import IconSet
from data_engine.gelab.layout import BACK_BOX, BODY, GAP, HOME_BOX, LAYOUTS, TITLE_BOX, generate, layout_of, scatter
from data_engine.gelab.render import Renderer
from data_engine.gelab.style import PLAIN, THEMES, Style
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World
from data_engine.gelab.write import write
from data_engine.geometry import Box, Size
from data_engine.seeds import rng

BUILD = "data_engine.gelab.build"
SQUARE, PHONE = Size(448, 448), Size(308, 644)  # both in merged patches of 28; 308 : 644 is the canvas' own shape
LOOKS = [(layout, theme, captions) for layout in LAYOUTS for theme in THEMES for captions in (False, True)]
# Before there were layouts: SHA-256 of ui_structure.json, fingerprint, and the versions that drew
PAPER = (
    "9fbe82c9e77b4b86b486c5713238d126d3a7e9782993a73ab611a1d93963701a",
    "d33433db947b504b144af453360b478348ee2c76bcec4fc1d9c749159b080b6c",
)
SMALL = (
    "b9b3660b8a927bdaab936d90b6e95038d070528ca6284a3a7522de5533957931",
    "41c3d8ca8698982d4d87c6f5f34e19d1c4b6ba618cdfdcc91dcea59304baf2a7",
)
DRAWN_BY = {"pillow": "13.0.0", "numpy": "2.3.5", "fonticon-materialdesignicons7": "7.2.96"}
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
every_look = pytest.mark.parametrize("layout, theme, captions", LOOKS)


@pytest.fixture(scope="module")
def icons() -> IconSet:
    return IconSet()


@pytest.fixture(scope="module")
def names(icons) -> list[str]:
    return [icon.name for icon in icons.icons]


def boxes(graph: PageGraph, page: str) -> list[Box]:
    return [e.box for e in graph.pages[page].elements if not e.system]


def ink(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    """Contrast of two colours, 1..21 (WCAG 2, relative luminance)."""

    def light(colour) -> float:
        parts = [c / 255 for c in colour]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05

    return max(light(a), light(b)) / min(light(a), light(b))


# ---- places


@every_layout
def test_graph_and_names_are_the_same_in_each_layout(names, layout):
    a, b = generate((5, 3, 2), 4, names), generate((5, 3, 2), 4, names, layout)
    assert [(page, e.name, e.target) for page, e in a.edges] == [(page, e.name, e.target) for page, e in b.edges]
    assert (a == b) == (layout == "grid")


@every_layout
def test_icons_stand_in_the_body_and_apart(names, layout):
    graph = generate((8, 3, 1), 4, names, layout)
    for page in graph.pages:
        found = boxes(graph, page)
        for i, box in enumerate(found):
            assert BODY.y1 <= box.y1 and box.y2 <= BODY.y2 and BODY.x1 <= box.x1 and box.x2 <= BODY.x2
            grown = Box(box.x1 - 19, box.y1 - 19, box.x2 + 19, box.y2 + 19)
            assert not any(grown.overlaps(other) for other in [*found[:i], BACK_BOX, HOME_BOX, TITLE_BOX])
    assert (GAP, BODY) == (20, (20, 280, 1159, 2536))


def test_a_list_is_filled_from_the_top_in_random_order(names):
    graph = generate((4, 4), 4, names, "list")
    for page in ("page_0", "page_1", "page_2", "page_3", "page_4"):
        assert sorted(boxes(graph, page)) == [(60, y, 1119, y + 160) for y in (320, 500, 680, 860)]
    orders = {tuple(box.y1 for box in boxes(graph, page)) for page in graph.pages if boxes(graph, page)}
    assert len(orders) > 1


def test_tabs_fill_the_bottom_bar_from_its_middle_and_then_the_upper_one(names):
    graph = generate((7, 2), 4, names, "tabs")
    assert sorted(boxes(graph, "page_1")) == [(252, 2316, 462, 2516), (484, 2316, 694, 2516)]
    rows = sorted(box.y1 for box in boxes(graph, "page_0"))
    assert rows == [320] * 2 + [2316] * 5


def test_free_places_are_off_the_grid_and_differ_from_page_to_page(names):
    graph = generate((5, 5), 4, names, "free")
    slots = set(LAYOUTS["grid"].slots)
    found = [box for page in graph.pages for box in boxes(graph, page)]
    assert len(set(found)) == 30 and not set(found) & slots
    assert {(box.x2 - box.x1, box.y2 - box.y1) for box in found} == {(200, 200)}


@pytest.mark.parametrize("layout, slots", [("grid", 32), ("list", 12), ("tabs", 10), ("free", 32)])
def test_a_full_page_works_and_one_icon_more_is_refused(names, layout, slots):
    if layout != "free":  # 32 icons in random places need luck; 24 fit always
        assert len(boxes(generate((slots,), 0, names, layout), "page_0")) == slots
    with pytest.raises(WorldError, match=f"--tree: {slots + 1} icons on a page, but the {layout} has {slots} slots"):
        generate((slots + 1,), 0, names, layout)


def test_24_icons_always_find_free_places(names):
    for seed in range(20):
        assert len(boxes(generate((24,), seed, names, "free"), "page_0")) == 24


def test_a_page_too_full_to_scatter_says_so():
    rows = [Box(20, y, 1159, y + 200) for y in range(280, 2337, 221)]  # ten rows leave no other place
    with pytest.raises(WorldError, match="no other places for 10 icons on one page"):
        scatter(rows, rng(0, "full"))


@every_layout
def test_the_layout_of_a_graph_is_found_again(names, layout):
    assert layout_of(generate((5, 2), 1, names, layout)) == LAYOUTS[layout]


# ---- looks


@pytest.mark.parametrize("size", [SQUARE, PHONE], ids=str)
@every_look
def test_boxes_hold_something_and_the_rest_is_ground(icons, names, layout, theme, captions, size):
    graph = generate((5, 1), 3, names, layout)
    style = Style(theme, captions, LAYOUTS[layout].cards)
    sources = {icon.name: icon.source for icon in icons.icons}
    for page in graph.pages.values():
        picture = np.array(Renderer(icons, sources, graph.canvas, size, style).page(page))
        for box in [e.box for e in page.elements] + [TITLE_BOX]:
            x1, y1, x2, y2 = box.scaled(graph.canvas, size)
            there = picture[y1:y2, x1:x2]
            assert (there != there[0, 0]).any(axis=-1).mean() > 0.02, (page.id, box)
            there[:] = style.colours.ground
        assert (picture == style.colours.ground).all(), page.id


@pytest.mark.parametrize("size", [SQUARE, PHONE], ids=str)
@every_layout
def test_every_caption_fits_below_or_beside_its_picture(icons, names, layout, size):
    """Ink of a caption stays inside its box, and is there: with other names, only the caption's box changes."""
    style = Style("light", True, LAYOUTS[layout].cards)
    some = [names[i : i + 10] for i in range(0, 320, 10)]
    graph = generate((10,), 3, some[0], layout)
    drawn = []
    for group in some:
        sources = dict.fromkeys(group, icons.icons[0].source)
        renamed = {old.name: new for old, new in zip(graph.pages["page_0"].elements, group, strict=True)}
        page = generate((10,), 3, list(renamed), layout).pages["page_0"]
        elements = tuple(type(e)(renamed[e.name], e.box, e.target) for e in page.elements)
        page = type(page)(page.id, page.depth, elements)
        drawn.append(np.asarray(Renderer(icons, sources, graph.canvas, size, style).page(page)).astype(int))
    changed = np.any([(picture != drawn[0]).any(axis=2) for picture in drawn[1:]], axis=0)
    for element in graph.pages["page_0"].elements:
        _, words = style.parts(element.box)
        x1, y1, x2, y2 = words.scaled(graph.canvas, size)
        assert words.inside(graph.canvas) and element.box.contains(*words[:2]) and element.box.contains(*words[2:])
        assert changed[y1:y2, x1:x2].mean() > 0.05
        changed[y1:y2, x1:x2] = False
    assert not changed.any()


@pytest.mark.parametrize("theme", THEMES)
def test_themes_are_legible(theme):
    colours = THEMES[theme]
    for ground in (colours.ground, colours.back, colours.home, colours.card):
        assert ink(colours.ink, ground) >= 7  # WCAG 2, level AAA for text
    assert min(colours.plate or colours.ground) > 200  # icons are dark


def test_the_plain_look_is_the_authors():
    assert PLAIN == Style("light", False, False) and PLAIN.arguments() == {}
    assert PLAIN.parts(Box(1, 2, 30, 40)) == ((1, 2, 30, 40), None)
    assert PLAIN.colours[:4] == ((255, 255, 255), (0, 0, 0), (255, 200, 200), (200, 255, 200))


def test_parts_by_hand():
    tile, row = Box(100, 100, 300, 300), Box(60, 320, 1119, 480)
    assert Style(captions=True).parts(tile) == ((145, 100, 255, 210), (100, 210, 300, 300))
    # 160 high: the picture has 128, with 32 on its left and 16 above; the caption begins 32 to its right
    assert Style(captions=True).parts(row) == ((92, 336, 220, 464), (252, 336, 1087, 464))
    assert Style(cards=True).parts(Box(0, 0, 212, 200)) == ((6, 0, 206, 200), None)


# ---- worlds on disk


def test_plain_worlds_keep_their_bytes(paper_world, small_world):
    """Structures by their hash, taken before there were layouts; pixels too, where the same versions draw them."""
    for world, (structure, fingerprint) in {paper_world: PAPER, small_world: SMALL}.items():
        manifest = read_json(world / "manifest.json")
        assert hashlib.sha256((world / "ui_structure.json").read_bytes()).hexdigest() == structure
        assert not {"layout", "theme", "captions", "cards"} & set(manifest["arguments"])
        if manifest["versions"] == DRAWN_BY:
            assert manifest["fingerprint"] == fingerprint


@every_layout
def test_rows_of_each_layout_are_proven(tmp_path, layout):
    build(tmp_path / "w", (5, 1), 2, PHONE, layout=layout, theme="dark", captions=True)
    write(tmp_path / "w", tmp_path / "rows")
    assert verify(tmp_path / "rows").faults == []
    world = World(tmp_path / "rows" / "world")
    assert world.style == Style("dark", True, LAYOUTS[layout].cards) and world.page_size == PHONE
    assert world.screenshot("page_0").shape == (644, 308, 3)


def test_another_theme_in_the_manifest_is_found(tmp_path):
    build(tmp_path / "w", (2,), 2, Size(112, 112), theme="dark")
    manifest = tmp_path / "w" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"theme": "dark"', '"theme": "light"'))
    assert verify(tmp_path / "w").kinds == {"wrong screenshot": 3}


def test_the_command_line(cli, tmp_path):
    look = ["--layout", "list", "--theme", "dark", "--captions"]
    done = cli(BUILD, "w", "--tree", 3, "--page-size", "308x644", *look, cwd=tmp_path)
    assert done.returncode == 0 and "4 pages of 308x644" in done.stdout, done.stderr
    arguments = read_json(tmp_path / "w" / "manifest.json")["arguments"]
    assert {k: arguments[k] for k in ("layout", "theme", "captions", "cards")} == {
        "layout": "list",
        "theme": "dark",
        "captions": True,
        "cards": True,
    }
    again = cli(BUILD, "w", "--tree", 3, "--page-size", "308x644", cwd=tmp_path)
    assert again.returncode == 2 and "was made with other arguments" in again.stderr


def test_an_imported_structure_has_its_own_layout(cli, small_world, tmp_path):
    file = small_world / "ui_structure.json"
    done = cli(BUILD, "w", "--from-structure", file, "--layout", "list", cwd=tmp_path)
    assert done.returncode == 2 and "says where its icons stand; omit one of the two" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and list(tmp_path.iterdir()) == []
    done = cli(BUILD, "w", "--from-structure", file, "--theme", "dark", "--captions", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "w" / "ui_structure.json").read_bytes() == file.read_bytes()
    assert verify(tmp_path / "w").faults == []
