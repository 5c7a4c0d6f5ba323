"""tools/verify_data.py passes what the writers wrote, and names every fault that is planted in a copy of it.

Each plant is sealed: hashes, fingerprints and counts are repaired as a careful forger would, so that the check of the
thing itself must find it. The kinds that were found are compared as a whole: nothing else may have given it away.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_engine.gelab import prompts
from data_engine.gelab.build import build
from data_engine.gelab.verify.faults import KINDS
from data_engine.gelab.world import World, fingerprint, hash_pixels, read_pixels
from data_engine.gelab.write import Options, write
from data_engine.geometry import Size

PAGE = Size(112, 112)


@pytest.fixture(scope="module")
def tool(tool_module):
    return tool_module("verify_data")


@pytest.fixture
def data(small_data, tmp_path) -> Path:
    """A copy of the small rows to plant a fault in."""
    return Path(shutil.copytree(small_data, tmp_path / "data"))


@pytest.fixture
def run(tool, capsys) -> Callable[..., SimpleNamespace]:
    """Run the tool in this process: its exit code, its lines, and the kinds of the faults it printed."""

    def run(*args: object) -> SimpleNamespace:
        code = tool.main([str(arg) for arg in args])
        text = capsys.readouterr().out
        parts = (line.split(": ")[1:2] for line in text.splitlines())
        kinds = Counter(part[0] for part in parts if part and part[0] in KINDS)
        return SimpleNamespace(code=code, text=text, lines=text.splitlines(), kinds=kinds)

    return run


def rows_of(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def save(folder: Path, name: str, rows: list[dict]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def plant(folder: Path, name: str, pick: Callable[[dict], bool], change: Callable[[dict], None]) -> str:
    """Change the first row that ``pick`` chooses, and seal; returns file:line."""
    rows = rows_of(folder, name)
    index = next(i for i, row in enumerate(rows) if pick(row))
    change(rows[index])
    save(folder, name, rows)
    seal(folder)
    return f"{folder}/{name}:{index + 1}"


def edit_manifest(folder: Path, **fields: object) -> dict:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest |= fields
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return manifest


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def seal(folder: Path) -> None:
    """Repair what would give a planted fault away: fingerprint, hashes and counts of both manifests."""
    world = folder / "world"
    structure = json.loads((world / "ui_structure.json").read_text(encoding="utf-8"))
    pixels = {path.stem: hash_pixels(read_pixels(path)) for path in (world / "pages").glob("*.png")}
    size = json.loads((world / "manifest.json").read_text(encoding="utf-8"))["page_size"]
    mark = fingerprint(structure, size, pixels)
    edit_manifest(world, fingerprint=mark, files=hashes(world))
    counts = {path.name: len(path.read_bytes().splitlines()) for path in folder.glob("*.jsonl")}
    made = edit_manifest(folder, fingerprint=mark, files=hashes(folder), rows=counts)
    edit_manifest(folder, arguments=made["arguments"] | {"world": mark})


def question(row: dict) -> str:
    return row["messages"][0]["content"]


def answer(row: dict) -> str:
    return row["solution"] if "solution" in row else row["messages"][-1]["content"]


def ask(row: dict, text: str) -> None:
    row["messages"][0]["content"] = text


def reply(row: dict, text: str) -> None:
    if "solution" in row:
        row["solution"] = text
    else:
        row["messages"][-1]["content"] = text


def icon_of(row: dict) -> str:
    return answer(row).removeprefix("Explain:click ").split(" icon on ")[0]


def clicks(row: dict) -> bool:
    return "click(" in answer(row) and row["path"] > 0


def first(row: dict) -> bool:
    return clicks(row) and question(row).endswith("History: Null") and row["path"] > 1


def later(row: dict) -> bool:
    return clicks(row) and "step1:" in question(row)


# What is right passes


def test_clean_rows_pass(run, small_data):
    result = run(small_data)
    assert result.code == 0 and not result.kinds
    manifest = json.loads((small_data / "manifest.json").read_text(encoding="utf-8"))
    for name, count in manifest["rows"].items():
        assert f"{name:16} {count:7,} rows checked" in result.lines
    assert f"{'world/pages':16} {26:7,} pages checked" in result.lines


@pytest.mark.parametrize("options", [Options(clicks="center"), Options(scope="separate", seed=3)], ids=str)
def test_rows_of_other_options_pass(run, small_world, tmp_path, options):
    write(small_world, tmp_path / "rows", options)
    assert run(tmp_path / "rows").code == 0


def test_world_passes_alone(run, small_world):
    result = run(small_world)
    assert result.code == 0 and result.lines == [f"{'pages':16} {26:7,} pages checked"]


def test_script_runs_by_path(repo, small_data):
    script = [sys.executable, str(repo / "tools" / "verify_data.py")]
    assert subprocess.run([*script, str(small_data), "--limit", "5"], cwd=repo, capture_output=True).returncode == 0
    assert subprocess.run([*script], cwd=repo, capture_output=True).returncode == 2


def test_system_prompt_in_rows_passes(run, data):
    for name in ("sft.jsonl", "st_rl.jsonl", "mt_rl.jsonl", "eval_id.jsonl", "eval_ood.jsonl"):
        rows = rows_of(data, name)
        for row in rows:
            row["messages"].insert(0, {"role": "system", "content": prompts.SYSTEM})
        save(data, name, rows)
    seal(data)
    assert run(data).code == 0


# Wrong use


def test_wrong_use_is_exit_code_2(tool, run, data, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert tool.main([str(tmp_path / "nothing")]) == 2
    assert "no manifest.json" in capsys.readouterr().err
    assert run(tmp_path / "empty").code == 2
    edit_manifest(data, kind="other-rows")
    assert tool.main([str(data)]) == 2
    assert "holds 'other-rows'" in capsys.readouterr().err


# One row


def in_pixels(row: dict) -> None:
    """The middle of the box as canvas pixels, where 0..1000 is due."""
    x1, y1, x2, y2 = row["bbox"]
    head = answer(row).split("(start_box=")[0]
    reply(row, f"{head}(start_box='<|box_start|>({(x1 + x2) // 2},{(y1 + y2) // 2})<|box_end|>')")


def at_the_edge(row: dict) -> None:
    """A point in the box, but not in its middle half: no writer puts a gold click there."""
    x = -(-row["bbox"][0] * 1000 // 1179)
    reply(row, re.sub(r"\(\d+,", f"({x},", answer(row)))


def with_underscores(row: dict) -> None:
    reply(row, answer(row).replace(icon_of(row), icon_of(row).replace(" ", "_")))


def other_picture(row: dict) -> None:
    row["images"] = ["world/pages/page_1.png" if "page_1.png" not in row["images"][0] else "world/pages/page_2.png"]


def hint(row: dict) -> None:
    ask(row, question(row).replace(" History:", f" Hint: click {icon_of(row)}. History:"))


def hint_at_end(row: dict) -> None:
    ask(row, f"{question(row)} Click {icon_of(row)}.")


def point_told(row: dict) -> None:
    point = answer(row).split("<|box_start|>(")[1].split(")")[0]
    ask(row, question(row).replace("Instruction", f"({point}) Instruction"))


def in_history(row: dict) -> None:
    """The step to take already stands in the history."""
    steps = 0 if question(row).endswith("Null") else question(row).count(": click ")
    past = "" if not steps else question(row).split("History: ")[1] + " "
    page = answer(row).split(" icon on ")[1].split(".\t")[0]
    entry = f"{past}step{steps + 1}: click {icon_of(row)} icon on {page}."
    ask(row, question(row).split("History: ")[0] + "History: " + entry)


def system(text: str) -> Callable[[dict], None]:
    return lambda row: row["messages"].insert(0, {"role": "system", "content": text})


def skip_a_step(row: dict) -> None:
    """The history starts with a step on a page where the agent has not been."""
    page = question(row).split("step1: ")[1].split(" icon on ")[1].split(".")[0]
    ask(row, question(row).replace(f"icon on {page}.", "icon on page_25.", 1))


def edit(**fields: object) -> Callable[[dict], None]:
    return lambda row: row.update(fields)


ROW_FAULTS = {
    "pixel coordinates": ("eval_id.jsonl", first, in_pixels, "pixel coordinates", "the field is 0..1000"),
    "pixel coordinates rl": ("st_rl.jsonl", later, in_pixels, "pixel coordinates", "is in pixels"),
    "underscores": (
        *("sft.jsonl", lambda row: clicks(row) and " " in icon_of(row), with_underscores, "misspelt name"),
        "in the world",
    ),
    "no History: Null": (
        *("eval_ood.jsonl", first, lambda row: ask(row, question(row).replace(" History: Null", ""))),
        *("missing history", "no 'History: Null'"),
    ),
    "empty history": (
        *("st_rl.jsonl", first, lambda row: ask(row, question(row).replace("Null", ""))),
        *("missing history", "no 'History: Null'"),
    ),
    "no History: Null mt": (
        *("mt_rl.jsonl", lambda row: True, lambda row: ask(row, question(row).replace(" History: Null", ""))),
        *("missing history", "no 'History: Null'"),
    ),
    "Null and steps": (
        *("sft.jsonl", later, lambda row: ask(row, question(row).replace("History: ", "History: Null "))),
        *("wrong history", "is not step 1"),
    ),
    "image tag in system": (
        *("sft.jsonl", first, system(f"You see <image>. {prompts.SYSTEM}"), "image tag"),
        "a literal <image> in the system prompt",
    ),
    "two image tags": (
        *("sft.jsonl", first, lambda row: ask(row, "<image>" + question(row)), "image tag"),
        "does not stand once",
    ),
    "image tag at end": (
        *("mt_rl.jsonl", lambda row: True, lambda row: ask(row, question(row).replace("<image>", "") + "<image>")),
        *("image tag", "head of the user turn"),
    ),
    "other system": (
        "st_rl.jsonl",
        first,
        system("You are a GUI agent."),
        "system prompt",
        "is not the prompt builder",
    ),
    "leak in question": ("sft.jsonl", later, hint, "leaked target", "the prompt holds"),
    "leak at end": ("eval_id.jsonl", first, hint_at_end, "leaked target", "the prompt holds"),
    "leak of point": ("st_rl.jsonl", first, point_told, "leaked target", "the prompt holds"),
    "leak in history": ("eval_ood.jsonl", later, in_history, "leaked target", "the history already holds"),
    "leak in system": (
        *("st_rl.jsonl", first, lambda row: system(f"{prompts.SYSTEM}\nTip: {icon_of(row)}.")(row), "leaked target"),
        "the prompt holds",
    ),
    "leak of answer": (
        *("st_rl.jsonl", first),
        lambda row: row["messages"].append({"role": "assistant", "content": row["solution"]}),
        *("leaked target", "end with an assistant turn"),
    ),
    "leak in caption": (
        *("sft.jsonl", lambda row: row["task"] == "caption"),
        lambda row: ask(row, question(row) + f" Is it {answer(row)}?"),
        *("leaked target", "the prompt holds"),
    ),
    "swapped image": ("sft.jsonl", later, other_picture, "wrong image", "but the history ends on"),
    "swapped image mt": ("mt_rl.jsonl", lambda row: True, other_picture, "wrong image", "but the task starts on"),
    "foreign picture": (
        *("sft.jsonl", lambda row: row["task"] == "caption", edit(images=["elsewhere/page_1.png"])),
        *("wrong image", "is no page of this world"),
    ),
    "complete too early": (
        *("sft.jsonl", later, lambda row: reply(row, "Explain: this is target page.\tAction: complete")),
        *("wrong answer", "right is a click on"),
    ),
    "wrong claimed page": (
        *("eval_ood.jsonl", later, lambda row: reply(row, answer(row).replace(" on page_", " on page_9"))),
        *("wrong page", "the answer claims 'page_9"),
    ),
    "history elsewhere": ("sft.jsonl", later, skip_a_step, "wrong history", "step 1 is on page_25"),
    "history of nothing": (
        *(
            "sft.jsonl",
            later,
            lambda row: ask(row, re.sub("click .*? icon", "click warp drive icon", question(row), count=1)),
        ),
        *("other world", "'warp drive' is nowhere in this world"),
    ),
    "steps out of order": (
        *("sft.jsonl", later, lambda row: ask(row, question(row).replace("step1", "step2", 1))),
        *("wrong history", "is not step 1"),
    ),
    "wrong bbox": ("eval_id.jsonl", first, edit(bbox=[1, 2, 3, 4]), "wrong box", "bbox is [1, 2, 3, 4], not ["),
    "bbox of complete": (
        *("eval_id.jsonl", lambda row: not clicks(row), edit(bbox=[1, 2, 3, 4]), "wrong box", "not []"),
    ),
    "wrong canvas": ("st_rl.jsonl", first, edit(canvas=[448, 448]), "wrong box", "canvas is [448, 448]"),
    "wrong path": ("eval_id.jsonl", first, edit(path=9), "wrong column", "path is 9"),
    "wrong task": ("st_rl.jsonl", first, edit(task="From page_1 to page_0"), "wrong column", "task is"),
    "wrong source": ("eval_ood.jsonl", first, edit(source="sub1"), "wrong column", "source is 'sub1'"),
    "no column": ("sft.jsonl", first, lambda row: row.pop("path"), "wrong column", "path"),
    "text for a number": ("sft.jsonl", first, edit(path="2"), "wrong column", "path"),
    "new column": ("sft.jsonl", first, edit(hint="anvil"), "wrong column", "hint"),
    "gold of rl in messages only": ("st_rl.jsonl", first, lambda row: row.pop("solution"), "wrong column", "solution"),
    "caption of another icon": (
        *("sft.jsonl", lambda row: row["task"] == "caption" and "page_0." not in row["images"][0]),
        lambda row: reply(row, "back"),
        *("missed click", "is outside of the box"),
    ),
    "complete in other words": (
        *("st_rl.jsonl", lambda row: not clicks(row), lambda row: reply(row, "Explain: done.\tAction: complete")),
        *("wrong answer", "at the goal, right is 'Explain: this is target page."),
    ),
    "answer in other words": (
        *("sft.jsonl", later, lambda row: reply(row, answer(row).replace("Explain:", "explain: "))),
        *("wrong answer", "is not written as the grammar writes it"),
    ),
    "missed click": (
        *("sft.jsonl", later, lambda row: reply(row, re.sub(r"\(\d+,\d+\)", "(1,1)", answer(row)))),
        *("missed click", "(1,1) is outside of the box"),
    ),
    "click at the edge": ("eval_id.jsonl", first, at_the_edge, "missed click", "is not where 'uniform' clicks are"),
    "edge with a history": (
        *("sft.jsonl", lambda row: row["source"].endswith("_edge") and row["task"].startswith("From page_1 to")),
        lambda row: ask(row, question(row).replace("Null", "step1: click back icon on page_1.")),
        *("wrong history", "an edge row has a history"),
    ),
    "grounding elsewhere": (
        *("sft.jsonl", lambda row: row["task"] == "grounding", edit(images=["world/pages/page_300.png"])),
        *("wrong image", "is no page of this world"),
    ),
    "grounding unasked": (
        *("sft.jsonl", lambda row: row["task"] == "grounding", lambda row: ask(row, "<image>Click on it.")),
        *("wrong question", "asks for no click"),
    ),
    "other words": (
        *("eval_ood.jsonl", later, lambda row: ask(row, question(row).replace("Instruction: ", "Task: "))),
        *("wrong question", "is none of the prompt builder's"),
    ),
    "turns swapped": (
        "sft.jsonl",
        first,
        lambda row: row["messages"].reverse(),
        "wrong messages",
        "user and assistant",
    ),
    "two images": (
        *("sft.jsonl", later, lambda row: row["images"].append(row["images"][0])),
        *("wrong image", "the row has 2 images, not 1"),
    ),
    "from nowhere": (
        *("eval_ood.jsonl", first, lambda row: ask(row, re.sub("from page_\\d+", "from page_300", question(row)))),
        *("other world", "'page_300' is no page of this world"),
    ),
    "task to nowhere": ("tasks_ood.jsonl", lambda row: True, edit(goal="page_300"), "other world", "'page_300'"),
    "task length": ("tasks_id.jsonl", lambda row: True, edit(path=7), "wrong column", "path is 7"),
    "start of episode": (
        *("mt_rl.jsonl", lambda row: True),
        lambda row: row["env_config"].update(start="page_300"),
        *("other world", "'page_300' is no page"),
    ),
}


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_fault_in_one_row(run, data, fault):
    name, pick, change, kind, what = ROW_FAULTS[fault]
    where = plant(data, name, pick, change)
    result = run(data)
    assert result.code == 1
    assert any(line.startswith(f"{where}: {kind}: ") and what in line and "; " in line for line in result.lines)
    assert set(result.kinds) == {kind}


def test_misspelt_name_says_how_it_is_spelt(run, data):
    where = plant(data, "eval_id.jsonl", lambda row: clicks(row) and " " in icon_of(row), with_underscores)
    row = rows_of(data, "eval_id.jsonl")[int(where.rsplit(":", 1)[1]) - 1]
    used = icon_of(row)
    assert f"{where}: misspelt name: {used!r} is written {used.replace('_', ' ')!r} in the world" in run(data).text


def test_wrong_gold(run, data):
    """A real icon of the page, with its own point and box, that is not on the shortest path."""
    graph = World(data / "world").graph

    def change(row: dict) -> None:
        page = row["images"][0].split("/")[-1].removesuffix(".png")
        other = next(e for e in graph.pages[page].elements if e.name != icon_of(row))
        x, y = (round(1000 * c / side) for c, side in zip(other.box.at(0.5, 0.5), graph.canvas, strict=True))
        reply(row, answer(row).split("click")[0] + f"click {other.name} icon on {page}.\tAction: click(start_box='")
        reply(row, answer(row) + f"<|box_start|>({x},{y})<|box_end|>')")
        row["bbox"] = list(other.box)

    where = plant(data, "eval_ood.jsonl", later, change)
    result = run(data)
    assert result.code == 1 and f"{where}: wrong answer: on page_" in result.text
    assert set(result.kinds) == {"wrong answer"}


def test_history_that_wanders(run, data):
    """Every entry is real and leads on, but the way is not the shortest: out to a neighbour and back."""
    graph = World(data / "world").graph

    def change(row: dict) -> None:
        start = question(row).split("from ")[1].split(" to ")[0]
        icon = next(e for e in graph.pages[start].elements if not e.system and e.name != icon_of(row))
        past = f"step1: click {icon.name} icon on {start}. step2: click back icon on {icon.target}."
        ask(row, question(row).replace("History: Null", f"History: {past}"))

    where = plant(data, "sft.jsonl", lambda row: first(row) and "from page_0 " in question(row), change)
    result = run(data)
    assert result.code == 1 and f"{where}: wrong history: leaves the shortest path" in result.text
    assert set(result.kinds) == {"wrong history"}


# A file


def test_duplicate_row(run, data):
    rows = rows_of(data, "sft.jsonl")
    rows = rows[:40] + [rows[39]] + rows[40:]
    save(data, "sft.jsonl", [row | {"idx": i} for i, row in enumerate(rows)])
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{data}/sft.jsonl:41: duplicate row: equals line 40" in result.text
    assert set(result.kinds) == {"duplicate row", "row count"}


def test_step_told_twice(run, data):
    """A step of a task in two rows that differ in their point only."""
    rows = rows_of(data, "eval_ood.jsonl")
    copy = json.loads(json.dumps(rows[0]))
    x, y = answer(copy).split("<|box_start|>(")[1].split(")")[0].split(",")
    box = copy["bbox"]
    near = int(x) + (1 if int(x) * 1179 < 500 * (box[0] + box[2]) else -1)
    reply(copy, answer(copy).replace(f"({x},{y})", f"({near},{y})"))
    rows = [rows[0], copy, *rows[1:-1]]
    save(data, "eval_ood.jsonl", [row | {"idx": i} for i, row in enumerate(rows)])
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{data}/eval_ood.jsonl:2: duplicate row: step 1 from" in result.text
    assert set(result.kinds) == {"duplicate row"}


@pytest.mark.parametrize("name", ["sft.jsonl", "eval_ood.jsonl", "mt_rl.jsonl", "tasks_id.jsonl"])
def test_missing_row(run, data, name):
    rows = rows_of(data, name)
    save(data, name, rows[:6] + rows[7:])
    edit_manifest(data, files=hashes(data))
    result = run(data)
    assert result.code == 1 and f"{data}/{name}:7: row order: idx is 7, not 6" in result.text
    assert f"{data}/{name}: row count: {len(rows) - 1:,} rows, the manifest says {len(rows):,}" in result.text
    save(data, name, [row | {"idx": i} for i, row in enumerate(rows[:6] + rows[7:])])
    seal(data)
    assert f"{data}/{name}: row count: {len(rows) - 1:,} rows and 0 merged in the manifest" in run(data).text


def test_missing_step_behind_a_merge(run, small_world, tmp_path):
    """With centre clicks rows may merge; a step that is left out under that name is still missed."""
    write(small_world, tmp_path / "rows", Options(clicks="center"))
    rows = rows_of(tmp_path / "rows", "sft.jsonl")
    save(tmp_path / "rows", "sft.jsonl", [row | {"idx": i} for i, row in enumerate(rows[:6] + rows[7:])])
    seal(tmp_path / "rows")
    merged = json.loads((tmp_path / "rows" / "manifest.json").read_text(encoding="utf-8"))["merged"]
    edit_manifest(tmp_path / "rows", merged=merged | {"sft.jsonl": merged["sft.jsonl"] + 1})
    result = run(tmp_path / "rows")
    assert result.code == 1 and "sft.jsonl: row count: " in result.text and " steps of tasks" in result.text


def test_rows_of_another_split(run, data):
    shutil.copyfile(data / "eval_ood.jsonl", data / "st_rl.jsonl")
    rows = [row | {"solution": row["messages"].pop()["content"]} for row in rows_of(data, "st_rl.jsonl")]
    save(data, "st_rl.jsonl", rows)
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{data}/st_rl.jsonl:1: wrong split: " in result.text
    assert set(result.kinds) == {"wrong split"}


def test_broken_line(run, data):
    lines = (data / "st_rl.jsonl").read_bytes().splitlines(keepends=True)
    lines[4] = lines[4][:40] + b"\n"
    (data / "st_rl.jsonl").write_bytes(b"".join(lines))
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{data}/st_rl.jsonl:5: broken line: " in result.text
    assert set(result.kinds) == {"broken line"}


def test_edited_file(run, data):
    """A blank more: every row is as right as before, and still the file is not the one that was written."""
    text = (data / "eval_id.jsonl").read_text(encoding="utf-8")
    (data / "eval_id.jsonl").write_text(text.replace('"idx":0,', '"idx": 0,', 1), encoding="utf-8")
    result = run(data)
    assert result.code == 1 and f"{data}/eval_id.jsonl: edited file: " in result.text
    assert set(result.kinds) == {"edited file"}


def test_missing_and_extra_file(run, data):
    (data / "eval_id.jsonl").rename(data / "notes.jsonl")
    result = run(data)
    assert result.code == 1 and set(result.kinds) == {"missing file", "extra file"}
    assert f"{data}/eval_id.jsonl: missing file: " in result.text
    assert f"{data}/notes.jsonl: extra file: " in result.text


# The manifest and the world


@pytest.mark.parametrize("folder", ["", "world/"])
def test_broken_manifest(run, data, folder):
    path = data / folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:200])
    result = run(data)
    assert result.code == 1 and f"{data}/{folder}manifest.json: broken manifest: " in result.text
    path.write_text('{"kind": "gelab-rows"}' if not folder else '{"kind": "gelab-world"}', encoding="utf-8")
    result = run(data)
    assert result.code == 1 and f"{data}/{folder}manifest.json: broken manifest: " in result.text


def test_missing_manifest_of_the_world(run, data):
    (data / "world" / "manifest.json").unlink()
    result = run(data)
    assert result.code == 1 and f"{data}/world/manifest.json: missing file: " in result.text


def test_manifest_without_a_file(run, data):
    (data / "mt_rl.jsonl").unlink()
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{data}/manifest.json: broken manifest: has no mt_rl.jsonl; " in result.text
    assert set(result.kinds) == {"broken manifest"}


def test_manifest_with_a_subtree_that_is_not(run, data):
    made = json.loads((data / "manifest.json").read_text(encoding="utf-8"))["arguments"]
    edit_manifest(data, arguments=made | {"test_subtree": 9})
    result = run(data)
    assert result.code == 1 and f"{data}/manifest.json: broken manifest: no subtree 9: " in result.text


def test_other_prompt_builder(run, data):
    edit_manifest(data, prompt_sha256="0" * 64)
    result = run(data)
    assert result.code == 1 and f"{data}/manifest.json: other prompts: " in result.text
    assert set(result.kinds) == {"other prompts"}


@pytest.fixture(scope="module")
def other_data(tmp_path_factory) -> Path:
    """Rows of a world of the same shape with another seed."""
    folder = tmp_path_factory.mktemp("other")
    build(folder / "world", tree=(5, 2, 1), seed=8, page_size=PAGE)
    write(folder / "world", folder / "rows")
    return folder / "rows"


def test_labels_from_another_world(run, data, other_data):
    for path in other_data.glob("*.jsonl"):
        shutil.copyfile(path, data / path.name)
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{data}/sft.jsonl:1: other world: " in result.text
    assert result.kinds["other world"] == 20
    assert re.search(rf"\.\.\. and \d+ more of 'other world' in {data}/eval_ood.jsonl", result.text)


def test_world_from_elsewhere(run, data, other_data):
    shutil.copyfile(other_data / "manifest.json", data / "manifest.json")
    edit_manifest(data, files=hashes(data))
    result = run(data)
    assert result.code == 1 and f"{data}/manifest.json: other world: rows of world " in result.text
    assert set(result.kinds) == {"other world"}


def redraw(folder: Path, page: str, change: Callable[[np.ndarray], np.ndarray]) -> str:
    """Change a screenshot; returns the file."""
    path = folder / "pages" / f"{page}.png"
    Image.fromarray(np.ascontiguousarray(change(read_pixels(path)))).save(path)
    return str(path)


@pytest.mark.parametrize("shift", [(2, 1), (0, -1), (-3, 0)])
def test_shifted_screenshot(run, data, shift):
    """(dx, dy): the content of page_3 moves by that many pixels; every hash is repaired."""
    where = redraw(data / "world", "page_3", lambda pixels: np.roll(pixels, shift[::-1], axis=(0, 1)))
    seal(data)
    result = run(data)
    said = f"{shift[0]:+} pixels right and {shift[1]:+} pixels down"
    assert result.code == 1 and f"{where}: shifted screenshot: everything stands {said}" in result.text
    assert set(result.kinds) == {"shifted screenshot"}


def test_screenshot_of_another_page(run, data):
    pages = data / "world" / "pages"
    shutil.copyfile(pages / "page_4.png", pages / "page_3.png")
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{pages}/page_3.png: wrong screenshot: is not page_3: the page name, " in result.text
    assert set(result.kinds) == {"wrong screenshot", "empty box"}


def test_icon_wiped_off(run, data):
    icon = World(data / "world").graph.pages["page_0"].elements[0]
    x1, y1, x2, y2 = icon.box.scaled(Size(1179, 2556), PAGE)

    def wipe(pixels: np.ndarray) -> np.ndarray:
        pixels[y1:y2, x1:x2] = 255
        return pixels

    where = redraw(data / "world", "page_0", wipe)
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{where}: empty box: nothing is drawn where {icon.name!r} stands" in result.text
    assert f"{where}: wrong screenshot: is not page_0: {icon.name!r} differ" in result.text


def test_no_picture(run, data):
    where = data / "world" / "pages" / "page_2.png"
    where.write_text("not a picture", encoding="utf-8")
    edit_manifest(data / "world", files=hashes(data / "world"))
    edit_manifest(data, files=hashes(data))
    result = run(data)
    assert result.code == 1 and f"{where}: wrong screenshot: is no picture" in result.text


def test_changed_page_size(run, data):
    """Screenshots at another size than the manifest's: the model's resize would move every label."""
    for page in range(26):
        redraw(data / "world", f"page_{page}", lambda pixels: pixels.repeat(2, axis=0).repeat(2, axis=1))
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{data}/world/pages/page_3.png: page size: is 224x224, the manifest says 112x112" in (
        result.text
    )
    assert set(result.kinds) == {"page size"} and result.kinds["page size"] == 20
    assert f"... and 6 more of 'page size' in {data}/world/pages" in result.lines


@pytest.mark.parametrize("fields", [{"max_pixels": 1000}, {"page_size": [448, 448], "max_pixels": 200704}], ids=str)
def test_page_size_of_rows(run, data, fields):
    edit_manifest(data, **fields)
    result = run(data)
    assert result.code == 1 and f"{data}/manifest.json: page size: " in result.text
    assert set(result.kinds) == {"page size"}


def drop_icon(made: dict) -> None:
    del made["icons"][min(made["icons"])]


def double_icon(made: dict) -> None:
    made["icons"][min(made["icons"])] = made["icons"][max(made["icons"])]


def foreign_icon(made: dict) -> None:
    made["icons"][min(made["icons"])] = "Animals/PNG/46.png"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (drop_icon, "no picture for "),
        (double_icon, "two names have one picture"),
        (foreign_icon, "'Animals/PNG/46.png' is none of the pictures it was built from"),
        (lambda made: made.update(canvas=[448, 448]), "the canvas is (448, 448), not (1179, 2556)"),
        (lambda made: made["arguments"].update(page_size=[448, 448]), "two page sizes"),
    ],
)
def test_manifest_of_the_world(run, data, change, what):
    made = json.loads((data / "world" / "manifest.json").read_text(encoding="utf-8"))
    change(made)
    edit_manifest(data / "world", **made)
    result = run(data)
    assert result.code == 1 and f"{data}/world/manifest.json: broken world: {what}" in result.text


def test_missing_page(run, data):
    (data / "world" / "pages" / "page_7.png").unlink()
    result = run(data)
    assert result.code == 1 and f"{data}/world/pages/page_7.png: missing file: " in result.text


def test_pages_of_another_pillow(run, data):
    """Another version may smooth edges otherwise: that is no fault, a shift still is."""
    versions = json.loads((data / "world" / "manifest.json").read_text(encoding="utf-8"))["versions"]
    edit_manifest(data / "world", versions=versions | {"pillow": "10.1.0"})
    redraw(data / "world", "page_3", lambda pixels: np.maximum(pixels, 10))
    seal(data)
    assert run(data).code == 0
    redraw(data / "world", "page_3", lambda pixels: np.roll(pixels, 2, axis=1))
    seal(data)
    assert set(run(data).kinds) == {"shifted screenshot"}


def test_fingerprint_is_recomputed(run, data):
    edit_manifest(data / "world", fingerprint="0" * 64)
    made = edit_manifest(data, fingerprint="0" * 64)
    edit_manifest(data, arguments=made["arguments"] | {"world": "0" * 64})
    result = run(data)
    assert result.code == 1 and f"{data}/world/manifest.json: wrong fingerprint: " in result.text
    assert set(result.kinds) == {"wrong fingerprint"}


def test_changed_transition(run, data):
    """Two icons of page_0 change their targets: pixels and boxes stay, and every label that passes there is wrong."""
    path = data / "world" / "ui_structure.json"
    structure = json.loads(path.read_text(encoding="utf-8"))
    one, two = structure["pages"]["page_0"]["transitions"][:2]
    one["target_page"], two["target_page"] = two["target_page"], one["target_page"]
    path.write_text(json.dumps(structure), encoding="utf-8")
    seal(data)
    result = run(data)
    assert result.code == 1 and f"{data}/sft.jsonl:1: wrong answer: on page_0, right is a click on" in result.text


def test_broken_structure(run, data):
    (data / "world" / "ui_structure.json").write_text('{"pages": {"page_0": {}}}', encoding="utf-8")
    edit_manifest(data / "world", files=hashes(data / "world"))
    edit_manifest(data, files=hashes(data))
    result = run(data)
    assert result.code == 1 and f"{data}/world/ui_structure.json: broken world: " in result.text
    assert "no row can be checked against it" in result.text


# A world with pictures of the user's own


@pytest.fixture
def own_icons_world(tmp_path) -> Path:
    folder = tmp_path / "icons" / "Shapes" / "PNG"
    folder.mkdir(parents=True)
    for i in range(5):
        pixels = np.zeros((64, 64, 4), np.uint8)
        pixels[8 * i : 8 * i + 16, 4:60] = 40 * i, 90, 200, 255
        Image.fromarray(pixels).save(folder / f"{i}.png")
    build(tmp_path / "world", tree=(2, 1), page_size=PAGE, icons=tmp_path / "icons")
    return tmp_path / "world"


def seal_world(world: Path) -> None:
    structure = json.loads((world / "ui_structure.json").read_text(encoding="utf-8"))
    pixels = {path.stem: hash_pixels(read_pixels(path)) for path in (world / "pages").glob("*.png")}
    edit_manifest(world, fingerprint=fingerprint(structure, PAGE, pixels), files=hashes(world))


def test_own_icons(run, own_icons_world):
    """Without the user's pictures at hand: the page around them is proven, and that each box holds something."""
    assert run(own_icons_world).code == 0
    icon = World(own_icons_world).graph.pages["page_0"].elements[0]
    x1, y1, x2, y2 = icon.box.scaled(Size(1179, 2556), PAGE)

    def wipe(pixels: np.ndarray) -> np.ndarray:
        pixels[y1:y2, x1:x2] = 255
        return pixels

    where = redraw(own_icons_world, "page_0", wipe)
    moved = redraw(own_icons_world, "page_1", lambda pixels: np.roll(pixels, (1, 2), axis=(0, 1)))
    seal_world(own_icons_world)
    result = run(own_icons_world)
    assert result.code == 1 and set(result.kinds) == {"empty box", "shifted screenshot"}
    assert f"{where}: empty box: nothing is drawn where {icon.name!r} stands" in result.text
    assert f"{moved}: shifted screenshot: " in result.text


