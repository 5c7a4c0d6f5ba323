"""The report: gathered from real runs of engines without a model, hostile text, unfinished runs, and a real browser."""

import html
import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from data_engine.dataset import read_json, read_rows, write_rows
from data_engine.failures import EARLY, MISSED, PARSE, RIGHT, WRONG
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1] / "eval")
)  # as Python itself does for `python eval/report.py`
import report  # noqa: E402
from html_report import charts, curves, diagnosis, lead, pictures, scan, to_wandb  # noqa: E402
from html_report.gather import gather  # noqa: E402

HOSTILE = [
    "</script><script>throw new Error('ran')</script>",
    "<img src=x onerror=\"throw new Error('ran')\">",
    "\u2028\u2029 'quotes' \"double\" `back` ${1+1} \\ &amp; <!-- \x00 \U0001f600",
    "a" * 5000,
]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def gelab_run(cli, small_data, tmp_path_factory) -> Path:
    """A run directory as the quickstart leaves it: oracle and random on ten held-out tasks, and two training logs."""
    run = tmp_path_factory.mktemp("runs") / "quick"
    shutil.copytree(small_data, run / "data")
    for agent in ("oracle", "random"):
        out = run / "eval" / agent
        for script, data, name in (
            (
                "gelab_interactive",
                ("--world", run / "data" / "world", "--tasks", run / "data" / "tasks_ood.jsonl"),
                "interactive_ood",
            ),
            ("gelab_static", ("--data", run / "data" / "eval_ood.jsonl"), "static_ood"),
        ):
            attempts = ("--attempts", 2) if script == "gelab_interactive" else ()
            done = cli(f"eval/{script}.py", "--engine", agent, *data, *attempts, "--limit", 10, "--out", out / name)
            assert done.returncode == 0, done.stderr
    log(run / "sft", [{"loss": 2 / (i + 1), "token_acc": i / 100} for i in range(100)])
    log(
        run / "st_rl",
        [{"reward": i / 10, "reward_std": 0.1, "rewards/GelabType/mean": 1.0, "kl": 0.0} for i in range(3)],
    )
    return run


def log(folder: Path, rows: list[dict]) -> None:
    """An ms-swift log, with the summary that ends a training."""
    folder.mkdir(parents=True)
    lines = [row | {"global_step/max_steps": f"{i + 1}/{len(rows)}"} for i, row in enumerate(rows)]
    last = [{"train_runtime": 1.0, "global_step/max_steps": f"{len(rows)}/{len(rows)}"}, {"log_history": []}]
    (folder / "logging.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines + last))


@pytest.fixture(scope="module")
def login_run(cli, tmp_path_factory) -> Path:
    """A run directory as the login benchmark leaves it: random step by step and in the closed loop."""
    run = tmp_path_factory.mktemp("runs") / "forms"
    write(run / "data" / "eval", Options(episodes=3, split="eval", page_size=Size(448, 320)), system=True)
    for name, flags in (("eval_qwen_base", ()), ("eval_qwen_base_closed_loop", ("--closed-loop",))):
        out = run / "runs" / name
        done = cli("eval/login_eval.py", "--engine", "random", "--data", run / "data" / "eval", "--out", out, *flags)
        assert done.returncode == 0, done.stderr
    return run


def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / run.name))


@pytest.fixture(scope="module")
def hostile_run(gelab_run, tmp_path_factory) -> Path:
    """The random agent's walks with hostile answers; the folder has a hostile name too."""
    run = shutil.copytree(gelab_run, tmp_path_factory.mktemp("hostile") / "<b>'run'&")
    path = run / "eval" / "random" / "interactive_ood" / "trajectories.jsonl"
    rows = read_rows(path)
    for i, row in enumerate(rows):
        for turn in row["turns"]:
            turn |= {
                "answer": HOSTILE[i % len(HOSTILE)],
                "outcome": "unreadable",
                "element": None,
                "failure": "no action",
            }
            turn.pop("point", None)
    write_rows(path, rows)
    return run


