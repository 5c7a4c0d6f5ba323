"""tools/verify_data.py passes what the writer of forms wrote, and names every fault that is planted in a copy of it.

Each plant is sealed: hashes, fingerprint and counts are repaired as a careful forger would, so that the check of the
thing itself must find it. The kinds that were found are compared as a whole: nothing else may have given it away.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.verify.faults import KINDS
from data_engine.login.write import write

PAGE = Size(448, 320)


@pytest.fixture(scope="module")
def tool(tool_module):
    return tool_module("verify_data")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """written("hard-login-som"): a folder of two episodes, made once."""
    done = {}

    def written(name: str) -> Path:
        if name not in done:
            protocol, scenario, mode = name.split("-")
            done[name] = tmp_path_factory.mktemp("written") / name
            page = Size(544, 416) if scenario == "registration" else PAGE
            write(done[name], Options(scenario, mode, protocol, episodes=2, page_size=page))
        return done[name]

    return written


@pytest.fixture
def copy(written, tmp_path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(written(name), tmp_path / name))


@pytest.fixture
def found(tool, capsys):
    """found(folder): exit code and the kinds of all faults that are printed."""

    def found(folder: Path, *args: str) -> tuple[int, set[str]]:
        code = tool.main([str(folder), *args])
        found.lines = capsys.readouterr().out.splitlines()
        kinds = {part[1] for part in (line.split(": ") for line in found.lines) if len(part) > 1 and part[1] in KINDS}
        return code, kinds

    return found


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def seal(folder: Path) -> None:
    """Make the manifest fit what lies there."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {
        p.relative_to(folder).as_posix(): digest(p.read_bytes())
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p != path
    }
    lines = {name: (folder / name).read_bytes() for name in ("rows.jsonl", "tasks.jsonl")}
    manifest["rows"] = {name: data.count(b"\n") for name, data in lines.items()}
    listed = "".join(f"{name} {found}\n" for name, found in sorted(manifest["files"].items()))
    manifest["fingerprint"] = digest(listed.encode())
    path.write_text(json.dumps(manifest))


def edit(folder: Path, name: str, index: int, change: Callable[[dict], object]) -> None:
    path = folder / name
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    change(rows[index])
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    seal(folder)


SETS = ["hard-login-coord", "hard-registration-som", "published-login-coord", "scripted-registration-coord"]


@pytest.mark.parametrize("name", SETS)
def test_what_was_written_passes(written, found, name):
    assert found(written(name)) == (0, set())
    steps = {"hard-login-coord": 12, "published-login-coord": 14}.get(name, 24)
    assert found.lines == ["tasks.jsonl            2 rows checked", f"rows.jsonl            {steps} rows checked"]


def answer(text: str) -> Callable[[dict], None]:
    """Another answer under the same thought."""

    def change(row: dict) -> None:
        thought = row["messages"][-1]["content"].partition("\n")[0]
        row["messages"][-1]["content"] = f"{thought}\nAction: {text}"

    return change


def put(*path, value) -> Callable[[dict], None]:
    def change(row: dict) -> None:
        for key in path[:-1]:
            row = row[key]
        row[path[-1]] = value

    return change


def replace_question(old: str, new: str) -> Callable[[dict], None]:
    def change(row: dict) -> None:
        message = row["messages"][-2]
        assert old in message["content"]
        message["content"] = message["content"].replace(old, new)

    return change


