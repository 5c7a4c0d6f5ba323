"""recipes/tiny_base: which stages follow each other, by fakes; one stage for real."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fake_programs
import pytest
from fake_programs import value

from data_engine.sight.curriculum import STAGES

REPO = Path(__file__).resolve().parents[1]
LEAVES = """
if "data_engine.sight.write" in argv:
    Path(argv[3]).mkdir(parents=True)
if argv[0] == "swift":
    folder = Path(value("--output_dir")) / "checkpoint-2"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{}")
if "probe.py" in argv[1]:
    Path(value("--out")).mkdir(parents=True)
    (Path(value("--out")) / "metrics.json").write_text("{}")
"""
USERS = ("NPROC_PER_NODE", "OUTPUT", "MODEL", "RESUME", "TEMPLATE")


@pytest.fixture
def start(tmp_path):
    """start() -> what the recipe starts, in order. It runs in a copy without an environment of its own."""
    shutil.copytree(REPO / "recipes", tmp_path / "copy" / "recipes")

    def start() -> list[dict]:
        recipe = tmp_path / "copy/recipes/tiny_base/pretrain.sh"
        calls, done = fake_programs.run(tmp_path, [recipe], LEAVES, fake_programs.clean(USERS, STEPS="2", PROBE="3"))
        assert done.returncode == 0, done.stderr
        return calls

    return start


def test_each_stage_draws_trains_and_is_probed_and_goes_on_from_the_last(start, tmp_path):
    """But for the first stages of marks and of words, which go on from the icon model."""
    first, *calls = start()
    assert first["argv"][1:3] == ["tools/make_tiny_model.py", str(tmp_path / "run/scratch")]
    stages = [calls[i : i + 3] for i in range(0, len(calls), 3)]
    model = tmp_path / "run" / "scratch"
    for number, (draw, train, probe) in enumerate(stages, 1):
        assert value(draw, "--stage") in STAGES and value(draw, "--seed") == str(number)
        screens = 2 * int(value(train, "--per_device_train_batch_size")) * int(train["env"].get("NPROC_PER_NODE", 1))
        assert value(draw, "--rows") == str(screens)
        out = Path(value(train, "--output_dir"))
        if out.name in ("numbered", "words"):
            model = tmp_path / "run" / "pages" / "checkpoint-2"
        assert value(train, "--model") == str(model)
        assert (out / "from").read_text() == f"{model.relative_to(tmp_path / 'run')}\n"
        model = out / "checkpoint-2"
        assert (value(probe, "--model"), value(probe, "--rows")) == (str(model), "3")
    names = [Path(value(train, "--output_dir")).name for _, train, _ in stages]
    assert names[0] == "start" and names.index("pages") < names.index("forms_end") < names.index("marks_end")
    assert names[-2:] == ["words", "reading"]
    assert len(set(names)) == len(names)
    assert not list((tmp_path / "run").rglob("rows"))


def test_what_is_finished_is_kept_and_a_training_that_ended_is_only_probed(start, tmp_path):
    start()
    assert [call["argv"][1] for call in start()] == ["tools/make_tiny_model.py"]
    shutil.rmtree(tmp_path / "run" / "two" / "probe")
    again = start()[1:]
    assert [call["argv"][0] for call in again] == ["python", "python"]
    assert value(again[1], "--out") == str(tmp_path / "run" / "two" / "probe")


@pytest.mark.slow
def test_a_stage_for_real(cli, tmp_path):
    made = cli("tools/make_tiny_model.py", tmp_path / "model", "--family", "qwen3_vl", "--size", "2m")
    assert made.returncode == 0, made.stderr
    drawn = cli("data_engine.sight.write", tmp_path / "rows", "--stage", "forms", "--rows", "8", "--seed", "1")
    assert drawn.returncode == 0, drawn.stderr
    env = {name: value for name, value in os.environ.items() if name not in ("NPROC_PER_NODE", "RESUME")}
    env |= {"MODEL": str(tmp_path / "model"), "SIGHT_DATA": str(tmp_path / "rows"), "OUTPUT": str(tmp_path / "out")}
    env |= {"MAX_PIXELS": "56320", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
    command = ["bash", str(REPO / "recipes/tiny_base/stage.sh"), "--per_device_train_batch_size", "4"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    state = json.loads((tmp_path / "out/checkpoint-2/trainer_state.json").read_text())
    assert state["global_step"] == 2