def start(run: Path, *flags: object) -> int:
    """The exit code of `python eval/report.py RUN FLAGS`, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["eval/report.py", str(run), *map(str, flags)])
        return report.main()


def made(run: Path, *flags: object) -> str:
    """The page of a run."""
    assert start(run, *flags) == 0
    return (run / "report.html").read_text(encoding="utf-8")


def viewer_of(page: str) -> dict:
    """What the viewer's script reads."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


# What is gathered


def test_the_numbers_are_those_of_the_metrics(gelab_run):
    data, walks_of, _ = gather(gelab_run, [])
    (table,) = data["tables"]
    random = dict(zip([c["name"] for c in table["columns"]], table["rows"][1]["values"], strict=True))
    scores = {
        name: read_json(gelab_run / f"eval/random/{name}_ood/metrics.json")["metrics"]
        for name in ("interactive", "static")
    }
    assert random == {
        "steps right": scores["static"]["step_all"],
        "Pass@1": scores["interactive"]["pass_at_1"],
        "Pass@k": scores["interactive"]["pass_at_k"],
        "greedy": scores["interactive"]["greedy"],
    }
    assert [row["agent"] for row in table["rows"]] == ["oracle", "random"] and table["groups"] == [["held out", 4]]
    assert set(table["rows"][0]["values"]) == {1.0}
    by_name = {(d["agent"], d["kind"]): d for d in data["diagnoses"]}
    walked, forced = by_name["random", "gelab-interactive"], by_name["random", "gelab-static"]
    assert walked["count"] == 30 and by_name["oracle", "gelab-interactive"]["failures"] == {}
    assert walked["failures"].get(EARLY, 0) == scores["interactive"]["premature_complete"]
    assert forced["count"] - sum(forced["failures"].values()) == round(scores["static"]["step_all"] * forced["count"])
    assert sum(map(sum, forced["actions"]["counts"])) == forced["count"] == scores["static"]["rows"]
    assert [one["count"] for one in walks_of(3)["scores"]] == [30, 4, 30, 4]  # 10 rows are those of four tasks
    assert all(len(one["walks"]) == 3 for one in walks_of(3)["scores"])


def test_a_walk_has_what_the_viewer_needs(gelab_run):
    _, walks_of, shots = gather(gelab_run, [])
    oracle = walks_of(30)["scores"][0]["walks"]
    assert all(walk["ok"] and walk["failure"] is None and walk["end"] == "arrived and said so" for walk in oracle)
    for walk in oracle:
        assert [page for page, _ in walk["walked"]] == walk["path"]
        assert len(walk["turns"]) == walk["length"] + 1  # the clicks, and `complete`
        for turn in walk["turns"][:-1]:
            (x, y), (x1, y1, x2, y2) = turn["point"], turn["box"]
            assert turn["kind"] == RIGHT and x1 <= x <= x2 and y1 <= y <= y2
    names, uris = shots.embedded([turn["picture"] for walk in oracle for turn in walk["turns"]])
    assert set(names.values()) == set(uris) and all(uri.startswith("data:image/webp;base64,") for uri in uris.values())
    places = {place for walk in oracle for place in (turn["place"] for turn in walk["turns"])}
    assert len(names) == len(uris) == len(places)  # each page once


def test_forms_are_gathered(login_run):
    data, walks_of, _ = gather(login_run, [])
    (table,) = data["tables"]
    agents = [row["agent"] for row in table["rows"]]
    assert agents == ["oracle", "blind", "text_only", "qwen_base", "ceiling"]  # they stand in the metrics files
    assert set(table["rows"][0]["values"]) == {1.0} and table["rows"][-1]["values"] == [1.0] + [None] * 5
    steps, closed = (
        next(d for d in data["diagnoses"] if d["kind"] == kind) for kind in ("login-steps", "login-closed-loop")
    )
    assert (steps["count"], steps["unit"], closed["count"], closed["unit"]) == (18, "answers", 3, "walks")
    strict = read_json(login_run / "runs" / "eval_qwen_base" / "metrics.json")["strict"]
    assert 18 - sum(steps["failures"].values()) == round(18 * strict["step_accuracy"])
    walks = walks_of(9)
    assert walks["scores"][0]["walks"][0]["path"] == ["username", "password", "login"]
    assert set(walks["maps"]) == {walk["map"] for one in walks["scores"] for walk in one["walks"]}