HARD, MARKED, SCRIPTED, PUBLISHED = (
    "hard-login-coord",
    "hard-login-som",
    "scripted-login-coord",
    "published-login-coord",
)
ROW_PLANTS = [  # folder, row, change, the kinds that must be found on that line
    (HARD, 2, put("idx", value=9), {"row order"}),
    (HARD, 2, put("step", value=3), {"wrong column"}),
    (HARD, 2, put("mode", value="som"), {"wrong column"}),
    (HARD, 2, put("element", value="login"), {"wrong column"}),
    (HARD, 2, put("truth", "x", value=0.01), {"wrong truth"}),
    (HARD, 2, put("truth", "bbox", value=[0, 0, 1, 1]), {"wrong truth"}),
    (HARD, 2, put("truth", "type", value="type"), {"wrong truth"}),
    (HARD, 1, put("truth", "text", value="other"), {"wrong truth"}),
    (HARD, 1, put("truth", "x", value=0.5), {"wrong truth"}),
    (MARKED, 2, put("truth", "element", value=0), {"wrong truth"}),
    (HARD, 2, put("messages", 0, "content", value="You are a pirate."), {"system prompt"}),
    (HARD, 2, lambda row: row["messages"].pop(0), {"wrong messages"}),
    (HARD, 2, put("messages", 1, "role", value="assistant"), {"wrong messages"}),
    (HARD, 2, replace_question("Goal:", "Please:"), {"wrong question"}),
    (HARD, 2, replace_question("password '", "password 'x"), {"wrong question"}),
    (SCRIPTED, 2, replace_question("Step 3 of 6", "Step 4 of 6"), {"wrong question"}),
    (SCRIPTED, 2, replace_question("1. CLICK(x=0.", "1. CLICK(x=1."), {"wrong question"}),
    (HARD, 2, put("images", value=["images/0000_03.png"]), {"wrong picture"}),
    (HARD, 2, put("images", value=["images/none.png"]), {"wrong picture"}),
    (SCRIPTED, 4, put("images", value=["images/0001_02.png"]), {"wrong picture"}),
    (HARD, 5, answer("done()"), {"wrong answer"}),  # read, but not as the grammar writes it
]


@pytest.mark.parametrize("name, index, change, kinds", ROW_PLANTS)
def test_a_planted_row_is_found(copy, found, name, index, change, kinds):
    folder = copy(name)
    edit(folder, "rows.jsonl", index, change)
    code, there = found(folder)
    assert (code, there) == (1, kinds)
    assert all(f"rows.jsonl:{index + 1}: " in line for line in found.lines if ".jsonl:" in line)


WRONG_ANSWERS = [
    (HARD, 0, "CLICK(x=0.01, y=0.99)"),  # nothing is there
    (HARD, 0, 'TYPE(text="a")'),
    (HARD, 1, 'TYPE(text="other")'),
    (HARD, 4, "DONE()"),
    (HARD, 5, "WAIT()"),
    (MARKED, 2, "CLICK([0])"),
    (MARKED, 2, "CLICK(x=0.5, y=0.5)"),
    (PUBLISHED, 0, "DONE()"),
    (HARD, 3, "I give up"),
]


@pytest.mark.parametrize("name, index, text", WRONG_ANSWERS)
def test_a_wrong_answer_is_found(copy, found, name, index, text):
    """What follows is judged from the state that the answer leaves, so other rows may be found wrong too."""
    folder = copy(name)
    edit(folder, "rows.jsonl", index, answer(text))
    code, kinds = found(folder)
    assert code == 1 and "wrong answer" in kinds
    assert next(line for line in found.lines if "wrong answer" in line).startswith(f"{folder}/rows.jsonl:{index + 1}: ")


def test_a_foreign_column_is_found(copy, found):
    """The row is not read, so its episode is lost."""
    folder = copy(HARD)
    edit(folder, "rows.jsonl", 2, put("extra", value=1))
    code, kinds = found(folder)
    assert code == 1 and {"wrong column", "lost episode"} <= kinds
    assert "Object contains unknown field `extra`" in found.lines[2]


def test_a_lost_row_is_found(copy, found):
    folder = copy(HARD)
    path = folder / "rows.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    seal(folder)
    assert found(folder) == (1, {"row count", "lost episode"})


def test_an_unread_line_is_found(copy, found):
    folder = copy(HARD)
    path = folder / "rows.jsonl"
    path.write_bytes(path.read_bytes() + b"{half\n")
    seal(folder)
    assert found(folder) == (1, {"row count", "broken line"})


