"""The evaluation scripts of the forms as a user starts them: engines, baselines, both loops, resuming, wrong use."""

import json
from pathlib import Path

import pytest

from data_engine.dataset import read_json, read_rows, write_rows
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write

EVAL, SCORE = "eval/login_eval.py", "eval/login_score.py"
PAGE = Size(448, 320)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """data("hard-login-coord"): twelve episodes, made once."""
    done = {}

    def data(name: str) -> Path:
        if name not in done:
            protocol, scenario, mode = name.split("-")
            done[name] = tmp_path_factory.mktemp("data") / name
            options = Options(scenario, mode, protocol, episodes=12, split="eval", page_size=PAGE)
            write(done[name], options, system=True)
        return done[name]

    return data


@pytest.fixture(scope="module")
def run(cli, data, tmp_path_factory):
    """run(name, engine, *flags): metrics.json of a finished run, and its folder."""

    def run(name: str, engine: str, *flags: object) -> tuple[dict, Path]:
        out = tmp_path_factory.mktemp("runs") / "run"
        done = cli(EVAL, "--engine", engine, "--data", data(name), "--out", out, "--json", *flags)
        assert done.returncode == 0, done.stderr
        result = read_json(out / "metrics.json")
        assert json.loads(done.stdout) == result
        return result, out

    return run


@pytest.mark.parametrize("name", ["hard-login-coord", "hard-login-som", "scripted-login-coord"])
def test_the_oracle_is_perfect_in_both_loops(run, name):
    result, _ = run(name, "oracle")
    assert result["metrics"]["episode_success_rate"] == result["strict"]["episode_success_rate"] == 1.0
    assert result["metrics"]["mean_episode_step_score"] == 1.0
    assert result["ceiling"] == {"type_accuracy": 1.0, "episode_success_rate": 1.0}
    closed, _ = run(name, "oracle", "--closed-loop")
    assert closed["metrics"]["success_rate"] == closed["metrics"]["declared_rate"] == 1.0
    assert closed["metrics"]["mean_steps"] == 5.0


def test_the_published_schema_and_ceiling(run):
    result, out = run("published-login-coord", "oracle")
    assert (result["backend"], result["dsl_mode"]) == ("oracle", "coord") and result["config_path"]
    assert len(result["metrics"]) == 13 and result["metrics"]["num_steps"] == 84
    assert result["ceiling"] == {"type_accuracy": pytest.approx(4 / 7), "episode_success_rate": 0.0}  # 57.1 %
    assert result["baselines"]["classic"]["text_only"]["action_type_accuracy"] == pytest.approx(3 / 7)  # as published
    assert [row["step"] for row in read_rows(out / "predictions.jsonl")][:7] == list(range(7))


def test_the_baselines_stand_beside_every_report(run):
    hard, _ = run("hard-login-coord", "random")
    beside = hard["baselines"]["strict"]
    assert beside["oracle"]["episode_success_rate"] == 1.0
    assert beside["blind"]["episode_success_rate"] <= 0.1 and beside["text_only"]["episode_success_rate"] <= 0.1
    assert hard["strict"]["episode_success_rate"] == 0.0
    scripted, _ = run("scripted-login-som", "random", "--closed-loop")
    assert {scripted["baselines"][name]["success_rate"] for name in ("oracle", "blind", "text_only")} == {1.0}


@pytest.mark.parametrize("name", ["hard-login-coord", "hard-login-som"])
def test_blind_in_the_closed_loop(run, name):
    blind, _ = run(name, "blind", "--closed-loop")
    text_only, _ = run(name, "text_only", "--closed-loop")
    assert blind["metrics"]["success_rate"] <= 0.1 and text_only["metrics"]["success_rate"] <= 0.1
    assert blind["metrics"] == text_only["baselines"]["blind"]


def test_a_limit_leaves_the_baselines_their_lesson(run):
    result, _ = run("scripted-login-coord", "blind", "--limit", 6)
    assert result["metrics"]["num_steps"] == 6 and result["metrics"]["action_type_accuracy"] == 1.0
    assert result["baselines"]["classic"]["blind"] == result["metrics"]


def test_replay_says_the_same(run):
    for flags in [], ["--closed-loop"]:
        first, out = run("hard-login-som", "random", *flags)
        lines = out / ("trajectories.jsonl" if flags else "predictions.jsonl")
        second, again = run("hard-login-som", "replay", "--model", lines, *flags)
        assert first["metrics"] == second["metrics"] and (again / lines.name).read_bytes() == lines.read_bytes()


def test_a_cut_run_ends_with_the_same_bytes(cli, data, run):
    _, out = run("hard-login-coord", "random", "--closed-loop", "--batch-size", 2)
    path = out / "trajectories.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    again = ["--engine", "random", "--data", data("hard-login-coord"), "--out", out, "--closed-loop", "--batch-size", 2]
    assert cli(EVAL, *again).returncode == 0 and path.read_bytes() == whole
    done = cli(EVAL, *again, "--seed", 5)
    assert done.returncode == 2 and "holds a run with another seed" in done.stderr


