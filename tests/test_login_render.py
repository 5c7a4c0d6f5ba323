"""Pictures of forms: what is drawn where, that it is legible, and that files are what was drawn."""

import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data_engine.geometry import Box, Size
from data_engine.login import png
from data_engine.login.fonts import FAMILIES, LEGIBLE, font
from data_engine.login.forms import CANVAS, SCENARIOS, Form, View
from data_engine.login.marks import READABLE, mark_box
from data_engine.login.render import Screen
from data_engine.login.tasks import PAGE_SIZE, forms

SIZES = [PAGE_SIZE, Size(448, 320), Size(256, 192)]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def blank(form: Form) -> View:
    return View(("",) * len(form.fields))


def views(form: Form) -> list[View]:
    """Every state of the script."""
    texts, shown = [""] * len(form.fields), [blank(form)]
    for i, field in enumerate(form.fields):
        shown.append(View(tuple(texts), field.name))
        texts[i] = form.values[field.name]
        shown.append(View(tuple(texts), field.name))
    return [*shown, View(tuple(texts), None, True)]


def region(pixels: np.ndarray, box: Box) -> np.ndarray:
    return pixels[max(box.y1, 0) : box.y2 + 1, max(box.x1, 0) : box.x2 + 1]


def changed(one: np.ndarray, two: np.ndarray) -> Box:
    """The smallest rectangle around all pixels that differ."""
    rows, columns = np.nonzero((one != two).any(axis=2))
    return Box(columns.min(), rows.min(), columns.max(), rows.max())


def test_the_published_pixels_worked_by_hand():
    """Seed 123, episode 0, on the canvas itself: the published colours at the places of the law."""
    form = forms("login", "scripted", 123, "train", 1)[0]
    pixels = np.asarray(Screen(form, CANVAS, focus=False).picture(blank(form)))
    user, _, button, decoy = (element.box for element in form.elements)
    assert tuple(pixels[5, 5]) == (230, 230, 230)
    assert tuple(pixels[user.y1, user.x1]) == tuple(pixels[user.y2, user.x2]) == BLACK  # corners belong to the box
    assert tuple(pixels[user.y1 - 1, user.x1]) == (230, 230, 230)
    assert tuple(pixels[user.y1 + 1, user.x1 + 1]) == WHITE
    assert tuple(pixels[button.y1 + 2, button.x1 + 2]) == (0, 128, 0)
    assert tuple(pixels[decoy.y1 + 2, decoy.x1 + 2]) == (180, 180, 180)
    done = np.asarray(Screen(form, CANVAS, focus=False).picture(View(("a", "b"), None, True)))
    assert tuple(done[5, 5]) == (210, 230, 210)


def test_focus_is_drawn_in_hard_forms_only():
    hard, scripted = (forms("login", protocol, 1, "train", 1)[0] for protocol in ("hard", "scripted"))
    for form, drawn in (hard, True), (scripted, False):
        screen = Screen(form, PAGE_SIZE, focus=drawn)
        pictures = [np.asarray(screen.picture(view)) for view in (blank(form), View(("", ""), "username"))]
        assert np.array_equal(*pictures) is not drawn


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_step_changes_its_field_and_nothing_else(name, size):
    for form in forms(name, "hard", 4, "train", 12, size):
        screen = Screen(form, size, marks=True)
        before = np.asarray(screen.picture(blank(form)))
        for i, field in enumerate(form.fields):
            texts = tuple("Wwwwwwwwwwwwwwwwwwwwwwwwwwww" if k == i else "" for k in range(len(form.fields)))
            x1, y1, x2, y2 = changed(before, np.asarray(screen.picture(View(texts, field.name))))
            box = screen.place(field.box)
            assert (x1, y1, x2, y2) == (
                box.x1 - screen.ring,
                box.y1 - screen.ring,
                box.x2 + screen.ring,
                box.y2 + screen.ring,
            )
            x1, y1, x2, y2 = changed(before, np.asarray(screen.picture(View(texts))))
            assert Box(*box).contains(x1, y1) and Box(*box).contains(x2, y2)  # long text is cut off at the box


def test_secret_text_shows_its_length_alone():
    form = forms("login", "hard", 4, "train", 1)[0]
    screen = Screen(form, PAGE_SIZE)
    one, two, longer = (np.asarray(screen.picture(View(("", text)))) for text in ("abcdef", "Zyxwvu", "abcdefg"))
    assert np.array_equal(one, two) and not np.array_equal(one, longer)
    assert not np.array_equal(*(np.asarray(screen.picture(View((text, "")))) for text in ("abcdef", "Zyxwvu")))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name, protocol", [("login", "hard"), ("registration", "hard"), ("login", "scripted")])
