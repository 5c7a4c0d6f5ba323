"""The file maps: each tracked file stands in one map, with words; a stale map is found and written anew."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_engine.dataset import DataError

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def file_map(tool_module):
    return tool_module("file_map")


def test_the_maps_are_fresh(file_map):
    assert list(file_map.stale(REPO)) == []


def test_each_tracked_file_stands_in_one_map(file_map):
    mapped = []
    for room, page in file_map.ROOMS.items():
        text = (REPO / page).read_text(encoding="utf-8")
        lines = text.split(file_map.BEGIN)[1].split(file_map.END)[0].strip().splitlines()[2:]
        rows = [re.fullmatch(r"\| \[(.+?)\]\((.+?)\) \| (.+) \|", row) for row in lines]
        assert all(row and row[1] == row[2] for row in rows), page
        mapped += [f"{room}/{row[1]}".lstrip("/") if room else row[1] for row in rows]
    assert sorted(mapped) == sorted(file_map.tracked(REPO))


@pytest.mark.parametrize(
    "path, text, words",
    [
        ("eval/x.py", '"""Does it: ``python eval/x.py RUN``\n\nMore."""\n', "Does it"),
        ("eval/x.py", '"""Keeps ``--nproc N`` apart."""\n', "Keeps ``--nproc N`` apart."),
        ("recipes/x.sh", "#!/usr/bin/env bash\n# Trains.   Hardware: one GPU.\nset -e\n", "Trains."),
        ("recipes/_x.sh", "# shellcheck shell=bash disable=SC2034\n# The machine.\n", "The machine."),
        ("eval/README.md", "# eval: how good\n\ntext\n", "eval: how good"),
        ("page/play.js", "// The page of one world.\n// More\n", "The page of one world."),
        ("assets/tiny-base/config.json", "{}", "shape of the model"),
    ],
)
def test_what_a_file_says(file_map, path, text, words):
    assert file_map.description(path, text) == words


@pytest.mark.parametrize("path, text", [("eval/x.py", "import sys\n"), ("eval/x.bin", "\0"), ("eval/x.sh", "ls # x\n")])
def test_a_silent_file_is_refused(file_map, path, text):
    with pytest.raises(DataError, match="says nowhere what it is"):
        file_map.description(path, text)


def test_lines_are_safe_in_a_table(file_map):
    assert file_map.line("eval/a.py", "``A | B`` and <image>", "eval") == r"| [a.py](a.py) | `A \| B` and \<image> |"
    assert file_map.room_of("recipes/login/som.sh") == "recipes/login"
    assert (file_map.room_of("recipes/gelab/sft.sh"), file_map.room_of("Makefile")) == ("recipes", "")


@pytest.fixture
def checkout(file_map, tmp_path) -> Path:
    """A checkout with all pages, their maps empty, and one module."""
    for page in file_map.ROOMS.values():
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text(f"# {page}\n\n{file_map.BEGIN}\n{file_map.END}\nend\n")
    (tmp_path / "eval" / "x.py").write_text('"""First."""\n')
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return tmp_path


def test_write_and_check(checkout):
    def run(*flags: str) -> tuple[int, str]:
        line = [sys.executable, str(REPO / "tools" / "file_map.py"), "--repo", str(checkout), *flags]
        done = subprocess.run(line, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    page = checkout / "eval" / "README.md"
    assert run("--check")[0] == 1 and page.read_text().endswith("of the file map -->\nend\n")
    assert run()[0] == 0 and "| [x.py](x.py) | First. |" in page.read_text()
    assert run("--check") == (0, "")
    (checkout / "eval" / "x.py").write_text('"""Second."""\n')
    assert run("--check") == (1, "eval/README.md: its map is stale; run python tools/file_map.py\n")
    page.write_text("# no place\n")
    code, text = run("--check")
    assert code == 2 and text.count("\n") == 1 and "add them where the map is to stand" in text
