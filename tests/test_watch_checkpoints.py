"""The watcher: complete checkpoints only, best by success, ends with the run. Checkpoints here are mere states."""

import json
import threading
import time

import pytest


@pytest.fixture(scope="module")
def watcher(tool_module):
    return tool_module("watch_checkpoints")


def save(run, step: int, last: int = 9):
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": last}))


def metrics(success: float) -> dict:
    return {"pass_at_1": success, "pass_at_k": success, "greedy": success, "declared": 0.0}


def test_best_is_by_success_and_the_earliest_of_equals(watcher):
    scores = {30: metrics(0.5), 4: metrics(0.25), 10: metrics(0.5)}
    best = watcher.best_of(scores)
    assert (best["checkpoint"], best["step"], best["pass_at_1"]) == ("checkpoint-10", 10, 0.5)
    assert list(best["by_step"]) == ["4", "10", "30"]


def test_only_complete_checkpoints_by_step(watcher, tmp_path):
    for step in (10, 9):
        save(tmp_path, step)
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-4" / "trainer_state.json").touch()  # for a moment it is there and empty
    assert [path.name for path in watcher.checkpoints(tmp_path)] == ["checkpoint-9", "checkpoint-10"]


def test_new_checkpoints_are_seen_until_the_last(watcher, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(watcher, "score", lambda path, out, flags: asked.append(path.name) or metrics(len(asked)))

    def train():
        for step in (3, 6, 9):
            save(tmp_path, step)
            time.sleep(0.05)

    (tmp_path / "watch").mkdir()
    trainer = threading.Thread(target=train)
    trainer.start()
    watcher.watch(tmp_path, [], once=False, every=0.01)
    trainer.join()
    assert asked == ["checkpoint-3", "checkpoint-6", "checkpoint-9"]
    assert json.loads((tmp_path / "watch" / "best.json").read_text())["checkpoint"] == "checkpoint-9"


def test_as_a_user_starts_it(cli, small_data, tmp_path):
    for step in (3, 6):
        save(tmp_path, step)
    flags = ("--world", small_data / "world", "--tasks", small_data / "tasks_ood.jsonl", "--once", "--engine", "oracle")
    done = cli("tools/watch_checkpoints.py", tmp_path, *flags, "--limit", 3, "--attempts", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "checkpoint-3: Pass@1 100.0 %, best checkpoint-3",
        "checkpoint-6: Pass@1 100.0 %, best checkpoint-3",
    ]
    assert json.loads((tmp_path / "watch" / "best.json").read_text())["greedy"] == 1.0


@pytest.mark.parametrize("made, message", [(False, "no complete checkpoint"), (True, "not part of this folder")])
def test_wrong_use_is_one_line(cli, small_data, tmp_path, made, message):
    if made:
        save(tmp_path, 3)
    flags = ("--world", small_data / "world", "--tasks", small_data / "nowhere.jsonl", "--once", "--engine", "oracle")
    done = cli("tools/watch_checkpoints.py", tmp_path, *flags)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("watch_checkpoints: ") and message in done.stderr


def test_a_checkpoint_that_training_removed_is_passed_over(watcher, tmp_path, capsys):
    assert watcher.score(tmp_path / "checkpoint-3", tmp_path / "out", ["--engine", "none"]) is None
    assert "checkpoint-3: removed before it was scored" in capsys.readouterr().err
