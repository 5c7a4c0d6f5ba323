"""The curriculum and the probe: what is asked is there, gold answers are right, and no benchmark's draw is used."""

import json
import sys

import numpy as np
import pytest

from data_engine import seeds
from data_engine.dataset import read_manifest, read_rows
from data_engine.gelab import build
from data_engine.gelab import write as gelab_write
from data_engine.geometry import Box, Size
from data_engine.login import actions
from data_engine.login.tasks import forms
from data_engine.seeds import rng
from data_engine.sight import curriculum, form_screens, probe, questions, screens, words, write

PAGE = screens.PAGE
KINDS = sorted({kind for stage in curriculum.STAGES.values() for kind in stage.kinds}, key=lambda kind: kind.__name__)


def drawn(kind, count: int):
    return [kind(rng(0, "test", kind.__name__, i), PAGE) for i in range(count)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_things_are_where_their_boxes_say(kind):
    for screen in drawn(kind, 20):
        assert screen.things
        pixels = np.asarray(screen.picture).astype(int)
        for thing in screen.things:
            assert thing.box.inside(screen.canvas), thing
            x1, y1, x2, y2 = thing.box.scaled(screen.canvas, Size(*screen.picture.size))
            inside = pixels[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1].reshape(-1, 3)
            assert np.ptp(inside, axis=0).max() > 60, thing  # something is drawn there
        assert not any(a.box.overlaps(b.box) for a in screen.things for b in screen.things if a is not b)


@pytest.mark.parametrize("kind", [screens.one, screens.shapes], ids=lambda kind: kind.__name__)
def test_nothing_is_drawn_outside_of_the_boxes(kind):
    for screen in drawn(kind, 20):
        pixels = np.asarray(screen.picture).copy()
        for box in [thing.box for thing in screen.things] + [screens.TITLE_BOX]:
            x1, y1, x2, y2 = box.scaled(screen.canvas, PAGE)
            pixels[y1 : y2 + 1, x1 : x2 + 1] = 255
        assert (pixels == 255).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_picture_is_resized_on_its_way_to_the_model(kind):
    """Sides are multiples of a merged patch, and the area is within what processors leave alone: else it is blurred."""
    for screen in drawn(kind, 5):
        wide, high = screen.picture.size
        assert wide % 32 == high % 32 == 0
        assert 56 * 56 <= wide * high <= PAGE.width * PAGE.height


def test_how_many_things_the_first_stages_show():
    assert {len(screen.things) for screen in drawn(screens.one, 30)} == {1}

    assert {len(screen.things) for screen in drawn(screens.shapes, 60)} >= {1, 2, 3, 4, 5}  # of up to six


def test_words_letters_and_numbers_are_all_written_and_no_word_is_an_icon():
    written = [thing.name for screen in drawn(screens.text, 150) for thing in screen.things if thing.written]
    kinds = {"word": 0, "letters": 0, "number": 0}
    for text in written:
        kinds["number" if text.isdecimal() else "word" if text in words.words() else "letters"] += 1
    assert min(kinds.values()) > 30
    assert not set(words.words()) & set(screens.icon_names())
    assert {len(text) for text in written if not text.isdecimal()} == set(words.LENGTHS)


def test_plain_words_are_whole_and_begin_on_the_grid():
    """Each fits on its page or cutting, and on no page stands one twice."""
    for screen in drawn(screens.plain_words, 60) + drawn(screens.crop_word, 60):
        names = [thing.name for thing in screen.things]
        assert len(set(names)) == len(names) and set(names) <= set(words.words())
        pixels = np.argwhere(np.asarray(screen.picture).min(axis=2) < 128)
        for thing in screen.things:
            x1, y1, x2, y2 = thing.box.scaled(screen.canvas, Size(*screen.picture.size))
            assert x1 % screens.STEP == y1 % screens.STEP == 0
            ys, xs = pixels[(pixels[:, 0] >= y1) & (pixels[:, 0] < y2)].T
            assert xs.size and x1 <= xs.min() and xs.max() < x2 <= screen.picture.width
    assert {len(screen.things) for screen in drawn(screens.plain_words, 60)} == set(range(2, 7))


def test_each_thing_is_asked_for_at_most_once_and_the_picture_belongs_to_the_first_question():
    for i, screen in enumerate(drawn(screens.free, 30)):
        asked = questions.ask(screen, rng(0, "ask", i), naming=0.5)
        messages = questions.conversation("S", asked)
        assert [message["role"] for message in messages] == ["system"] + ["user", "assistant"] * len(asked)
        assert [message["content"].count("<image>") for message in messages] == [0, 1] + [0] * (2 * len(asked) - 1)
        assert len(asked) == min(6, len(screen.things))


def test_a_question_and_its_answer_by_hand():
    thing = screens.Thing("beer mug", Box(344, 798, 544, 998))  # centre (444, 898) on 1179 x 2556
    screen = screens.Screen(None, screens.CANVAS, (thing,), page="page_7")
    asked = questions.point(screen, thing)
    assert asked.prompt == "<image>Click on beer mug icon in the image."
    assert asked.answer == (
        "Explain:click beer mug icon on page_7.\tAction: click(start_box='<|box_start|>(377,351)<|box_end|>')"
    )
    field = screens.Thing("Username", Box(200, 180, 560, 240), mark=3)  # centre (380, 210) on 800 x 600
    said = {
        "coord": "Thought: Username\nAction: CLICK(x=0.47, y=0.35)",
        "som": "Thought: Username at x=0.25, y=0.35\nAction: CLICK([3])",  # the middle of its left edge: (200, 210)
    }
    for mode, answer in said.items():
        form = screens.Screen(None, Size(800, 600), (field,), mode=mode)
        assert questions.point(form, field).prompt == "<image>Goal: Click on Username\nWhat is the next action?"
        assert questions.point(form, field).answer == answer
    asked = questions.name(form, field, rng(0))
    assert (asked.prompt, asked.answer) == ("<image>Which number stands left of x=0.25, y=0.35?", "3")


def test_a_form_is_also_asked_for_the_next_action_its_state_and_typing_where_the_cursor_is():
    counts = {"Click": 0, "Pick": 0, "Type": 0}
    for i, screen in enumerate(drawn(form_screens.form, 30) + drawn(form_screens.marks, 30)):
        form, view = screen.form, screen.view
        asked = {question.prompt: question.answer for question in questions.steps(screen, rng(0, "steps", i))}
        focused = None if view.focus is None else form.element(view.focus).caption
        assert asked.pop("<image>Which field has the cursor?") == (focused or "none")
        for field, text in zip(form.fields, view.texts, strict=True):
            assert asked.pop(f"<image>Does {field.caption} hold text?") == ("yes" if text else "no")
        action = actions.parse(asked.pop(f"<image>Goal: {form.goal}\nWhat is the next action?")).action
        counts[type(action).__name__] += 1
        first = next((field.name for field, text in zip(form.fields, view.texts, strict=True) if not text), None)
        assert isinstance(action, actions.Type) == (first is not None and view.focus == first)
        assert len(asked) == (focused is not None)
        for prompt, answer in asked.items():
            action = actions.parse(answer).action
            assert prompt == f"<image>Goal: Type {action.text} into {focused}\nWhat is the next action?"
            assert (action.mark is None) == (screen.mode == "coord")
        extra = 2 + len(form.fields) + (focused is not None)
        assert len(questions.ask(screen, rng(0, "ask", i), naming=0.5)) == min(6, len(screen.things)) + extra
        what = questions.name(screen, screen.things[0], rng(0, "name", i))
        shown = "Which number stands left of x=" if screen.mode == "som" else "What does CLICK(x="
        gold = str(screen.things[0].mark) if screen.mode == "som" else screen.things[0].name
        assert what.prompt.startswith(f"<image>{shown}") and what.answer == gold
    assert min(counts.values()) > 5


@pytest.mark.parametrize("name", probe.SETS)
def test_gold_answers_are_right_and_others_are_not(name):
    rows = list(probe.rows(name, 5, 12, PAGE))
    gold = [row_of(question, screen) for question, screen, _ in rows]
    assert all(probe.right(row, row["gold"]) for row in gold)
    assert not any(probe.right(row, "") or probe.right(row, "Action: complete") for row in gold)
    others = [(a, b["gold"]) for a in gold for b in gold if a["gold"] != b["gold"]]
    assert sum(probe.right(a, text) for a, text in others) < 0.3 * len(others)  # some boxes hold another's point
    assert all(0 < chance <= 0.5 for _, _, chance in rows)


def row_of(question, screen) -> dict:
    box = list(question.box or ())
    return {"gold": question.answer, "bbox": box, "canvas": list(screen.canvas), "mode": screen.mode}


def test_an_element_far_away_is_no_hit():
    row = {"gold": "", "bbox": [100, 100, 200, 200], "canvas": [1000, 1000], "mode": ""}
    click = "Explain:click x icon on page_1.\tAction: click(start_box='<|box_start|>({},{})<|box_end|>')"
    hits = {(100, 100): True, (200, 200): True, (99, 150): False, (150, 201): False}
    assert {at: probe.right(row, click.format(*at)) for at in hits} == hits
    row |= {"mode": "coord"}
    answers = {"CLICK(x=0.15, y=0.10)": True, "CLICK(x=0.21, y=0.15)": False, "CLICK([1])": False, "DONE()": False}
    assert {text: probe.right(row, f"Thought: t\nAction: {text}") for text in answers} == answers


def test_equal_arguments_equal_bytes_and_longer_runs_begin_alike(tmp_path):
    for folder, count in (("a", 12), ("b", 12), ("c", 20)):
        write.write(tmp_path / folder, "pages", count, seed=3)
    files = {name: read_manifest(tmp_path / name, write.KIND)["files"] for name in "abc"}
    assert files["a"] == files["b"]
    assert files["a"].items() - files["c"].items() == {("rows.jsonl", files["a"]["rows.jsonl"])}
    assert read_rows(tmp_path / "c/rows.jsonl", 12) == read_rows(tmp_path / "a/rows.jsonl")
    other = write.write(tmp_path / "d", "pages", 12, seed=4)["files"]
    assert not set(other.values()) & set(files["a"].values())


def test_marks_of_shapes_are_distinct():
    for screen in drawn(form_screens.numbered, 60):
        marks = [thing.mark for thing in screen.things]
        assert len(set(marks)) == len(marks) <= 5 and set(marks) <= set(range(1, 10))


def test_screens_of_one_kind_come_in_a_row_and_the_shares_hold():
    stage = curriculum.Stage({screens.tile: 0.5, screens.crop_sign: 0.5}, naming=0.5, alike=4)
    sizes = [screen.picture.size for _, screen in curriculum.rows(stage, 0, "x", 200, PAGE)]
    blocks = [set(sizes[i : i + 4]) for i in range(0, 200, 4)]
    assert all(len(block) == 1 for block in blocks)
    assert 15 < sum(block == {screens.TILE} for block in blocks) < 35


def test_bad_arguments_are_one_line(tmp_path, capsys):
    for arguments, message in (
        (["--stage", "dim"], "--stage dim: unknown; known are start, one"),
        (["--stage", "start", "--page-size", "100x100"], "multiples of 28 or 32"),
        (["--stage", "start", "--page-size", "big"], "WIDTHxHEIGHT"),
    ):
        with pytest.raises(SystemExit, match="2"):
            sys.exit(write.main([str(tmp_path / "out"), "--rows", "2", *arguments]))
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_no_draw_of_a_benchmark_is_used(tmp_path, monkeypatch):
    """Equal seeds on both sides: the streams differ in their names, so no world, row or form can be the same draw."""
    keys: dict[str, set[bytes]] = {"benchmarks": set(), "sight": set()}
    side = "benchmarks"

    class Recorder:
        @staticmethod
        def sha256(key: bytes):
            keys[side].add(key)
            return hashlib.sha256(key)

    hashlib = seeds.hashlib
    monkeypatch.setattr(seeds, "hashlib", Recorder)
    assert build.main([str(tmp_path / "world"), "--tree", "5", "2", "1", "--page-size", "112x112"]) == 0
    gelab_write.write(tmp_path / "world", tmp_path / "rows")
    for split in ("train", "eval"):
        for scenario in form_screens.SCENARIOS:
            forms(scenario, "hard", 0, split, 3)
    side = "sight"
    for name, stage in curriculum.STAGES.items():
        list(curriculum.rows(stage, 0, name, 5, PAGE))
    for name in probe.SETS:
        list(probe.rows(name, 0, 5, PAGE))
    assert len(keys["benchmarks"]) > 20 and len(keys["sight"]) > 50
    assert keys["benchmarks"].isdisjoint(keys["sight"])
    trained = {key for key in keys["sight"] if b"sight" in key}
    assert trained and trained.isdisjoint(keys["sight"] - trained)  # nor is the probe drawn from what trains


def test_rows_are_plain_swift_rows(tmp_path):
    write.write(tmp_path / "out", "forms", 4, seed=0)
    for row in read_rows(tmp_path / "out/rows.jsonl"):
        assert set(row) == {"messages", "images"}
        assert (tmp_path / "out" / row["images"][0]).is_file()
        assert json.dumps(row["messages"]).count("<image>") == 1