def test_marks_cover_nothing_and_can_be_read(name, protocol, size):
    for form in forms(name, protocol, 9, "train", 40, size):
        plain, marked = Screen(form, size), Screen(form, size, marks=True)
        page = Box(0, 0, size.width - 1, size.height - 1)
        squares = [mark_box(plain.place(e.box), form.style.points, size) for e in form.elements if e.mark is not None]
        drawn = np.asarray(plain.picture(blank(form)))
        for square in squares:
            assert page.contains(square.x1, square.y1) and page.contains(square.x2, square.y2)
            assert square.y2 - square.y1 >= READABLE + 2
            covered = region(drawn, Box(square.x1, square.y1, square.x2 - 1, square.y2 - 1))
            assert (covered == covered[0, 0]).all()  # only the ground was there
        assert changed(drawn, np.asarray(marked.picture(blank(form))))


def test_each_number_of_a_hard_form_has_its_colour_and_published_ones_are_black():
    """The colour fills the square below the edge; a white number on it keeps a contrast of 3 (WCAG 2.1)."""
    for protocol in ("hard", "scripted"):
        seen = {}
        for form in forms("login", protocol, 9, "train", 40):
            drawn = np.asarray(Screen(form, PAGE_SIZE, marks=True).picture(blank(form)))
            for element in form.elements:
                if element.mark is not None:
                    x1, y1, *_ = mark_box(element.box.scaled(CANVAS, PAGE_SIZE), form.style.points, PAGE_SIZE)
                    seen.setdefault(element.mark, set()).add(tuple(drawn[y1 + 1, x1 + 1].tolist()))
        assert all(len(colours) == 1 for colours in seen.values())
        colours = set().union(*seen.values())
        assert len(colours) == len(seen) == 9 if protocol == "hard" else colours == {(0, 0, 0)}
        assert all(1.05 / (luminance(colour) + 0.05) >= 3 for colour in colours)


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance of sRGB, 0..1 (WCAG 2.1)."""
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_marks_of_the_published_registration_cover_nothing():
    for form in forms("registration", "scripted", 9, "train", 40):
        drawn = np.asarray(Screen(form, PAGE_SIZE).picture(blank(form)))
        for element in form.elements:
            if element.mark is not None:
                x1, y1, x2, y2 = mark_box(element.box.scaled(CANVAS, PAGE_SIZE), form.style.points, PAGE_SIZE)
                covered = drawn[y1:y2, x1:x2]
                assert (covered == covered[0, 0]).all()


@pytest.mark.parametrize("protocol", ["scripted", "hard"])
def test_no_type_is_smaller_than_legible(protocol):
    for size in SIZES:
        for form in forms("login", protocol, 1, "train", 10, size):
            assert Screen(form, size).type.size >= LEGIBLE


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", SCENARIOS)
def test_captions_fit_and_labels_are_drawn_where_they_stand(name, size):
    for form in forms(name, "hard", 6, "train", 30, size):
        screen = Screen(form, size)
        for element in form.elements:
            box = screen.place(element.box)
            if element.label is None:
                assert screen.type.getlength(element.caption) < box.x2 - box.x1
                continue
            label = screen.place(element.label)
            x1, y1, x2, y2 = screen.type.getbbox(element.caption + form.style.colon, anchor="ld")
            assert x2 <= label.x2 - label.x1 + 1 and y1 >= label.y1 - label.y2 - 2


@pytest.mark.parametrize("family", FAMILIES)
def test_every_font_has_every_sign_that_is_drawn(family):
    """A missing sign is drawn as the font's box, the same for all that are missing."""
    face = font(family, 30)
    missing = bytes(face.getmask("\ue123"))
    signs = "•*@.:'!" if family != "Aileron" else "*@.:'!"
    assert all(bytes(face.getmask(sign)) != missing for sign in signs)


@pytest.mark.parametrize("size", [PAGE_SIZE, Size(256, 192), Size(40, 33)], ids=str)
def test_files_hold_what_was_drawn(size):
    form = forms("registration", "hard", 5, "train", 1)[0]
    screen = Screen(form, size, marks=True)
    for view in views(form):
        with Image.open(io.BytesIO(screen.png(view))) as file:
            assert file.mode == "RGB" and np.array_equal(np.asarray(file), np.asarray(screen.picture(view)))


def test_files_do_not_depend_on_what_was_drawn_before():
    form = forms("registration", "hard", 5, "train", 1)[0]
    forward, backward = Screen(form, PAGE_SIZE, marks=True), Screen(form, PAGE_SIZE, marks=True)
    shown = views(form)
    files = [forward.png(view) for view in shown]
    assert files == [backward.png(view) for view in reversed(shown)][::-1]
    assert files == [Screen(form, PAGE_SIZE, marks=True).png(view) for view in shown]


def test_the_joined_checksum_is_that_of_the_whole():
    one, two = b"abc" * 9999, b"\xff" * 70_001
    assert png._join(zlib.adler32(one), zlib.adler32(two), len(two)) == zlib.adler32(one + two)


def test_another_style_is_another_picture():
    form = forms("login", "hard", 5, "train", 1)[0]
    other = replace(form, style=replace(form.style, ground=(1, 2, 3)))
    assert tuple(np.asarray(Screen(other, PAGE_SIZE).picture(blank(other)))[-1, -1]) == (1, 2, 3)
