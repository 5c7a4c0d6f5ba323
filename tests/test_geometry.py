"""Coordinates: whether a 0..1000 click hits a box is decided exactly, checked here in fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_engine.gelab.layout import BACK_BOX, CANVAS, HOME_BOX, SLOTS
from data_engine.geometry import (
    THOUSAND,
    Box,
    Size,
    box_to_thousand,
    clickable,
    in_range,
    to_canvas,
    to_thousand,
)

sizes = st.builds(Size, st.integers(1, 4000), st.integers(1, 4000))


@st.composite
def boxes(draw, canvas: Size, least: int = 1) -> Box:
    """A box of at least ``least`` pixels a side, inside the canvas."""
    x1 = draw(st.integers(0, canvas.width - least))
    y1 = draw(st.integers(0, canvas.height - least))
    return Box(x1, y1, draw(st.integers(x1 + least, canvas.width)), draw(st.integers(y1 + least, canvas.height)))


def holds(box: Box, x: int, y: int, canvas: Size) -> bool:
    """Whether the canvas point of (x, y) is in the box, edges inclusive, in exact arithmetic."""
    fx, fy = Fraction(x * canvas.width, THOUSAND), Fraction(y * canvas.height, THOUSAND)
    return box.x1 <= fx <= box.x2 and box.y1 <= fy <= box.y2


@given(st.data(), sizes)
def test_clickable_holds_exactly_the_clicks_whose_canvas_point_is_in_the_box(data, canvas):
    box = data.draw(boxes(canvas))
    hit = clickable(box, canvas)
    near = st.sampled_from([-1, 0, 1])  # around each edge, where a rounding error would show
    points = [(data.draw(st.integers(-50, 1050)), data.draw(st.integers(-50, 1050)))]
    points += [(x + data.draw(near), y + data.draw(near)) for x in (hit.x1, hit.x2) for y in (hit.y1, hit.y2)]
    for x, y in points:
        expected = holds(box, x, y, canvas)
        assert hit.contains(x, y) == expected
        assert box.contains(*to_canvas(x, y, canvas)) == expected


@given(st.data(), st.floats(0.25, 0.75), st.floats(0.25, 0.75))
def test_every_point_of_the_middle_half_rounds_to_a_hit(data, u, v):
    canvas = data.draw(st.builds(Size, st.integers(100, 4000), st.integers(100, 4000)))
    # rounding moves a point by at most 0.5 / 1000 of the canvas; a quarter of the box must be more than that
    box = data.draw(boxes(canvas, least=max(canvas) // 400 + 1))
    assert clickable(box, canvas).contains(*to_thousand(*box.at(u, v), canvas))


@given(st.integers(0, 1000), st.integers(0, 1000), sizes)
def test_thousand_to_canvas_and_back(x, y, canvas):
    assert to_thousand(*to_canvas(x, y, canvas), canvas) == (x, y)


@given(st.integers(0, 1179), st.integers(0, 2556))
def test_canvas_to_thousand_and_back_moves_less_than_half_a_unit(x, y):
    back = to_canvas(*to_thousand(x, y, CANVAS), CANVAS)
    assert abs(back[0] - x) <= 1179 / 2000 + 1e-9 and abs(back[1] - y) <= 2556 / 2000 + 1e-9


@pytest.mark.parametrize(
    "pixels, norm",
    [
        # the authors' own bbox_norm: 674 / 1179 = .5717 -> 572 and 258 / 2556 = .1009 -> 101: rounded, not cut
        ((474, 1258, 674, 1458), (402, 492, 572, 570)),
        ((244, 1488, 444, 1688), (207, 582, 377, 660)),
    ],
)
def test_boxes_are_normalised_as_the_authors_do(pixels, norm):
    assert box_to_thousand(Box(*pixels), Size(1179, 2556)) == norm


def test_clickable_by_hand():
    # 474 / 1.179 = 402.03 -> the first click inside is 403; 674 / 1.179 = 571.67 -> the last is 571;
    # 1258 / 2.556 = 492.17 -> 493; 1458 / 2.556 = 570.42 -> 570
    assert clickable(Box(474, 1258, 674, 1458), CANVAS) == (403, 493, 571, 570)
    # where pixels are whole thousandths the edges themselves hit
    assert clickable(Box(100, 200, 300, 400), Size(1000, 2000)) == (100, 100, 300, 200)


def test_edges_belong_to_a_box():
    box = Box(10, 20, 30, 40)
    assert box.contains(10, 20) and box.contains(30, 40) and box.contains(10, 40)
    assert not any(box.contains(x, y) for x, y in [(9, 30), (31, 30), (20, 19), (20, 41), (9.99, 30), (30.01, 30)])


def test_boxes_that_share_an_edge_overlap():
    box = Box(10, 10, 20, 20)
    assert box.overlaps(Box(20, 20, 30, 30)) and box.overlaps(Box(0, 0, 100, 100)) and box.overlaps(Box(12, 12, 13, 13))
    assert not box.overlaps(Box(21, 10, 30, 20)) and not box.overlaps(Box(10, 21, 20, 30))


def test_inside_a_canvas():
    size = Size(100, 200)
    assert Box(0, 0, 100, 200).inside(size)
    assert not any(Box(*b).inside(size) for b in [(-1, 0, 5, 5), (0, 0, 101, 5), (0, 0, 5, 201), (5, 5, 5, 9)])


def test_no_two_places_of_the_grid_overlap():
    places = [Box(x, y, x + 200, y + 200) for x, y in SLOTS] + [BACK_BOX, HOME_BOX]
    assert len(places) == 34 and all(p.inside(CANVAS) for p in places)
    assert not any(a.overlaps(b) for i, a in enumerate(places) for b in places[:i])


def test_box_on_a_smaller_picture():
    # 448 / 1179 = .38; 60 -> 22.8 -> 23, 260 -> 98.8 -> 99; 448 / 2556 = .1753; 60 -> 10.5 -> 11, 260 -> 45.6 -> 46
    assert BACK_BOX.scaled(CANVAS, Size(448, 448)) == (23, 11, 99, 46)


def test_box_fractions():
    assert Box(100, 200, 300, 600).at(0.5, 0.5) == (200, 400)
    assert Box(100, 200, 300, 600).at(0.25, 1) == (150, 600)


@pytest.mark.parametrize("x, y, expected", [(0, 0, True), (1000, 1000, True), (1001, 5, False), (5, -1, False)])
def test_range(x, y, expected):
    assert in_range(x, y) is expected


def test_size_reads_and_writes():
    assert Size.parse("448x336") == (448, 336) and Size.parse("448X336") == (448, 336)
    assert str(Size(448, 336)) == "448x336"


@pytest.mark.parametrize("text", ["", "448", "448x", "x448", "448x448x3", "0x448", "-448x448", "448.0x448", "448 448"])
def test_bad_sizes_are_refused_with_the_fix(text):
    with pytest.raises(ValueError, match="write WIDTHxHEIGHT in pixels, e.g. 448x448"):
        Size.parse(text)
