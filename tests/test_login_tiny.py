"""recipes/login/tiny.sh and its short form: which programs they start, by fakes; the small form for real; the table."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import fake_programs
import pytest
from fake_programs import programs, value
from PIL import Image

from data_engine.dataset import read_json, write_rows
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write

REPO = Path(__file__).resolve().parents[1]
LOGIN = REPO / "recipes" / "login"
USERS = (
    "MODE",
    "START",
    "STEPS",
    "EPISODES",
    "LIMIT",
    "CURVE",
    "RUN",
    "MODEL",
    "RESUME",
    "MAX_PIXELS",
    "TEMPLATE",
)
USERS += ("OUTPUT", "LOGIN_DATA", "NPROC_PER_NODE", "NNODES", "OMP_NUM_THREADS")

LEAVES = """
if argv[0] == "swift":
    every, last = (int(value(flag)) for flag in ("--save_steps", "--max_steps"))
    for step in sorted({*range(every, last, every), last}):
        folder = Path(value("--output_dir")) / f"checkpoint-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "trainer_state.json").write_text("{}")
if "login_eval" in argv[1]:
    out = Path(value("--out"))
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps({"model": value("--model")}))
"""


@pytest.fixture
def start(tmp_path):
    """start(script, *flags, **environment) -> (what it starts, in order; the finished process); in tmp_path/run."""
    login = fake_programs.clone(tmp_path) / "recipes" / "login"

    def start(script: str, *flags: str, **environment: str) -> tuple[list[dict], subprocess.CompletedProcess]:
        return fake_programs.run(tmp_path, [login / script, *flags], LEAVES, fake_programs.clean(USERS, **environment))

    return start


WRITE = "data_engine.login.write"
ALL = [WRITE, WRITE, "make_tiny_model", "probe", "sft", *["login_eval"] * 6, "plot_metrics", "login_table"]


def training(calls: list[dict]) -> dict:
    (one,) = (call for call in calls if call["argv"][0] == "swift")
    return one


def test_coordinates_from_the_base_model(start, tmp_path):
    calls, done = start("tiny.sh", "--learning_rate", "3e-4", STEPS="10", EPISODES="7", LIMIT="3")
    assert done.returncode == 0, done.stderr
    here = tmp_path / "run" / "coord"
    assert programs(calls) == ALL
    train, evaluation, model, seen, sft = calls[:5]
    for call, split, episodes in (train, "train", "7"), (evaluation, "eval", "3"):
        given = {flag: value(call, flag) for flag in ("--mode", "--protocol", "--page-size", "--scenario")}
        assert given == {
            "--mode": "coord",
            "--protocol": "hard",
            "--page-size": "256x192",
            "--scenario": "login",
        }
        assert (value(call, "--split"), value(call, "--episodes")) == (split, episodes)
    assert model["argv"][2:] == [str(here / "start"), "--from-base", "forms"]
    assert (value(seen, "--model"), value(seen, "--sets")) == (str(here / "start"), "point at a part of a login form")
    assert value(sft, "--model") == str(here / "start")
    assert sft["argv"][-2:] == ["--learning_rate", "3e-4"]
    assert (
        sft["env"].items()
        >= {
            "MAX_PIXELS": "49152",  # 256 x 192
            "TEMPLATE": "login_qwen3_vl",
            "LOGIN_DATA": str(here / "data" / "train"),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        }.items()
    )
    scored = [(Path(value(c, "--out")).name, Path(value(c, "--model")).name) for c in calls[5:11]]
    steps = [(f"step_{step}", f"checkpoint-{step}") for step in (3, 6, 9, 10)]  # a quarter of 10 steps is 3, rounded up
    assert scored == [("base", "start"), *steps, ("closed_loop", "checkpoint-10")]
    assert ["--closed-loop" in call["argv"] for call in calls[5:11]] == [False] * 5 + [True]
    assert {value(call, "--data") for call in calls[5:11]} == {str(here / "data" / "eval")}
    files = [here / "eval" / f"{name}.json" for name in ("base", "step_10")]
    assert calls[11]["argv"][calls[11]["argv"].index("--files") + 1 :][:2] == [str(file) for file in files]
    assert read_json(files[1])["model"] == str(here / "model" / "checkpoint-10")


def test_every_flag_wins_over_the_pages_and_ms_swift_knows_it(start, tool_module):
    """The mode's page gives LoRA's flags; each that a tiny model needs otherwise must come after it."""
    calls = start("tiny.sh", MODE="som", STEPS="10")[0]
    assert calls[2]["argv"][3:] == ["--from-base", "marks"]
    assert value(calls[3], "--sets") == "number of a mark on a login form"
    sft = training(calls)["argv"]
    last = {word: sft[i + 1] for i, word in enumerate(sft) if word.startswith("--")}
    assert (last["--tuner_type"], last["--freeze_vit"], last["--optimizer"]) == ("full", "false", "gui_muon")
    assert (last["--bf16"], last["--fp16"], last["--torch_dtype"]) == ("true", "false", "float32")
    assert (last["--per_device_train_batch_size"], last["--max_steps"]) == ("8", "10")
    assert (last["--model_type"], last["--max_grad_norm"], last["--warmup_ratio"]) == ("qwen3_vl", "1.0", "0.02")
    assert tool_module("recipe_flags").parse(sft[1:])[1] == []


@pytest.mark.parametrize("given, made", [("scratch", True), ("my/checkpoint-9", False)])
def test_other_starts(start, tmp_path, given, made):
    calls, _ = start("tiny.sh", START=given, STEPS="10")
    assert value(training(calls), "--model") == (str(tmp_path / "run" / "coord" / "start") if made else given)
    assert ("make_tiny_model" in programs(calls)) == made
    if made:
        assert calls[2]["argv"][3:] == ["--family", "qwen3_vl", "--size", "4m"]


def test_a_finished_training_is_kept_and_a_killed_one_goes_on(start, tmp_path):
    start("tiny.sh", STEPS="10")
    assert "sft" not in programs(start("tiny.sh", STEPS="10")[0])
    model = tmp_path / "run" / "coord" / "model"
    (model / "finished").unlink()
    (model / "checkpoint-10" / "trainer_state.json").write_text("")  # was not written to its end
    calls, _ = start("tiny.sh", STEPS="10")
    assert value(training(calls), "--resume_from_checkpoint") == str(model / "checkpoint-9")


def test_an_unknown_mode_is_one_line(start, tmp_path):
    calls, done = start("tiny.sh", MODE="marks")
    assert (calls, done.returncode, done.stdout) == ([], 2, "") and not (tmp_path / "run").exists()
    assert done.stderr == "MODE=marks: unknown; known are coord, som\n"


def test_the_short_form_runs_both_modes(start, tmp_path):
    calls, done = start("quickstart.sh", "--seed", "3")
    assert done.returncode == 0, done.stderr
    trained = [call for call in calls if "--max_steps" in call["argv"]]
    assert sorted(Path(value(call, "--output_dir")).parent.name for call in trained) == ["coord", "som"]
    assert {(value(call, "--max_steps"), call["argv"][-1], call["env"]["OMP_NUM_THREADS"]) for call in trained} == {
        ("1200", "3", "1")
    }
    assert programs(calls)[-1] == "login_table" and calls[-1]["argv"][2] == str(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run" / "logs").iterdir()) == ["coord.log", "som.log"]


def test_the_short_form_tells_what_failed(start):
    calls, done = start("quickstart.sh", FAIL="sft")
    assert done.returncode == 1 and "no such luck" in done.stderr
    assert programs(calls)[-1] != "login_table"


# The table, of the small form's real files


def small(run: Path, script: str) -> subprocess.CompletedProcess:
    env = fake_programs.clean(USERS, RUN=str(run), STEPS="2", EPISODES="3", LIMIT="2", CURVE="1", OMP_NUM_THREADS="1")
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "PYTHONPATH": str(REPO)}
    command = ["bash", str(LOGIN / script)]
    return subprocess.run(command, env=env, cwd=run.parent, capture_output=True, text=True)


@pytest.mark.slow
def test_the_small_form_of_both_modes_for_real_and_again(tmp_path):
    run = tmp_path / "run"
    first = small(run, "quickstart.sh")
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-3000:]
    assert "**coord**, 2 episodes" in first.stdout and "**som**, 2 episodes" in first.stdout
    assert "Aim: `click` 95.0, " in first.stdout
    assert read_json(run / "coord" / "eval" / "base.json")["strict"]["click_accuracy"] >= 0.5  # it sees before training
    table = (run / "table.md").read_text(encoding="utf-8")
    assert "| oracle | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" in table
    assert "Before training, 2 parts of login forms asked for by name: " in table
    assert "| **trained, 2 steps** |" in table and "*Qwen3-VL-2B FT, published*" in table
    assert "Aim: `episode` 95.0, missed. By steps of training: 0: 0.0, 2: 0.0." in table
    result = read_json(run / "som" / "eval" / "step_2.json")
    assert (result["dsl_mode"], result["metrics"]["num_steps"], len(result["metrics"])) == ("som", 12, 13)
    config = read_json(run / "som" / "model" / "checkpoint-2" / "config.json")
    assert config["text_config"]["hidden_size"] == 192  # the base model's shape
    for picture in ("curves.png", "som/plots/som.png", "examples/som_failed_0.png"):
        with Image.open(run / picture) as opened:
            assert opened.width > 250

    weights = run / "som" / "model" / "checkpoint-2" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    again = small(run, "quickstart.sh")
    assert again.returncode == 0, again.stderr[-2000:]
    assert weights.stat().st_mtime_ns == before and (run / "table.md").read_text(encoding="utf-8") == table


@pytest.fixture
def played(cli, tmp_path) -> Path:
    """A run as tiny.sh leaves it, by engines without a model: random at the start, the oracle after five steps."""
    run, here = tmp_path / "run", tmp_path / "run" / "coord"
    write(here / "data" / "eval", Options(episodes=3, seed=999, split="eval", page_size=Size(256, 192)))
    for name, engine, *more in (("base", "random"), ("step_5", "oracle"), ("closed_loop", "oracle", "--closed-loop")):
        out = here / "runs" / name
        done = cli("eval/login_eval.py", "--engine", engine, "--data", here / "data" / "eval", "--out", out, *more)
        assert done.returncode == 0, done.stderr
        (here / "eval").mkdir(exist_ok=True)
        shutil.copy(out / "metrics.json", here / "eval" / f"{name}.json")
    (here / "model").mkdir()
    (here / "probe").mkdir()
    asked = {"right": 0.8167, "low": 0.7008, "high": 0.8944, "chance": 0.25, "rows": 60}
    told = {"metrics": {"point at a part of a login form": asked, "mean": 0.8167}}
    (here / "probe" / "metrics.json").write_text(json.dumps(told))
    log = [{"loss": 2.5, "global_step/max_steps": "1/5"}, {"loss": "0.5", "global_step/max_steps": "5/5"}, {"time": 3}]
    write_rows(here / "model" / "logging.jsonl", log)
    return run


def test_the_table_of_a_run(cli, played):
    done = cli("eval/login_table.py", played)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (played / "table.md").read_text(encoding="utf-8") + "\n"
    assert "**coord**, 3 episodes" in done.stdout and "**som**" not in done.stdout
    said = "Before training, 60 parts of login forms asked for by name: 81.7 (70.1 to 89.4), chance 25.0."
    assert said in done.stdout
    assert "| **trained, 5 steps** | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" in done.stdout
    assert "| *Qwen3-VL-2B FT, published* | *46.9* | *85.0* | *n/a* | *n/a* | *0.0* | *n/a* |" in done.stdout
    # Wilson, by hand: n = 3, all right, z = 1.96: 3 / (3 + 3.84) = 0.438
    assert "Trained, 95 %: `episode` 100.0 (43.8 to 100.0), `closed loop` 100.0 (43.8 to 100.0)." in done.stdout
    base = read_json(played / "coord" / "eval" / "base.json")["strict"]
    way = f"By steps of training: 0: {100 * base['click_accuracy']:.1f}, 5: 100.0."
    assert f"Aim: `click` 95.0, reached. {way}" in done.stdout
    pictures = sorted(path.name for path in (played / "examples").iterdir())
    assert pictures == ["coord_accepted_0.png", "coord_accepted_1.png"]  # the oracle fails nowhere
    with Image.open(played / "examples" / pictures[0]) as strip:
        assert strip.size == (6 * (256 + 8) + 8, 192 + 76)  # six turns


def test_the_table_of_nothing_is_one_line(cli, tmp_path):
    done = cli("eval/login_table.py", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"login_table: {tmp_path}: no MODE/eval/closed_loop.json")
