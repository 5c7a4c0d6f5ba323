"""What earlier versions wrote or took, and this one does not: one line says so, wherever a user meets it."""

import json
import shutil

import pytest

from data_engine.dataset import DataError
from data_engine.gelab.build_many import build_many
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World
from data_engine.gelab.write import write
from data_engine.gelab.write_many import Options, write_many
from data_engine.geometry import Size

SAID = "manifest.json: was made with scroll worlds, which are no longer supported; make the folder again"
SCROLLS = {"arguments": {"scroll": 1}}
SPACE = {"action_space": "click_scroll"}


def changed(source, folder, change):
    """A copy of a folder, its manifest as a scroll world's."""
    shutil.copytree(source, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["arguments"] |= change.get("arguments", {})
    manifest |= {name: value for name, value in change.items() if name != "arguments"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def scrolled(small_world, tmp_path):
    return changed(small_world, tmp_path / "scrolled", SCROLLS)


def test_a_world_that_scrolls_is_read_no_more(scrolled, tmp_path):
    for read in World, verify, lambda folder: write(folder, tmp_path / "rows"):
        with pytest.raises(DataError, match=SAID) as error:
            read(scrolled)
        assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "rows").exists()


def test_worlds_that_scroll_are_read_no_more(tmp_path):
    build_many(tmp_path / "worlds", 2, options={"tree": (2,), "page_size": Size(112, 112)})
    scrolled = changed(tmp_path / "worlds", tmp_path / "scrolled", SCROLLS)
    for read in verify, lambda folder: write_many(folder, tmp_path / "rows", Options(1, 1)):
        with pytest.raises(DataError, match=SAID):
            read(scrolled)


def test_their_rows_are_read_no_more(small_data, cli, tmp_path):
    data = changed(small_data, tmp_path / "data", SPACE)
    with pytest.raises(DataError, match=SAID):
        verify(data)
    scored = cli("eval/gelab_static.py", "--engine", "oracle", "--data", data / "eval_ood.jsonl", "--out", tmp_path)
    assert scored.returncode == 2 and SAID in scored.stderr and scored.stderr.count("\n") == 1


def test_no_other_data_says_that_it_scrolls(small_world, small_data, tmp_path):
    assert verify(changed(small_world, tmp_path / "world", {"arguments": {"scroll": 0}})).faults == []
    assert verify(changed(small_data, tmp_path / "data", {"action_space": "click"})).faults == []


@pytest.mark.parametrize("command", [("build",), ("build_many", "--worlds", "2")], ids=lambda command: command[0])
def test_the_flag_is_gone_but_for_its_default(cli, tmp_path, command):
    small = (f"data_engine.gelab.{command[0]}", tmp_path / "w", *command[1:], "--tree", "2", "--page-size", "112x112")
    refused = cli(*small, "--scroll", "2")
    why = "--scroll 2: pages that scroll are no longer supported; omit it"
    assert refused.returncode == 2 and why in refused.stderr and refused.stderr.count("\n") == 1
    assert not (tmp_path / "w").exists()
    made = cli(*small, "--scroll", "0")
    assert made.returncode == 0 and "scroll" not in made.stdout + made.stderr
    assert "scroll" not in (tmp_path / "w/manifest.json").read_text()
    assert "scroll" not in cli(small[0], "--help").stdout