FORM_PLANTS = [
    (put("form", "style", "ground", value=[1, 2, 3]), {"other form"}),
    (put("form", "elements", 0, "box", value=[-5, 10, 100, 40]), {"other form", "bad layout"}),
    (put("form", "elements", 0, "mark", value=77), {"other form"}),
    (put("form", "said", "password", value="other"), {"other form"}),
    (put("episode", value="nobody"), {"wrong column"}),
    (put("env_config", "seed", value=5), {"wrong column"}),
    (put("images", value=["images/0001_01.png"]), {"wrong picture"}),
    (put("form", "title", value="here"), {"wrong column"}),
]


@pytest.mark.parametrize("change, kinds", FORM_PLANTS)
def test_a_planted_form_is_found(copy, found, change, kinds):
    folder = copy(MARKED)
    edit(folder, "tasks.jsonl", 1, change)
    assert found(folder) == (1, kinds)


def test_two_elements_in_one_place_are_found(copy, found):
    folder = copy(MARKED)
    edit(folder, "tasks.jsonl", 0, lambda row: row["form"]["elements"][1].update(box=row["form"]["elements"][0]["box"]))
    assert found(folder) == (1, {"other form", "bad layout"})


def test_one_pixel_is_found(copy, found):
    folder = copy(HARD)
    path = folder / "images" / "0001_02.png"
    with Image.open(path) as picture:
        picture = picture.copy()
    picture.putpixel((3, 4), (1, 2, 3))
    picture.save(path)
    seal(folder)
    assert found(folder) == (1, {"wrong picture"})
    assert "pixels differ at x 3..3, y 4..4" in found.lines[-2]


def test_another_size_and_no_picture_are_found(copy, found):
    folder = copy(HARD)
    Image.new("RGB", (10, 10)).save(folder / "images" / "0001_02.png")
    (folder / "images" / "0001_03.png").write_bytes(b"no picture")
    seal(folder)
    assert found(folder) == (1, {"page size", "wrong picture"})


def test_files(copy, found):
    folder = copy(HARD)
    (folder / "notes.txt").touch()
    (folder / "images" / "0000_00.png").unlink()
    with open(folder / "rows.jsonl", "a") as file:
        file.write("\n")
    code, kinds = found(folder)
    assert code == 1 and {"extra file", "missing file", "edited file", "row count"} <= kinds


MANIFEST_PLANTS = [
    (put("prompt_sha256", value="0" * 64), {"other prompts"}),
    (put("max_pixels", value=5), {"page size"}),
    (put("fingerprint", value="0" * 64), {"wrong fingerprint"}),
    (put("rows", "rows.jsonl", value=11), {"row count"}),
    (put("arguments", "protocol", value="soft"), {"broken manifest"}),
    (put("arguments", value=None), {"broken manifest"}),
]


@pytest.mark.parametrize("change, kinds", MANIFEST_PLANTS)
def test_a_planted_manifest_is_found(copy, found, change, kinds):
    folder = copy(HARD)
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert found(folder) == (1, kinds)


def test_rows_of_another_seed_are_found(copy, found):
    folder = copy(HARD)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["arguments"]["seed"] = 7
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, kinds = found(folder)
    assert code == 1 and {"wrong column", "lost episode"} <= kinds


def test_limit_and_json(copy, found, tool, capsys):
    folder = copy(HARD)
    edit(folder, "rows.jsonl", 8, put("step", value=0))
    assert found(folder, "--limit", "2") == (0, set())
    assert tool.main([str(folder), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["kinds"] == {"wrong column": 1} and report["checked"] == {"tasks.jsonl": 2, "rows.jsonl": 12}
    assert report["faults"][0]["mend"] == KINDS["wrong column"]


def test_a_broken_manifest_beside_images_is_a_fault(copy, found):
    folder = copy(HARD)
    (folder / "manifest.json").write_text("{")
    assert found(folder) == (1, {"broken manifest"})


def test_every_kind_is_planted_somewhere():
    source = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in KINDS if not re.search(f'"{kind}"', source)] == []
