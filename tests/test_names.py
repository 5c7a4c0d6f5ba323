"""Names where they enter a world: what passes can be said and read back; the rest is one line, at every door."""

import copy
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_engine.gelab import prompts
from data_engine.gelab.actions import HIT, MISS, Click, format_click, parse
from data_engine.gelab.build import build
from data_engine.gelab.graph import WorldError
from data_engine.gelab.icons import IconSet, synonyms
from data_engine.gelab.layout import generate
from data_engine.gelab.names import check_icon_name, check_page_id, icon_fault
from data_engine.gelab.structure import from_structure, to_structure
from data_engine.gelab.vary import vary
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World
from data_engine.gelab.write import Options, write
from data_engine.geometry import Size

# Icon name -> why it is refused
REFUSED = {
    "<image>": "a token of chats",
    "a <video> b": "a token of chats",
    "<|box_end|>": "a token of chats",
    "<|im_": "a token of chats",
    "</think>": "a token of chats",
    '<img src="x">': "a token of chats",
    "tab\tname": "a control character",
    "line\nname": "a control character",
    "line\u2028name": "a control character",
    "next\x85line": "a control character",
    "nul\x00": "a control character",
    "half \ud83d": "a control character",
    "\ufeffmark": "a control character",
    "turn\u202eed": "a control character",
    "Action: complete": "does not read back",
    "step2: click egg": "does not read back",
    " egg": "does not read back",
    "egg ": "does not read back",
    "egg.": "does not read back",
    "": "does not read back",
    "back": "is that of a button",
    "home": "is that of a button",
}
ACCEPTED = ["egg", "E-commerce_12", "Human_body_146", "a.b", "50%", "R&D", "5 < 6", "Яйцо", "卵 2", "icon on", "é"]
ACCEPTED += ["\U0001f469\u200d\U0001f680"]  # an astronaut: two emoji and what joins them
unicode_names = st.text(min_size=1, max_size=20) | st.text("<>|:. \tabims123stepAction", min_size=1, max_size=20)


@pytest.mark.parametrize("name, reason", REFUSED.items(), ids=map(ascii, REFUSED))
def test_names_that_nothing_can_carry(name, reason):
    with pytest.raises(WorldError, match="^here: icon name .*; rename it$") as error:
        check_icon_name(name, "here")
    assert reason in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ACCEPTED)
def test_names_of_any_script_pass(name):
    assert check_icon_name(name, "here") == name


@settings(max_examples=1000)
@given(unicode_names)
def test_a_name_is_refused_or_reads_back_everywhere(name):
    if icon_fault(name):
        return
    answer = parse(format_click(name, "page_3", 12, 999))
    assert (answer.icon, answer.page, answer.action) == (name, "page_3", Click(12, 999)) and answer.well_formed
    question = prompts.navigation(
        "page_0", "page_9", [prompts.entry(HIT, "page_0", name), prompts.entry(MISS, "page_3")]
    )
    past = re.findall(r"(?:: | )step(\d+): (.+?)(?= step\d+: |$)", question)
    assert past == [("1", f"click {name} icon on page_0."), ("2", "click missed on page_3.")]
    assert question.count("<image>") == 1 and "<|" not in question
    assert len(name.encode().decode().splitlines()) == 1


@given(st.from_regex(r"[A-Za-z0-9_]{1,100}", fullmatch=True))
def test_a_page_id_reads_back(page):
    assert check_page_id(page, "here") == page
    answer = parse(format_click("egg", page, 1, 2))
    assert (answer.icon, answer.page, answer.well_formed) == ("egg", page, True)


@pytest.mark.parametrize(
    "page",
    ["../../../pics/x", "a/b", "a\\b", ".", "page 1", "page_1\n", "<img src=x>", "página", "page_1+1", "", "a" * 101],
)
def test_page_ids_that_are_no_plain_words(page):
    with pytest.raises(WorldError, match="^here: page id .* is not made of A-Z, a-z, 0-9 and _") as error:
        check_page_id(page, "here")
    assert len(str(error.value).splitlines()) == 1


