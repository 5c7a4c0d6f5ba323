"""Progress of trainings and evaluations: finished, running, killed in a line, just started."""

import json
import os
from pathlib import Path

import pytest

from data_engine.dataset import read_json, read_rows, write_json
from data_engine.runlog import start_path

NOW = 1_000_000.0


@pytest.fixture(scope="module")
def progress(tool_module):
    return tool_module("progress")


@pytest.fixture
def training(tmp_path) -> Path:
    """A training after 30 of 100 steps, four seconds a step, last written ten seconds ago."""
    folder = tmp_path / "run" / "sft"
    (folder / "checkpoint-20").mkdir(parents=True)
    (folder / "args.json").write_text("{}")
    (folder / "checkpoint-20" / "args.json").write_text("{}")  # as ms-swift leaves it
    (folder / "checkpoint-20" / "trainer_state.json").write_text(json.dumps({"global_step": 20, "max_steps": 100}))
    lines = [
        {"loss": 2.0, "token_acc": 0.5, "global_step/max_steps": "10/100", "train_speed(s/it)": 5.0},
        {"loss": 1.5, "token_acc": 0.75, "global_step/max_steps": "30/100", "train_speed(s/it)": 4.0},
    ]
    (folder / "logging.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"loss": 1.2, "glo')
    os.utime(folder / "logging.jsonl", (NOW - 10, NOW - 10))
    return folder


def test_a_training_by_hand(progress, training):
    (one,) = progress.runs(training.parent, NOW)
    assert (one.done, one.total, one.rate, one.finished) == (30, 100, 0.25, False)
    assert one.remaining == 280  # 70 steps of 4 s
    assert (one.silent, one.score) == (10, {"loss": 1.5, "token_acc": 0.75})
    assert str(one).endswith(
        "30/100 30% steps  4.0 s/step, remaining 4 min 40 s  last written 10 s ago  loss 1.5  token_acc 0.75"
    )


def test_a_training_without_a_log_yet(progress, training):
    (training / "logging.jsonl").unlink()
    (one,) = progress.runs(training, NOW)
    assert (one.done, one.total, one.rate) == (20, 100, None)  # its checkpoint knows
    (training / "checkpoint-30").mkdir()
    (training / "checkpoint-30" / "trainer_state.json").write_text('{"global_st')  # being written
    (one,) = progress.runs(training, NOW)
    assert one.done == 20
    for path in training.glob("checkpoint-*/trainer_state.json"):
        path.unlink(), (path.parent / "args.json").unlink(missing_ok=True)
    (one,) = progress.runs(training, NOW)
    assert (one.done, one.total, one.remaining) == (0, None, None) and "nothing written yet" in str(one)


@pytest.fixture
def evaluation(cli, small_data, tmp_path) -> Path:
    """A finished evaluation of 86 rows."""
    out = tmp_path / "run" / "eval" / "random" / "static"
    done = cli("eval/gelab_static.py", "--engine", "oracle", "--data", small_data / "eval_ood.jsonl", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_an_evaluation_by_hand(progress, evaluation):
    (one,) = progress.runs(evaluation, NOW)
    assert (one.done, one.total, one.unit, one.finished, one.score) == (86, 86, "rows", True, {"step_all": 1.0})
    start = start_path(evaluation / "predictions.jsonl")
    assert read_json(start)["items"] == 86 and read_json(start)["done"] == 0
    # continued with 16 rows there, 40 s ago; 10 s ago the 36th line was written, and a half one
    lines = (evaluation / "predictions.jsonl").read_bytes().split(b"\n")
    (evaluation / "predictions.jsonl").write_bytes(b"\n".join([*lines[:36], lines[36][:20]]))
    os.utime(evaluation / "predictions.jsonl", (NOW - 10, NOW - 10))
    write_json(start, {"items": 86, "done": 16, "at": NOW - 40})
    (one,) = progress.runs(evaluation, NOW)
    assert (one.done, one.rate, one.remaining, one.silent) == (36, 20 / 30, 75, 10)
    # without that record its run.json still says how many there will be
    start.unlink()
    (one,) = progress.runs(evaluation, NOW)
    assert (one.total, one.rate, one.finished) == (86, None, False) and "rate unknown" in str(one)


@pytest.mark.parametrize(
    "run, lines",
    [
        ({"data": {"rows": 30}, "limit": None, "attempts": 5}, 180),  # and one greedy attempt
        ({"data": {"rows": 30}, "limit": 10, "attempts": 0}, 10),
        ({"data": {"rows": 30}, "limit": 99}, 30),
        ({"data": {}}, None),
        ({}, None),
    ],
)
def test_expected_lines(progress, run, lines):
    assert progress.expected(run) == lines


def test_just_started(progress, evaluation):
    for path in evaluation.iterdir():
        if path.name != "run.json":
            path.unlink()
    (one,) = progress.runs(evaluation, NOW)
    assert (one.done, one.total, one.score) == (0, 86, {}) and "nothing written yet" in str(one)


def test_all_runs_below_a_folder(cli, training, evaluation, tmp_path):
    done = cli("tools/progress.py", tmp_path / "run")
    first, second = done.stdout.splitlines()
    assert done.returncode == 0 and first.startswith("sft  training  30/100 30% steps")
    assert second == "eval/random/static  evaluation  86/86 100% rows  finished  step_all 1"
    found = json.loads(cli("tools/progress.py", evaluation, "--json", "--watch").stdout)  # ends: all is finished
    assert [(one["run"], one["done"], one["finished"]) for one in found] == [("static", 86, True)]


def test_nothing_there_is_one_line(cli, tmp_path):
    done = cli("tools/progress.py", tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_broken_line_is_named(cli, evaluation):
    lines = (evaluation / "predictions.jsonl").read_bytes().split(b"\n")
    (evaluation / "predictions.jsonl").write_bytes(b"\n".join([lines[0], b'{"idx', *lines[2:]]))
    done = cli("tools/progress.py", evaluation)
    assert done.returncode == 2 and "predictions.jsonl:2: not JSON" in done.stderr


@pytest.mark.parametrize("seconds, text", [(None, "unknown"), (9.4, "9 s"), (75, "1 min 15 s"), (3900, "1 h 05 min")])
def test_spans(progress, seconds, text):
    assert progress.span(seconds) == text


def test_it_reads_what_a_run_has_written(evaluation):
    assert len(read_rows(evaluation / "predictions.jsonl")) == 86
