"""The README is true: its commands exist, its file map has each tracked file once, its pictures are there."""

import re
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")


def tracked() -> set[str]:
    done = subprocess.run(["git", "-C", str(REPO), "ls-files"], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def file_map() -> list[str]:
    """Paths of the file map: the lines ``path   what it is`` of the block after its heading; rooms end in ``/``."""
    block = README.split("## File map", 1)[1].split("```", 2)[1]
    paths = [line.split()[0] for line in block.splitlines() if line.strip()]
    return [path for path in paths if not path.endswith("/")]


def test_every_tracked_file_has_one_line_in_the_map():
    mapped = file_map()
    assert sorted(mapped) == sorted(set(mapped)), "a file stands twice in the map"
    assert set(mapped) == tracked()


def test_every_line_of_the_map_says_what_the_file_is():
    block = README.split("## File map", 1)[1].split("```", 2)[1]
    bare = [line for line in block.splitlines() if len(line.split()) == 1]
    assert bare == []


def test_linked_files_and_pictures_exist():
    links = re.findall(r"\]\(([^)#:]+)\)|<img src=\"([^\"]+)\"", README)
    links = [markdown or html for markdown, html in links]
    assert len(links) >= 6 and all((REPO / link).exists() for link in links), links


def test_commands_name_files_that_exist():
    named = re.findall(r"(?:bash|python) ((?:recipes|eval|tools)/[\w./]+\.(?:sh|py))", README)
    assert len(named) >= 8
    assert [path for path in named if not (REPO / path).is_file()] == []
    modules = re.findall(r"python -m (data_engine[\w.]+)", README)
    assert modules and all((REPO / (name.replace(".", "/") + ".py")).is_file() for name in modules)


def test_the_two_commands_come_first():
    commands = README.split("```bash", 1)[1].split("```", 1)[0].split("\n")
    assert [c.split("#")[0].strip() for c in commands if c.strip()] == ["bash recipes/quickstart.sh", "make test"]


def test_results_name_a_commit():
    results = (REPO / "recipes" / "RESULTS.md").read_text(encoding="utf-8")
    assert re.search(r"`[0-9a-f]{7,40}\+?`", results)