def test_unfinished_runs_are_reported_and_named(gelab_run, tmp_path):
    run = copied(gelab_run, tmp_path)
    out = run / "eval" / "random" / "interactive_ood"
    (out / "metrics.json").unlink()
    lines = (out / "trajectories.jsonl").read_bytes().split(b"\n")
    (out / "trajectories.jsonl").write_bytes(b"\n".join(lines[:7]) + b"\n" + lines[7][:20])  # killed while it wrote
    shutil.rmtree(run / "eval" / "oracle" / "static_ood")
    shutil.rmtree(run / "sft")
    shutil.rmtree(run / "st_rl")
    page = made(run)
    for said in (
        "No training log",
        "random, held out (gelab-interactive): 7 answers so far, not finished",
        "No score of text_only, blind to compare with",
    ):
        assert said in page, said
    data, _, _ = gather(run, [])
    assert [d["count"] for d in data["diagnoses"] if d["kind"] == "gelab-interactive"] == [30, 7]


def test_without_its_world_the_numbers_stand_and_data_brings_the_rest(gelab_run, tmp_path):
    run = copied(gelab_run, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(run / "data", elsewhere)
    page = made(run)
    assert "its world is not below this folder" in page
    assert "Scores" in page and viewer_of(page)["scores"] == []
    assert len(viewer_of(made(run, "--data", elsewhere))["scores"]) == 4


def test_curves_alone_make_a_report(gelab_run, tmp_path):
    shutil.copytree(gelab_run / "sft", tmp_path / "run" / "sft")
    page = made(tmp_path / "run")
    assert "loss, nats a token" in page and "No score is here" in page


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "no score (run.json) and no training log"),
        ("{}", "no record of a run"),
        ("{", "not JSON"),
    ],
)
def test_wrong_folders_are_one_line(tmp_path, capsys, content, said):
    if content:
        (tmp_path / "run.json").write_text(content)
    assert start(tmp_path) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and said in line


def left_out(run: Path, capsys, *flags: object) -> tuple[list[str], dict]:
    """What the page of a run left out (the first of it is said on stderr, in one line), and all that it shows."""
    assert start(run, "--json", *flags) == 0
    said = capsys.readouterr()
    data = json.loads(said.out)
    assert said.err.count("\n") == 1 and data["left_out"][0].removeprefix("Left out: ") in said.err
    page = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    assert all(sentence in page for sentence in data["left_out"])
    return data["left_out"], data


def test_a_broken_answer_file_is_left_out_and_named(gelab_run, tmp_path, capsys):
    run = copied(gelab_run, tmp_path)
    path = run / "eval" / "random" / "static_ood" / "predictions.jsonl"
    path.write_bytes(b"{broken\n" + path.read_bytes())
    (said,), data = left_out(run, capsys)
    assert f"{path}:1: not JSON, a broken line" in said
    assert [(d["agent"], d["kind"]) for d in data["diagnoses"]] == [
        ("oracle", "gelab-interactive"),
        ("oracle", "gelab-static"),
        ("random", "gelab-interactive"),
    ]
    assert [stage["name"] for stage in data["stages"]] == ["sft", "st_rl"]


@pytest.mark.parametrize("name", ["gelab_run", "login_run"])
def test_a_missing_screenshot_is_left_out_and_named(name, request, tmp_path, capsys):
    run = copied(request.getfixturevalue(name), tmp_path)
    shot = run / ("data/world/pages/page_0.png" if name == "gelab_run" else "data/eval/images/0000_00.png")
    shot.unlink()
    (said,), data = left_out(run, capsys)
    assert shot.name in said and "again" in said
    whole = gather(request.getfixturevalue(name), [])[0]
    assert data["tables"] == whole["tables"] and data["diagnoses"] == whole["diagnoses"]  # a picture is no number