def test_every_built_in_name_passes():
    names = [icon.name for icon in IconSet().icons]
    assert len(names) == 329 and not any(map(icon_fault, [*names, *synonyms().values()]))


@pytest.mark.reference
def test_every_name_of_the_authors_passes(reference):
    pages = json.loads((reference / "ui_structure.json").read_text())["pages"]
    names = {name for page in pages.values() for name in page["layout"]} - {"back", "home"}
    assert len(names) == 230 and not any(map(icon_fault, names))


# ---- the doors


@pytest.fixture(scope="module")
def pages() -> dict:
    """page_0 leads to page_1 and page_2 by icons named a and b."""
    return to_structure(generate((2,), 0, ["a", "b"]), {})["pages"]


def with_name(pages: dict, name: str) -> dict:
    """The structure with the first icon of page_0 under another name."""
    changed = copy.deepcopy(pages)
    page = changed["page_0"]
    old = page["transitions"][0]["action"]
    page["layout"] = {name if icon == old else icon: place for icon, place in page["layout"].items()}
    page["transitions"][0]["action"] = name
    return {"pages": changed}


def with_id(pages: dict, page: str) -> dict:
    """The structure with page_1 under another id."""
    changed = {page if name == "page_1" else name: record for name, record in copy.deepcopy(pages).items()}
    changed["page_0"]["transitions"][0]["target_page"] = page
    return {"pages": changed}


def door_structure(tmp_path, pages, name):
    (tmp_path / "s.json").write_text(json.dumps(with_name(pages, name)))
    build(tmp_path / "out", structure_file=tmp_path / "s.json", page_size=Size(112, 112))


def door_folder(tmp_path, pages, name):
    folder = tmp_path / "icons" / "Food" / "PNG"
    folder.mkdir(parents=True)
    Image.new("RGBA", (8, 8), "red").save(folder / f"{name}.png")
    build(tmp_path / "out", tree=(1,), icons=tmp_path / "icons", page_size=Size(112, 112))


def door_table(tmp_path, pages, name):
    build(tmp_path / "base", tree=(1,), page_size=Size(112, 112))
    old = next(iter(World(tmp_path / "base").manifest["icons"]))
    (tmp_path / "names.tsv").write_text(f"{old}\t{name}\n")
    vary(tmp_path / "base", tmp_path / "out", "name", names=tmp_path / "names.tsv")


@pytest.mark.parametrize("door", [door_structure, door_folder, door_table])
@pytest.mark.parametrize("name", ["<image>", "<|box_end|>", "x Action: complete", "egg ", "bell\x07", "x step2: y"])
def test_every_door_refuses_them(tmp_path, pages, door, name):
    with pytest.raises(WorldError, match="icon name .*; rename it") as error:
        door(tmp_path, pages, name)
    assert len(str(error.value).splitlines()) == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("door", [door_structure, door_folder, door_table])
@pytest.mark.parametrize("name", ["Яйцо 2", "R&D (5 < 6)", "x icon on y"])
def test_what_a_door_lets_in_scores_one_and_is_proven(tmp_path, pages, door, name):
    door(tmp_path, pages, name)
    assert any(name in known for known in World(tmp_path / "out").graph.places)
    write(tmp_path / "out", tmp_path / "rows", Options(0, "union", "uniform", (1,), 1, 1, 1))
    assert verify(tmp_path / "rows").faults == []


def test_no_table_makes_a_button(tmp_path, pages):
    with pytest.raises(WorldError, match="icon name 'back' is that of a button; rename it"):
        door_table(tmp_path, pages, "back")