def test_trajectories(run):
    _, out = run("hard-login-som", "oracle", "--closed-loop", "--limit", 2)
    trips = read_rows(out / "trajectories.jsonl")
    assert [trip["key"] for trip in trips] == [f"hard-login-som-eval-123-000{i}" for i in range(2)]
    assert [turn["outcome"] for turn in trips[0]["turns"]] == "focused typed focused typed accepted done".split()
    assert trips[0]["ended"] == "accepted" and len(list((out / "pictures").iterdir())) == 12


def test_the_text_shows_model_and_baselines_side_by_side(cli, data, tmp_path):
    done = cli(EVAL, "--engine", "random", "--data", data("hard-login-coord"), "--out", tmp_path / "run")
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["random", "oracle", "blind", "text_only"]
    assert next(line for line in lines if line.startswith("weak_episode")).split()[2] == "1.0000"
    assert lines[-1] == "ceiling of any deterministic model: type accuracy 100.0%, episodes 100.0%"


def foreign(tmp_path: Path) -> Path:
    """Predictions of another program: nothing but what the format asks for."""
    rows = []
    for name, x in ("a", 0.5), ("b", 0.52):
        truth = {"type": "click", "x": x, "y": 0.5, "text": None, "bbox": [0.4, 0.4, 0.6, 0.6], "element": None}
        line = {"episode": name, "step": 0, "scenario": "login", "mode": "coord", "truth": truth}
        rows += [line | {"prediction": "Action: CLICK(x=0.5, y=0.5)"}]
        rows += [line | {"step": 1, "truth": {"type": "done"}, "prediction": "Action: WAIT()"}]
    write_rows(tmp_path / "p.jsonl", rows)
    return tmp_path / "p.jsonl"


def test_scores_of_foreign_predictions(cli, tmp_path):
    path = foreign(tmp_path)
    done = cli(SCORE, path, "--scoring", "classic", "--out", tmp_path / "m.json", "--json")
    assert done.returncode == 0, done.stderr
    result = read_json(tmp_path / "m.json")
    assert result["metrics"]["action_type_accuracy"] == 0.5
    assert result["metrics"]["mean_coord_error"] == pytest.approx(0.01) and result["metrics"]["click_hit_rate"] == 1.0
    assert result["baselines"]["oracle"]["mean_episode_step_score"] == 1.0
    assert result["baselines"]["blind"]["mean_coord_error"] == pytest.approx(0.02)  # each learns from the other
    assert result["baselines"]["text_only"] is None  # no prompts are kept
    strict = cli(SCORE, path, "--json")
    assert json.loads(strict.stdout)["metrics"]["step_accuracy"] == 0.5


def test_scores_equal_those_of_the_run(cli, run):
    result, out = run("hard-login-som", "random")
    for scoring, metrics in ("classic", result["metrics"]), ("strict", result["strict"]):
        done = cli(SCORE, out / "predictions.jsonl", "--scoring", scoring, "--json")
        assert json.loads(done.stdout)["metrics"] == metrics
        assert json.loads(done.stdout)["baselines"] == result["baselines"][scoring]


def test_wrong_use_is_one_line(cli, data, tmp_path):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "half.jsonl").write_text('{"episode": "a", "step": 0, "mode": "coord"}\n')
    edited = tmp_path / "edited"
    write(edited, Options(episodes=1, page_size=PAGE))
    with open(edited / "rows.jsonl", "a") as file:
        file.write("\n")
    out = ["--out", tmp_path / "run"]
    wrong = [
        ([SCORE, tmp_path / "none.jsonl"], "no such file"),
        ([SCORE, tmp_path / "empty.jsonl"], "holds no rows"),
        ([SCORE, tmp_path / "half.jsonl"], "episode 'a' step 0: needs text under 'prediction'"),
        ([EVAL, "--engine", "oracle", "--data", tmp_path / "none", *out], "not part of this folder"),
        ([EVAL, "--engine", "oracle", "--data", edited, *out], "was changed after it was written"),
        ([EVAL, "--engine", "replay", "--data", data("hard-login-coord"), *out], "needs --model"),
    ]
    for command, line in wrong:
        done = cli(*command)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert line in done.stderr or "not a finished login-rows folder" in done.stderr
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_tiny_model_is_asked(run, tiny_model):
    result, out = run("hard-login-som", "transformers", "--model", tiny_model, "--limit", 2, "--max-new-tokens", 4)
    assert result["metrics"]["num_steps"] == 2 and len(read_rows(out / "predictions.jsonl")) == 2
