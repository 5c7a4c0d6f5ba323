"""A world on disk: its fingerprint, what loading refuses, and what building leaves behind."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_engine.dataset import DataError, read_json
from data_engine.gelab import build as build_module
from data_engine.gelab.build import build
from data_engine.gelab.graph import WorldError
from data_engine.gelab.world import World, fingerprint, hash_pixels, read_pixels
from data_engine.geometry import Size

SMALL = {"tree": (3, 1), "seed": 2, "page_size": Size(56, 56)}


@pytest.fixture
def copy_of(small_world, tmp_path) -> Path:
    """A copy of the small world, to damage."""
    return Path(shutil.copytree(small_world, tmp_path / "copy"))


def test_a_world_loads_as_it_was_made(world):
    assert len(world.graph.pages) == 26 and world.page_size == (112, 112)
    pixels = world.screenshot("page_3")
    assert pixels.shape == (112, 112, 3) and pixels.dtype == np.uint8
    assert world.screenshot("page_3") is pixels  # read once
    with pytest.raises(ValueError):
        pixels[0, 0, 0] = 1


def test_the_fingerprint_is_of_graph_layout_and_pixels(small_world):
    manifest, structure = read_json(small_world / "manifest.json"), read_json(small_world / "ui_structure.json")
    hashes = {page: hash_pixels(read_pixels(small_world / "pages" / f"{page}.png")) for page in structure["pages"]}
    before_size = Size(112, 112)
    before = fingerprint(structure, before_size, hashes)
    assert before == manifest["fingerprint"]

    def differs(size=before_size, hashes=hashes, **damage) -> bool:
        changed = copy.deepcopy(structure)
        for page, name in damage.items():
            changed["pages"][page]["layout"][name]["bbox"][0] += 1
        return fingerprint(changed, size, hashes) != before

    assert not differs()
    assert differs(page_1="back")
    assert differs(size=Size(112, 140))
    pixels = read_pixels(small_world / "pages" / "page_7.png")
    pixels[50, 60, 1] ^= 1
    assert differs(hashes=hashes | {"page_7": hash_pixels(pixels)})
    relabelled = copy.deepcopy(structure)
    relabelled["pages"]["page_0"]["transitions"][0]["target_page"] = "page_2"
    assert fingerprint(relabelled, Size(112, 112), hashes) != before


def test_the_fingerprint_does_not_depend_on_what_says_nothing(small_world):
    structure = read_json(small_world / "ui_structure.json")
    hashes = {page: "0" for page in structure["pages"]}
    other = structure | {"metadata": {"note": "mine"}}
    back = dict(reversed(hashes.items()))
    assert fingerprint(structure, Size(1, 1), hashes) == fingerprint(other, Size(1, 1), back)


def test_seeds_sizes_and_trees_have_their_own_fingerprint(tmp_path):
    def made(name: str, **changes) -> str:
        return build(tmp_path / name, **SMALL | changes)["fingerprint"]

    prints = [made("a"), made("b", seed=3), made("c", page_size=Size(56, 84)), made("d", tree=(3, 2))]
    assert len(set(prints)) == 4
    assert made("e") == prints[0]


def test_an_edited_structure_is_refused(copy_of):
    file = copy_of / "ui_structure.json"
    file.write_text(file.read_text().replace('"depth": 1', '"depth": 2', 1))
    with pytest.raises(DataError, match="ui_structure.json: was changed after the world was built; build it again"):
        World(copy_of)


def test_a_missing_structure_is_refused(copy_of):
    (copy_of / "ui_structure.json").unlink()
    with pytest.raises(DataError, match="ui_structure.json"):
        World(copy_of)


def test_an_edited_page_is_refused(copy_of):
    page = copy_of / "pages" / "page_4.png"
    with Image.open(page) as image:
        image.putpixel((5, 5), (1, 2, 3))
        image.save(page)
    with pytest.raises(DataError, match="page_4.png: missing or changed"):
        World(copy_of).screenshot("page_4")


def test_a_missing_page_is_refused(copy_of):
    (copy_of / "pages" / "page_4.png").unlink()
    with pytest.raises(DataError, match="page_4.png: missing or changed"):
        World(copy_of).screenshot("page_4")


@pytest.mark.parametrize("manifest", [None, "{", '{"kind": "gelab-rows"}'])
def test_a_folder_that_is_no_world_is_refused(copy_of, manifest):
    (copy_of / "manifest.json").unlink()
    if manifest is not None:
        (copy_of / "manifest.json").write_text(manifest)
    with pytest.raises(DataError, match="copy"):
        World(copy_of)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no manifest.json; this is not a finished gelab-world folder"):
        World(tmp_path / "nothing")


# ---- building


def test_building_again_does_nothing(tmp_path, monkeypatch):
    first = build(tmp_path / "w", **SMALL)
    monkeypatch.setattr(build_module, "_draw", None)  # drawing would fail
    assert build(tmp_path / "w", **SMALL) == first


def test_other_arguments_are_refused(tmp_path):
    build(tmp_path / "w", **SMALL)
    for changes in ({"seed": 3}, {"tree": (3, 2)}, {"page_size": Size(84, 84)}):
        with pytest.raises(
            DataError,
            match=r"w: was made with other arguments \((seed|tree|page_size)\); choose another folder or remove it",
        ):
            build(tmp_path / "w", **SMALL | changes)


def test_workers_are_no_such_argument(tmp_path):
    first = build(tmp_path / "w", **SMALL)
    assert build(tmp_path / "w", **SMALL, workers=2) == first


def test_a_folder_with_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="no manifest.json"):
        build(tmp_path / "w", **SMALL)
    assert [p.name for p in (tmp_path / "w").iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_free(tmp_path):
    (tmp_path / "w").mkdir()
    assert build(tmp_path / "w", **SMALL)["kind"] == "gelab-world"


def test_a_build_that_dies_leaves_nothing_and_the_next_one_works(tmp_path, monkeypatch):
    drawn = build_module._draw_some

    def die(renderer, folder, pages):
        drawn(renderer, folder, pages[:3])
        raise KeyboardInterrupt

    monkeypatch.setattr(build_module, "_draw_some", die)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "w", **SMALL)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert World(Path(tmp_path / "w") if build(tmp_path / "w", **SMALL) else "").graph.pages


def test_what_a_killed_build_left_is_swept_away(tmp_path):
    (tmp_path / "w.part-0123456789ab" / "pages").mkdir(parents=True)
    (tmp_path / "w.part-0123456789ab" / "pages" / "page_999.png").write_text("half")
    (tmp_path / ".w.lock").write_text("w.part-0123456789ab")
    manifest = build(tmp_path / "w", **SMALL)
    assert "pages/page_999.png" not in manifest["files"] and [p.name for p in tmp_path.iterdir()] == ["w"]


@pytest.fixture(scope="module")
def authors_like(small_world) -> dict:
    """A structure with names of its own, as the authors' file has them."""
    text = (small_world / "ui_structure.json").read_text()
    structure = json.loads(text)
    names = [n for page in structure["pages"].values() for n in page["layout"] if n not in ("back", "home")]
    for i, name in enumerate(sorted(names, key=len, reverse=True)):
        text = text.replace(f'"{name}"', f'"Animals_{i}"')
    return json.loads(text) | {"metadata": {"total_pages": 26, "config_file": "config.json"}}


