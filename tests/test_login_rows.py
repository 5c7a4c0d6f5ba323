"""Rows of forms: counts, the gold of each step, what is shown, and the writer as a user starts it."""

import json
from collections import Counter

import pytest

from data_engine.dataset import DataError, read_manifest, read_rows, sha256
from data_engine.geometry import Size
from data_engine.login import prompts
from data_engine.login.actions import parse
from data_engine.login.scoring import reward
from data_engine.login.tasks import Options
from data_engine.login.write import KIND, write

WRITE = "data_engine.login.write"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """made(protocol, scenario, mode): rows and tasks of two episodes, each set written once."""
    done = {}

    def made(protocol: str, scenario: str, mode: str):
        key = (protocol, scenario, mode)
        if key not in done:
            out = tmp_path_factory.mktemp("login") / "rows"
            write(out, Options(scenario, mode, protocol, episodes=2, page_size=Size(544, 416)))
            done[key] = out
        return done[key]

    return made


def answers(folder, episode: int = 0) -> list[str]:
    rows = read_rows(folder / "rows.jsonl")
    name = rows[0]["episode"] if episode == 0 else rows[-1]["episode"]
    return [row["messages"][-1]["content"].partition("\nAction: ")[2] for row in rows if row["episode"] == name]


def test_the_published_episode(made):
    """Seven steps: WAIT first; each TYPE is asked for when its text is there already, and nobody can tell when."""
    folder = made("published", "login", "coord")
    rows = read_rows(folder / "rows.jsonl")[:7]
    assert [row["truth"]["type"] for row in rows] == ["wait", "click", "type", "click", "type", "click", "done"]
    assert len({row["messages"][1]["content"] for row in rows}) == 1
    pictures = [row["images"][0] for row in rows]
    assert [pictures.index(p) for p in pictures] == [0, 0, 2, 2, 4, 4, 6]  # 4 of 7 are new, as published
    assert answers(folder)[2] == 'TYPE(text="user0")'
    assert answers(folder, 1)[4] == 'TYPE(text="pass1123")'
    assert len(answers(folder)[1].split("x=")[1].split(",")[0]) == 6  # four decimals


@pytest.mark.parametrize("mode", ["coord", "som"])
@pytest.mark.parametrize("scenario, steps, pictures", [("login", 6, 4), ("registration", 12, 7)])
def test_the_scripted_episode(made, scenario, steps, pictures, mode):
    rows = read_rows(made("scripted", scenario, mode) / "rows.jsonl")
    assert len(rows) == 2 * steps
    assert len({row["images"][0] for row in rows}) == 2 * pictures  # as published
    for i, row in enumerate(rows[:steps]):
        assert f"Step {i + 1} of {steps}." in row["messages"][1]["content"]


def test_the_marked_scripts(made):
    assert answers(made("scripted", "login", "som")) == [
        "CLICK([1])",
        'TYPE([1], "user0")',
        "CLICK([2])",
        'TYPE([2], "pass0123")',
        "CLICK([3])",
        "DONE()",
    ]
    script = answers(made("scripted", "registration", "som"), 1)
    assert script[4:] == [
        "CLICK([3])",
        'TYPE([3], "john1@example.com")',
        "CLICK([4])",
        'TYPE([4], "SecurePass1!")',
        "CLICK([5])",
        'TYPE([5], "SecurePass1!")',
        "CLICK([6])",
        "DONE()",
    ]


@pytest.mark.parametrize("scenario, steps", [("login", 6), ("registration", 12)])
def test_every_step_of_a_hard_episode_looks_different(made, scenario, steps):
    rows = read_rows(made("hard", scenario, "coord") / "rows.jsonl")
    assert len({row["images"][0] for row in rows}) == len(rows) == 2 * steps
    assert len({row["messages"][1]["content"] for row in rows}) == 2  # the goal alone, one an episode


def test_truths(made):
    row = read_rows(made("scripted", "login", "coord") / "rows.jsonl")[0]
    task = read_rows(made("scripted", "login", "coord") / "tasks.jsonl")[0]
    x1, y1, x2, y2 = task["form"]["elements"][0]["box"]
    assert row["truth"] == {
        "type": "click",
        "x": (x1 + 180) / 800,
        "y": (y1 + 20) / 600,
        "text": None,
        "bbox": [x1 / 800, y1 / 600, x2 / 800, y2 / 600],
        "element": None,
    }
    row = read_rows(made("scripted", "login", "som") / "rows.jsonl")[1]
    assert row["truth"] == {"type": "type", "x": None, "y": None, "text": "user0", "bbox": None, "element": 1}