def test_an_answer_of_another_world_takes_the_walks_of_its_score_alone(gelab_run, tmp_path, capsys):
    run = copied(gelab_run, tmp_path)
    path = run / "eval" / "random" / "interactive_ood" / "trajectories.jsonl"
    path.write_text(path.read_text().replace('"page":"page_5"', '"page":"page_99"'))
    (said,), data = left_out(run, capsys)
    assert "walks of random, held out: " in said and "no page 'page_99' in its world" in said
    assert len(data["diagnoses"]) == 3 and data["tables"] == gather(gelab_run, [])[0]["tables"]


def test_all_rows_of_sft_make_a_page(cli, gelab_run, tmp_path):
    """Captions and single icons are no walks: they count in the score and are no part of the diagnosis."""
    run = copied(gelab_run, tmp_path)
    out = run / "eval" / "oracle" / "static_sft"
    done = cli("eval/gelab_static.py", "--engine", "oracle", "--data", run / "data" / "sft.jsonl", "--out", out)
    assert done.returncode == 0, done.stderr
    data, _, _ = gather(run, [])
    (forced,) = (d for d in data["diagnoses"] if d["set"] == "sft, step by step")
    kinds = read_json(out / "metrics.json")["metrics"]["rows_by_kind"]
    assert forced["count"] == sum(kinds[name] for name in ("first_click", "middle_click", "complete"))
    assert forced["failures"] == {} and kinds["caption"] > 0 and kinds["grounding"] > 0


def test_data_that_is_not_there_is_one_line(gelab_run, tmp_path, capsys):
    nope = tmp_path / "nope"
    assert start(gelab_run, "--data", nope, "--out", tmp_path / "r.html") == 2
    assert capsys.readouterr().err == f"report: --data {nope}: no such folder; give one with worlds or rows\n"


def test_runs_of_other_kinds_are_named(gelab_run, tmp_path):
    run = copied(gelab_run, tmp_path)
    (run / "probe").mkdir()
    (run / "probe" / "run.json").write_text('{"kind": "probe"}')
    assert "Runs of another kind (probe) lie here too; this page does not show them." in gather(run, [])[0]["missing"]