def test_an_imported_structure_keeps_its_text(authors_like, tmp_path):
    text = json.dumps(authors_like, indent=2, ensure_ascii=False)
    (tmp_path / "s.json").write_text(text)
    build(tmp_path / "w", structure_file=tmp_path / "s.json", page_size=Size(56, 56))
    assert (tmp_path / "w" / "ui_structure.json").read_text() == text
    assert "Animals_3" in World(tmp_path / "w").graph.places


@pytest.mark.parametrize(
    "args, words",
    [
        (["--tree", "0"], "--tree 0: give at least one level"),
        (["--tree", "40"], "40 icons on a page"),
        (["--tree", "20", "20"], "--tree needs 420 icons"),
        (["--icons", "nowhere"], "--icons nowhere: no CATEGORY/PNG/*.png below it"),
        (["--from-structure", "nowhere.json"], "nowhere.json: no such file"),
    ],
)
def test_wrong_arguments_are_one_line(cli, tmp_path, args, words):
    done = cli("data_engine.gelab.build", "w", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("build: ") and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_bad_page_size_says_the_fix(cli, tmp_path):
    done = cli("data_engine.gelab.build", "w", "--page-size", "448", cwd=tmp_path)
    assert done.returncode == 2 and "WIDTHxHEIGHT" in done.stderr.splitlines()[-1]


def test_more_names_than_pictures(tmp_path, authors_like):
    pages = copy.deepcopy(authors_like["pages"])
    with pytest.raises(WorldError, match="no picture named 'Animals_"):
        (tmp_path / "icons" / "Animals" / "PNG").mkdir(parents=True)
        Image.new("RGBA", (8, 8)).save(tmp_path / "icons" / "Animals" / "PNG" / "other.png")
        (tmp_path / "s.json").write_text(json.dumps({"pages": pages, "metadata": {}}))
        build(tmp_path / "w", structure_file=tmp_path / "s.json", icons=tmp_path / "icons")