@pytest.mark.parametrize("page", ["../../../pics/x", "<img src=x>", "a b", "x\ny"])
def test_a_structure_writes_nowhere_else(tmp_path, pages, page):
    (tmp_path / "s.json").write_text(json.dumps(with_id(pages, page)))
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "x.png").write_text("mine")
    with pytest.raises(WorldError, match="s.json: page id ") as error:
        build(tmp_path / "a" / "b" / "out", structure_file=tmp_path / "s.json", page_size=Size(112, 112))
    assert len(str(error.value).splitlines()) == 1
    assert (tmp_path / "pics" / "x.png").read_text() == "mine" and not (tmp_path / "a").exists()


def test_a_target_is_an_id_too(pages):
    changed = copy.deepcopy(pages)
    changed["page_1"]["transitions"][0]["target_page"] = "../x"
    with pytest.raises(WorldError, match="page_1: page id '../x' is not made of"):
        from_structure({"pages": changed}, "s.json")


def test_ids_are_not_told_apart_by_case_alone(pages):
    changed = with_id(pages, "PAGE_2")
    with pytest.raises(WorldError, match="pages PAGE_2 and page_2 differ in nothing but large letters; rename one"):
        from_structure(changed, "s.json")


def test_a_world_with_other_ids_is_proven_but_its_subtrees_go_by_number(tmp_path, pages):
    (tmp_path / "s.json").write_text(json.dumps(with_id(pages, "settings")))
    build(tmp_path / "w", structure_file=tmp_path / "s.json", page_size=Size(112, 112))
    assert verify(tmp_path / "w").faults == []
    with pytest.raises(WorldError, match="--sft-subtrees 1: no subtree 1: page_0 leads to settings, page_2"):
        write(tmp_path / "w", tmp_path / "rows", Options(0, "union", "uniform", (1,), 2, 2, 2))
    with pytest.raises(WorldError, match="settings: is the root of a subtree, which goes by number; rename it"):
        write(tmp_path / "w", tmp_path / "rows", Options(0, "union", "uniform", (2,), 2, 2, 2))
    assert not (tmp_path / "rows").exists()


# ---- pictures of icons


def icon_folder(tmp_path, *names: str):
    (tmp_path / "icons" / "Food" / "PNG").mkdir(parents=True)
    return [tmp_path / "icons" / "Food" / "PNG" / name for name in names]


def test_16_bits_keep_their_grey(tmp_path):
    (file,) = icon_folder(tmp_path, "egg.png")
    deep = np.full((8, 8), 0x8040, np.uint16)
    deep[:, 4:] = 0x20FF
    Image.fromarray(deep).save(file)
    picture = np.asarray(IconSet(tmp_path / "icons").picture("Food/PNG/egg.png"))
    assert picture[100, 20].tolist() == [0x80, 0x80, 0x80, 255] and picture[100, 180].tolist() == [
        0x20,
        0x20,
        0x20,
        255,
    ]


def test_icons_of_one_colour_are_there_unless_it_is_the_grounds(tmp_path):
    red, green, white = icon_folder(tmp_path, "a.png", "b.png", "c.png")
    for file, colour in ((red, "red"), (green, "green"), (white, "white")):
        Image.new("RGB", (8, 8), colour).save(file)
    build(tmp_path / "w", tree=(3,), icons=tmp_path / "icons", page_size=Size(112, 112))
    assert [(fault.kind, fault.what) for fault in verify(tmp_path / "w").faults] == [
        ("empty box", "nothing is drawn where 'Food_c' stands")
    ]


def test_large_letters_of_files_and_folders(tmp_path):
    files = icon_folder(tmp_path, "a.PNG", "b.Png")
    (tmp_path / "icons" / "Food" / "png").mkdir(exist_ok=True)
    for file in (*files, tmp_path / "icons" / "Food" / "png" / "c.png"):
        Image.new("RGB", (8, 8), "red").save(file, "png")
    assert [icon.name for icon in IconSet(tmp_path / "icons").icons] == ["Food_a", "Food_b", "Food_c"]
