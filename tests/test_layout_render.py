"""How a page looks: every element is where its box says, alpha is honoured, and the ground is white."""

import io

import numpy as np
import pytest
from PIL import Image

from data_engine.gelab.icons import IconSet
from data_engine.gelab.layout import BACK_BOX, CANVAS, HOME_BOX, SLOTS, TITLE_BOX, generate
from data_engine.gelab.render import Renderer, png
from data_engine.geometry import Box, Size

PAGE = Size(448, 448)
SIZES = [PAGE, Size(112, 112), CANVAS]


@pytest.fixture(scope="module")
def icons() -> IconSet:
    return IconSet()


@pytest.fixture(scope="module")
def graph(icons):
    return generate((5, 3, 2), 11, [icon.name for icon in icons.icons])


def draw(graph, icons, size: Size, some: int | None = None) -> dict[str, np.ndarray]:
    sources = {icon.name: icon.source for icon in icons.icons}
    renderer = Renderer(icons, sources, graph.canvas, size)
    return {page.id: np.asarray(renderer.page(page)).astype(int) for page in list(graph.pages.values())[:some]}


@pytest.fixture(scope="module")
def pictures(graph, icons) -> dict[str, np.ndarray]:
    return draw(graph, icons, PAGE)


def cut(picture: np.ndarray, box: Box) -> np.ndarray:
    return picture[box.y1 : box.y2, box.x1 : box.x2]


def test_the_layout_is_the_authors():
    # their generator and their released structure agree: 4 columns x 8 rows, pitch 230
    assert len(SLOTS) == 32
    assert sorted({x for x, _ in SLOTS}) == [244, 474, 704, 934]
    assert sorted({y for _, y in SLOTS}) == [568, 798, 1028, 1258, 1488, 1718, 1948, 2178]
    assert (CANVAS, BACK_BOX, HOME_BOX) == ((1179, 2556), (60, 60, 260, 260), (919, 60, 1119, 260))
    assert TITLE_BOX == (389, 60, 789, 260)


def test_places_are_drawn_anew_for_each_page(graph):
    places = [tuple(e.box for e in page.elements if not e.system) for page in graph.pages.values() if page.depth == 1]
    assert len(set(places)) == len(places) == 5


def test_a_picture_is_drawn_the_same_every_time(graph, icons, pictures):
    again = draw(graph, IconSet(), PAGE)
    assert all(np.array_equal(again[page], pictures[page]) for page in pictures)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_boxes_hold_something_and_the_rest_is_white(graph, icons, size):
    for page, picture in draw(graph, icons, size, some=7 if size == CANVAS else None).items():
        assert picture.shape == (size.height, size.width, 3)
        boxes = [element.box for element in graph.pages[page].elements] + [TITLE_BOX]
        ground = picture.copy()
        for box in boxes:
            on_page = box.scaled(CANVAS, size)
            assert (cut(picture, on_page) < 250).any(axis=-1).mean() > 0.02, (page, box)
            cut(ground, on_page)[:] = 255
        assert (ground == 255).all(), page


def test_alpha_is_honoured(graph, pictures):
    """The authors' pages have black where their icons are transparent; ours are white there."""
    checked = 0
    for page, picture in pictures.items():
        for element in graph.pages[page].elements:
            if not element.system:
                stamp = cut(picture, element.box.scaled(CANVAS, PAGE))
                corners = stamp[[0, 0, -1, -1], [0, -1, 0, -1]]
                assert (corners == 255).all(), (page, element.name)
                checked += 1
    assert checked == 5 + 15 + 30


def test_half_transparent_pixels_blend_with_the_page(icons):
    class Glass(IconSet):
        def picture(self, source):
            return Image.new("RGBA", (200, 200), (0, 0, 200, 51))  # a fifth opaque

    graph = generate((1,), 0, ["glass"])
    page = Renderer(Glass(), {"glass": ""}, CANVAS, CANVAS).page(graph.pages["page_0"])
    x, y = graph.pages["page_0"].elements[0].box.at(0.5, 0.5)
    # 255 * .8 + 0 * .2 = 204; 255 * .8 + 200 * .2 = 244
    assert page.getpixel((int(x), int(y))) == (204, 204, 244)


def test_back_and_home_are_the_authors_tiles(graph, pictures):
    for page, picture in pictures.items():
        depth = graph.pages[page].depth
        for box, colour, least in (BACK_BOX, (255, 200, 200), 1), (HOME_BOX, (200, 255, 200), 2):
            tile = cut(picture, box.scaled(CANVAS, PAGE))
            if depth >= least:
                assert (tile[[0, 0, -1, -1], [0, -1, 0, -1]] == colour).all()
                assert (tile.sum(axis=-1) < 300).any()  # its name, in black
            else:
                assert (tile == 255).all()


def test_the_title_names_the_page(pictures, graph):
    titles = {page: cut(picture, TITLE_BOX.scaled(CANVAS, PAGE)) for page, picture in pictures.items()}
    assert len({title.tobytes() for title in titles.values()}) == len(titles)
    assert all(title.min() < 100 and (title[0] == 255).all() and (title[-1] == 255).all() for title in titles.values())


def test_pages_differ_from_each_other_in_more_than_the_title(pictures):
    below = [picture[46:].tobytes() for picture in pictures.values()]
    leaves = sum((picture[46:] == 255).all() for picture in pictures.values())
    assert leaves == 30 and len(set(below)) == len(below) - leaves + 1


def test_png_keeps_every_pixel(pictures):
    for pixels in list(pictures.values())[:5]:
        picture = Image.fromarray(pixels.astype(np.uint8))
        with Image.open(io.BytesIO(png(picture))) as read:
            assert (read.format, read.mode, read.size) == ("PNG", "RGB", picture.size)
            assert read.tobytes() == picture.tobytes()