def test_logs_of_both_kinds(gelab_run, tmp_path):
    (sft, rl) = (curves.stage(name, path) for name, path in scan.logs(gelab_run))
    assert [sft["name"], rl["name"]] == ["sft", "st_rl"] and (sft["steps"], sft["planned"]) == (100, 100)
    assert [panel["title"] for panel in sft["panels"]] == ["loss, nats a token", "token accuracy"]
    assert sft["panels"][0]["lines"][0]["points"][:2] == [[1, 2.0], [2, 1.0]]
    parts = next(panel for panel in rl["panels"] if panel["title"] == "parts of the reward")
    assert parts["lines"] == [{"name": "Type", "points": [[1, 1.0], [2, 1.0], [3, 1.0]]}]
    path = tmp_path / "logging.jsonl"
    rows = [
        {"loss": value, "global_step/max_steps": f"{step}/9"} for step, value in ((1, 4.0), (2, math.nan), (1, 3.0))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"loss": 1')  # resumed, diverged, killed
    killed = curves.stage("x", path)
    assert killed["panels"][0]["lines"][0]["points"] == [[1, 3.0]] and (killed["steps"], killed["dropped"]) == (2, 1)


def test_names_of_agents():
    run = {"engine": "transformers", "model": {"name": "runs/x/checkpoint-9"}}
    places = {
        "eval/sft/static_ood": "sft",
        "eval/sft/interactive_id": "sft",
        "runs/eval_qwen_ft": "qwen_ft",
        "runs/eval_qwen_ft_closed_loop": "qwen_ft",
        "mt_rl/watch/checkpoint-500": "mt_rl/watch/checkpoint-500",
        ".": "checkpoint-9",
        "interactive_ood": "checkpoint-9",
    }
    assert {place: scan.agent_of(Path(place), run) for place in places} == places


# Pure parts, by hand


def steps(*kinds: str) -> list[diagnosis.Step]:
    return [diagnosis.Step(kind, "icon", "nothing") for kind in kinds]


def one(ok: bool, order: int, *kinds: str) -> diagnosis.Walk:
    return diagnosis.Walk(ok, False, steps(*kinds), (order,), lambda: {"order": order})


def test_walks_are_picked_in_turn_of_each_outcome():
    walks = (
        [one(True, i, RIGHT) for i in range(6)]
        + [one(False, 10 + i, MISSED) for i in range(3)]
        + [one(False, 20, WRONG)]
    )
    assert [walk.order[0] for walk in diagnosis.picked(walks, 5)] == [10, 20, 0, 11, 1]
    assert [walk["order"] for walk in diagnosis.shown(walks, 5)] == [0, 1, 10, 11, 20]
    assert len(diagnosis.picked(walks, 99)) == 10 and diagnosis.picked([], 3) == []


def test_diagnosis_counts():
    walks = [one(True, 0, RIGHT), one(False, 1, RIGHT, MISSED), one(False, 2, WRONG, MISSED, MISSED)]
    whole = diagnosis.diagnosis(walks, ("icon",), ("nothing",), whole=True)
    assert (whole["count"], whole["failures"]) == (3, {MISSED: 2})
    assert (whole["first_steps"], whole["first_kinds"]) == ({"1": 1, "2": 1}, {MISSED: 1, WRONG: 1})
    single = diagnosis.diagnosis(walks, ("icon",), ("nothing",), whole=False)
    assert (single["count"], single["failures"]) == (6, {MISSED: 3, WRONG: 1})
    assert single["actions"]["counts"] == [[6]] and single["actions"]["right"] == [[2]]


def test_clicks_on_the_page_and_around_the_target():
    assert diagnosis.offset((150, 100), (100, 100, 200, 140)) == (0, -1)
    some = [diagnosis.Step(MISSED, "icon", "nothing", point, (100, 100, 200, 200)) for point in ((150, 250), (1200, 3))]
    assert diagnosis.clicks(some) == {"count": 2, "outside": 1, "page": [[150, 250, MISSED]], "aim": [[0, 2, MISSED]]}
    assert list(diagnosis.evenly(range(10), 4)) == [0, 2, 5, 7]


def test_ticks_are_round():
    assert charts.nice(0, 2800) == [0, 1000, 2000, 3000]
    assert charts.nice(0, 0.9) == [0, 0.5, 1] and charts.nice(0, 0) == [0, 0.5, 1]
    assert charts.decades(0.003, 8) == [0.001, 0.01, 0.1, 1, 10]


def test_lines_stand_where_the_numbers_are():
    frame = charts.Frame([(0, 0.0), (10, 1.0)], "share")
    width, bottom = charts.WIDTH - charts.RIGHT - charts.INSET, charts.HEIGHT - charts.BOTTOM
    assert frame.at(0, 0) == (charts.LEFT + charts.INSET, bottom) and frame.at(10, 1) == (width, charts.TOP)
    assert charts.Frame([(1, 0.5)], "plain").at(1, 0)[1] == bottom
    drawn = charts.lines(
        [{"name": "<b>", "colour": "red", "points": [[1, 0.5, 0.4, 0.6, 9], [2, 0.5, None, None, 9]]}], "share", "x"
    )
    assert drawn.count("<circle") == 2 and drawn.count('class="whisker"') == 1
    assert "&lt;b&gt;, 1: 50.0 % of 9 (95 %: 40.0 to 60.0)" in drawn


def test_pictures_are_small_and_shared(tmp_path):
    kept = pictures.Pictures()
    opened = []
    for key, colour in (("a", "red"), ("b", "red"), ("c", "blue"), ("never", "green")):
        kept.add(key, lambda key=key, colour=colour: opened.append(key) or Image.new("RGB", (1600, 800), colour))
    names, uris = kept.embedded(["a", "b", "c", "a"])
    kept.embedded(["a"])
    assert opened == ["a", "b", "c"] and names["a"] == names["b"] != names["c"] and len(uris) == 2
    assert sum(map(len, uris.values())) < 8000


def test_the_first_sentences():
    walks = {"set": "held out", "kind": "gelab-interactive", "unit": "walks"}
    rows = {"set": "held out, step by step", "kind": "gelab-static", "unit": "answers"}
    first = {"first_steps": {"2": 3, "1": 1}, "first_kinds": {WRONG: 3, PARSE: 1}}
    data = {
        "diagnoses": [
            {"agent": "blind", **walks, "count": 4, "failures": {MISSED: 3}},
            {"agent": "sft", **walks, "count": 8, "failures": {EARLY: 3, PARSE: 1}, **first},
            {"agent": "sft", **rows, "count": 8, "failures": {}},
            {"agent": "sft/watch/checkpoint-9", **walks, "count": 8, "failures": {}},
        ]
    }
    assert lead.sentences(data) == [
        "sft arrives in 4 of 8 held-out walks (50.0 %).",
        "Most often it fails by premature complete: the claim that the goal is reached (complete, DONE) where it is "
        "not (3 of 4), then by parse failure (1).",
        "What goes wrong first is most often wrong element (3), and most often at step 2 (3).",
        "For comparison: blind arrives in 1 of 4 held-out walks (25.0 %), and never looks at the screen.",
    ]
    assert lead.sentences({"diagnoses": []}) == []


# The page


class Tags(HTMLParser):
    """Names and attributes of all tags of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_hostile_text_stays_text(hostile_run):
    page = made(hostile_run)
    tags = Tags(page).found
    names = [tag for tag, _ in tags]
    assert names.count("script") == 2 and not {"img", "iframe", "object"} & set(names)
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    said = {turn["said"] for one in viewer_of(page)["scores"] for walk in one["walks"] for turn in walk["turns"]}
    assert set(HOSTILE[:3]) <= said
    assert "a" * 2000 + " … and 3,000 more characters" in said
    assert "\u2028" not in page and "<title>&lt;b&gt;" in page


def test_nothing_is_fetched(gelab_run, login_run):
    for run in (gelab_run, login_run):
        page = made(run)
        addresses = set(re.findall(r"https?://[^\s\"'<)]+", page)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set()
        links = [a[name] for _, a in Tags(page).found for name in ("src", "href") if a.get(name)]
        assert links == ["data:,"] and "default-src 'none'" in page
        assert len(page.encode()) < 2_000_000


def test_the_page_is_the_same_again(cli, login_run):
    """In another process too, whose sets and hashes have another order."""
    done = cli("eval/report.py", login_run, PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr
    assert (login_run / "report.html").read_text(encoding="utf-8") == made(login_run)


def test_walks_are_capped_and_what_is_left_out_is_said(gelab_run):
    few = viewer_of(made(gelab_run, "--walks", 3))["scores"]
    assert [(len(one["walks"]), one["count"]) for one in few] == [(3, 30), (3, 4), (3, 30), (3, 4)]


def test_a_page_over_the_limit_gets_fewer_walks(gelab_run, monkeypatch, capsys):
    data, walks_of, shots = gather(gelab_run, [])
    whole = report.fitting(data, walks_of, shots, 8)
    monkeypatch.setattr(report, "LIMIT", len(whole) - 1)
    assert len(viewer_of(report.fitting(data, walks_of, shots, 8))["scores"][0]["walks"]) == 4
    assert "now with 4 walks" in capsys.readouterr().err


def test_json_is_what_the_page_shows(cli, gelab_run):
    done = cli("eval/report.py", gelab_run, "--json")
    assert json.loads(done.stdout) == gather(gelab_run, [])[0]


# In a browser


def browse(page: Path, tmp_path: Path, place: str = "", width: int = 1200) -> tuple[str, list[str]]:
    """(the page after its scripts have run, what stood in the console) in a headless browser of its own."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--enable-logging=stderr", f"--window-size={width},1000", "--dump-dom", page.resolve().as_uri() + place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@needs_browser
def test_a_broken_page_is_noticed(tmp_path):
    (tmp_path / "x.html").write_text("<script>throw new Error('planted')</script>")
    _, console = browse(tmp_path / "x.html", tmp_path)
    assert len(console) == 1 and "planted" in console[0]


@needs_browser
@pytest.mark.parametrize("name", ["gelab_run", "login_run", "hostile_run"])
def test_it_opens_without_an_error(name, request, tmp_path):
    run = request.getfixturevalue(name)
    made(run)
    seen, console = browse(run / "report.html", tmp_path)
    assert console == []
    ready = Tags(seen).found[0][1]["data-ready"]
    assert ready.isdigit()  # milliseconds until the script ended; it stands there only if it did
    assert seen.count('class="turn"') >= 1 and seen.count('class="row"') >= 3 and 'class="way"' in seen


@needs_browser
def test_the_address_chooses_agent_and_outcome(gelab_run, tmp_path):
    made(gelab_run)
    seen, console = browse(
        gelab_run / "report.html", tmp_path, "#agent=random&set=held+out&outcome=missed+click&walk=1"
    )
    assert console == []
    pressed = re.findall(r'aria-pressed="true"[^>]*>(?:<i[^>]*></i>)?([^<]*)<', seen)
    data, walks_of, _ = gather(gelab_run, [])
    random = next(one for one in walks_of(40)["scores"] if (one["agent"], one["set"]) == ("random", "held out"))
    missed = [walk for walk in random["walks"] if walk["failure"] == MISSED]
    assert pressed == ["random", "held out", f"missed click {len(missed)}"]
    assert seen.count('class="row"') == len(missed) and seen.count('class="turn"') == len(missed[1]["turns"])


CLICKS = """<script>
for (const name of ["agents", "sets", "outcomes", "list"])
  document.getElementById(name).querySelector("button:last-of-type").click();
document.querySelector(".step").click();
document.querySelector(".shot").click();
document.documentElement.dataset.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
</script>"""


@needs_browser
def test_every_kind_of_button_works_on_a_narrow_screen(gelab_run, tmp_path):
    (tmp_path / "x.html").write_text(made(gelab_run) + CLICKS, encoding="utf-8")
    seen, console = browse(tmp_path / "x.html", tmp_path, width=500)
    assert console == []
    pressed = re.findall(r'aria-pressed="true"[^>]*>(?:<i[^>]*></i>)?([^<]*)<', seen)
    assert pressed[:2] == ["random", "held out, step by step"] and pressed[2].startswith("missed click")
    (large,) = [attributes for tag, attributes in Tags(seen).found if tag == "dialog"]
    assert "open" in large and Tags(seen).found[0][1]["data-wide"] == "0"


# Weights & Biases


def test_what_wandb_gets(gelab_run):
    data, _, _ = gather(gelab_run, [])
    summary = to_wandb.summary(data)
    assert summary["oracle/held out/Pass@1"] == 1.0
    history = to_wandb.history(data)
    assert len(history) == 103 and history[0] == (
        "sft",
        1,
        {"loss, nats a token/loss": 2.0, "token accuracy/training": 0.0},
    )


@pytest.mark.slow
def test_wandb_offline(cli, gelab_run, tmp_path):
    pytest.importorskip("wandb")
    run = copied(gelab_run, tmp_path)
    Image.new("RGB", (8, 8)).save(run / "curves.png")
    done = cli("eval/report.py", run, "--wandb", "gui-swift", WANDB_MODE="offline", WANDB_SILENT="true")
    assert done.returncode == 0, done.stderr
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert next(folder.glob("*.wandb")).stat().st_size > 0
    kept = [path.name for path in (folder / "files" / "media").rglob("*") if path.is_file()]
    assert any(name.endswith(".html") for name in kept) and any(name.endswith(".png") for name in kept)


@pytest.mark.slow  # wandb takes its time to start
@pytest.mark.parametrize("mode", [{}, {"WANDB_MODE": "online"}])
def test_wandb_without_a_key_is_one_line(cli, gelab_run, tmp_path, mode):
    """The page is there all the same, and what the line says to do does it."""
    pytest.importorskip("wandb")
    run = copied(gelab_run, tmp_path)
    start = ["eval/report.py", run, "--wandb", "gui-swift"]
    done = cli(*start, HOME=str(tmp_path), WANDB_API_KEY="", **mode)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and last.startswith("report: --wandb: ") and "WANDB_MODE=offline" in last, done.stderr
    assert "Traceback" not in done.stderr and (run / "report.html").is_file()
    assert cli(*start, HOME=str(tmp_path), WANDB_API_KEY="", WANDB_MODE="offline").returncode == 0