# The report


def test_all_faults_are_found_at_once(run, data):
    """Faults of three kinds in three files, and the exit code that a recipe stops at."""
    plant(data, "sft.jsonl", first, in_pixels)
    plant(data, "st_rl.jsonl", later, hint)
    plant(data, "mt_rl.jsonl", lambda row: True, other_picture)
    result = run(data)
    assert result.code == 1
    assert result.kinds == {"pixel coordinates": 1, "leaked target": 1, "wrong image": 1}
    assert result.lines[-1] == f"{data}: 3 faults"


def test_json(tool, data, capsys):
    where = plant(data, "eval_ood.jsonl", first, in_pixels)
    assert tool.main([str(data), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    (fault,) = report["faults"]
    assert f"{data}/{fault['file']}:{fault['line']}" == where
    assert fault["kind"] == "pixel coordinates" and fault["what"] and fault["mend"]
    assert report["kinds"] == {"pixel coordinates": 1} and report["checked"]["sft.jsonl"] > 0


def test_limit(run, data):
    """Rows behind the limit are counted, not read."""
    rows = rows_of(data, "eval_id.jsonl")
    rows[50]["bbox"] = [0, 0, 1, 1]
    save(data, "eval_id.jsonl", rows)
    seal(data)
    assert run(data, "--limit", 50).code == 0
    assert run(data, "--limit", 51).code == 1


def test_every_kind_has_a_fix():
    assert all(fix and not fix.endswith(".") for fix in KINDS.values())
