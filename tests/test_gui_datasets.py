"""Datasets by name: checked, with absolute paths, no row lost, and no other file captured (a trap of ms-swift)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import IterableDataset
from swift.dataset import load_dataset

from data_engine.dataset import DataError, read_rows
from data_engine.geometry import Size
from data_engine.login import tasks
from data_engine.login import write as login_write
from data_engine.sight import write as sight_write
from swift_plugins import gui_datasets


@pytest.fixture
def data(small_data, tmp_path, monkeypatch) -> Path:
    """A copy of the small rows that a test may spoil, named by the environment as a recipe would."""
    folder = tmp_path / "rows"
    shutil.copytree(small_data, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    monkeypatch.setenv("GELAB_DATA", str(folder))
    monkeypatch.setenv("MAX_PIXELS", str(manifest["max_pixels"]))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return folder


def load(name: str, **options):
    return load_dataset([name], remove_unused_columns=False, **options)[0]


ROW_BY_ROW = [
    (name, source.file)
    for name, source in gui_datasets.SOURCES.items()
    if name.startswith("gelab/") and name != "gelab/sft_chat"
]


@pytest.mark.parametrize("name, file", ROW_BY_ROW)
def test_every_row_arrives_with_absolute_pictures(data, name, file):
    written = read_rows(data / file)
    loaded = load(name)
    assert [row["idx"] for row in loaded] == [row["idx"] for row in written]
    for row, origin in zip(loaded, written, strict=True):
        assert row["messages"] == origin["messages"]
        assert [image["path"] for image in row["images"]] == [str(data / image) for image in origin["images"]]


@pytest.mark.parametrize("name", ["login/rows", "login/tasks", "sight/rows"])
def test_rows_of_forms_and_screens_arrive_too(tmp_path, monkeypatch, name):
    folder = tmp_path / "rows"
    if name.startswith("login/"):
        options = tasks.Options("login", "som", "hard", episodes=2, seed=1, split="train", page_size=Size(256, 192))
        manifest = login_write.write(folder, options)
    else:
        manifest = sight_write.write(folder, "forms", 6, seed=1)
    monkeypatch.setenv(gui_datasets.SOURCES[name].variable, str(folder))
    monkeypatch.setenv("MAX_PIXELS", str(manifest["max_pixels"]))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    written = read_rows(folder / gui_datasets.SOURCES[name].file)
    loaded = load(name)
    assert [row["messages"] for row in loaded] == [row["messages"] for row in written]
    assert [row["images"][0]["path"] for row in loaded] == [str(folder / row["images"][0]) for row in written]
    monkeypatch.setenv("MAX_PIXELS", "12544")
    with pytest.raises(DataError, match="here it is 12544"):
        load(name)


@pytest.mark.parametrize("name", [name for name in gui_datasets.SOURCES if name.startswith("gelab/")])
def test_a_stream_has_the_same_rows(data, name):
    stream = load(name, streaming=True)
    assert isinstance(stream, IterableDataset)
    assert list(stream) == list(load(name))


def test_streams_of_several_names_are_joined(data):
    """As ms-swift joins them, which takes streams alone: --dataset gelab/sft gelab/sft_chat --streaming true."""
    stream, _ = load_dataset(["gelab/sft", "gelab/sft_chat"], streaming=True)
    assert len(list(stream)) == len(read_rows(data / "sft.jsonl")) + 11 * 10


def test_chats_are_the_path_rows_of_a_task_in_order(data):
    rows = [row for row in read_rows(data / "sft.jsonl") if row["path"] and not row["source"].endswith("_edge")]
    chats = load("gelab/sft_chat")
    assert [m for chat in chats for m in chat["messages"]] == [m for row in rows for m in row["messages"]]
    shown = [image["path"] for chat in chats for image in chat["images"]]
    assert shown == [str(data / image) for row in rows for image in row["images"]]
    assert len(chats) == 11 * 10  # ordered pairs of page_0 and the 5 + 5 pages of subtrees 1 and 2
    assert all(len(chat["messages"]) == 2 * len(chat["images"]) == 2 * chat["turns"] for chat in chats)


def test_a_chat_with_a_hole_is_refused(data, monkeypatch):
    monkeypatch.setattr(gui_datasets, "verified_path", lambda folder, name, *_: folder / name)
    lines = (data / "sft.jsonl").read_text().splitlines(keepends=True)
    (data / "sft.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(DataError, match=f"{json.loads(lines[0])['task']} has 1 rows, not 2"):
        load("gelab/sft_chat")


def test_the_world_of_an_episode_is_absolute(data):
    assert {row["env_config"]["world"] for row in load("gelab/mt_rl")} == {str(data / "world")}


def test_another_file_of_the_same_name_is_not_captured(data, tmp_path):
    other = tmp_path / "elsewhere" / "sft.jsonl"
    other.parent.mkdir()
    other.write_text(json.dumps({"messages": [{"role": "user", "content": "q"}], "images": ["a.png"]}) + "\n")
    (row,) = load(str(other))
    assert row["images"][0]["path"] == "a.png"


def test_without_a_folder(data, monkeypatch):
    monkeypatch.delenv("GELAB_DATA")
    with pytest.raises(DataError, match="^dataset gelab/sft: GELAB_DATA is not set: export GELAB_DATA=FOLDER"):
        load("gelab/sft")


@pytest.mark.parametrize("value", [None, "1"])
def test_another_max_pixels(data, monkeypatch, value):
    monkeypatch.delenv("MAX_PIXELS")
    if value:
        monkeypatch.setenv("MAX_PIXELS", value)
    with pytest.raises(DataError, match=f"MAX_PIXELS=12544, here it is {value or 'unset'}: export MAX_PIXELS=12544"):
        load("gelab/sft")


def test_another_prompt_builder(data):
    manifest = json.loads((data / "manifest.json").read_text())
    (data / "manifest.json").write_text(json.dumps(manifest | {"prompt_sha256": "other"}))
    with pytest.raises(DataError, match="another prompt builder"):
        load("gelab/sft")


def test_an_edited_file(data):
    path = data / "sft.jsonl"
    path.write_text(path.read_text().replace("page_1", "page_2", 1))
    with pytest.raises(DataError, match="was changed"):
        load("gelab/sft", strict=False)


def test_a_changed_picture_even_when_ms_swift_has_cached_the_rows(data):
    load("gelab/sft")
    with open(data / "world" / "pages" / "page_0.png", "ab") as picture:
        picture.write(b"x")
    with pytest.raises(DataError, match="page_0.png: was changed"):
        load("gelab/sft", load_from_cache_file=True, strict=False)


def test_a_missing_picture(data):
    (data / "world" / "pages" / "page_0.png").unlink()
    with pytest.raises(DataError, match="page_0.png: not part of this folder"):
        load("gelab/sft", strict=False)


def test_import_asks_for_nothing():
    code = "import swift_plugins.register, swift_plugins.register; from swift.dataset import DATASET_MAPPING as m;"
    code += "print(sorted(n for n in m if str(n).startswith(('gelab/', 'worlds/', 'login/', 'sight/'))))"
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": "", "HOME": "/"}, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == str(sorted(gui_datasets.SOURCES)), done.stderr