def test_gold_is_well_formed_and_worth_one(made):
    for args in ("published", "login", "coord"), ("hard", "registration", "som"), ("hard", "login", "coord"):
        for row in read_rows(made(*args) / "rows.jsonl"):
            gold = row["messages"][-1]["content"]
            assert parse(gold).well_formed and reward(gold, row) == 1.0
            assert row["messages"][1]["content"].startswith("<image>")
            assert sum(message["content"].count("<image>") for message in row["messages"]) == 1


def test_tasks(made):
    folder = made("hard", "login", "som")
    rows, tasks = (read_rows(folder / name) for name in ("rows.jsonl", "tasks.jsonl"))
    assert [task["messages"] for task in tasks] == [row["messages"][:2] for row in rows[::6]]
    assert [task["images"] for task in tasks] == [row["images"] for row in rows[::6]]
    assert tasks[1]["env_config"] == {
        "name": "login",
        "scenario": "login",
        "mode": "som",
        "protocol": "hard",
        "seed": 123,
        "split": "train",
        "page_size": [544, 416],
        "index": 1,
    }


def test_the_manifest(made):
    folder = made("hard", "login", "som")
    manifest = read_manifest(folder, KIND)
    assert manifest["rows"] == {"rows.jsonl": 12, "tasks.jsonl": 2}
    assert manifest["max_pixels"] == 544 * 416 and manifest["prompt_sha256"] == prompts.sha256()
    assert manifest["arguments"] == {
        "scenario": "login",
        "mode": "som",
        "protocol": "hard",
        "episodes": 2,
        "seed": 123,
        "split": "train",
        "page_size": [544, 416],
        "system": True,
    }
    assert Counter(name.split("/")[0] for name in manifest["files"]) == {
        "images": 12,
        "rows.jsonl": 1,
        "tasks.jsonl": 1,
    }
    assert all(sha256(folder / name) == found for name, found in manifest["files"].items())


def test_no_system(tmp_path):
    write(tmp_path / "a", Options(episodes=1, page_size=Size(448, 320)), system=False)
    assert [m["role"] for m in read_rows(tmp_path / "a" / "rows.jsonl")[0]["messages"]] == ["user", "assistant"]


def contents(folder) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("protocol", ["hard", "scripted"])
def test_same_arguments_same_bytes(cli, tmp_path, protocol):
    args = ["--mode", "som", "--episodes", 3, "--page-size", "448x320", "--protocol", protocol]
    for name, hashseed in ("a", "0"), ("b", "77"):
        done = cli(WRITE, tmp_path / name, *args, PYTHONHASHSEED=hashseed)
        assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "rows.jsonl            18 rows\ntasks.jsonl            3 rows\n"
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    cli(WRITE, tmp_path / "c", *args, "--seed", 124)
    assert contents(tmp_path / "a")["rows.jsonl"] != contents(tmp_path / "c")["rows.jsonl"]


def test_a_longer_hard_set_begins_with_the_shorter(tmp_path):
    for name, episodes in ("a", 1), ("b", 2):
        write(tmp_path / name, Options(episodes=episodes, page_size=Size(448, 320)))
    short, long = (json.loads((tmp_path / n / "tasks.jsonl").read_text().splitlines()[0]) for n in "ab")
    assert short == long


def test_written_twice_is_written_once(tmp_path):
    options = Options(episodes=1, page_size=Size(448, 320))
    assert write(tmp_path / "a", options) == write(tmp_path / "a", options)
    with pytest.raises(DataError, match="was made with other arguments"):
        write(tmp_path / "a", Options(episodes=1, page_size=Size(448, 320), seed=1))


WRONG = [
    (["--page-size", "800x600"], "sides must be multiples of 28 or of 32; e.g. 800x608"),
    (["--page-size", "big"], "write WIDTHxHEIGHT in pixels"),
    (["--episodes", "0"], "--episodes 0: must be 1 or more"),
    (["--protocol", "published", "--scenario", "registration"], "use --protocol scripted"),
    (["--protocol", "scripted", "--scenario", "registration", "--page-size", "256x192"], "labels overlap"),
]


@pytest.mark.parametrize("args, line", WRONG)
def test_wrong_use_is_one_line(cli, tmp_path, args, line):
    done = cli(WRITE, tmp_path / "out", *args)
    assert done.returncode == 2 and line in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
