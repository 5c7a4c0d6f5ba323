"""recipes/login/benchmark.sh: which programs it starts, by fakes; and the whole of it with a tiny model, for real."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fake_programs
import pytest
from fake_programs import programs, value
from PIL import Image

from data_engine.dataset import read_json

REPO = Path(__file__).resolve().parents[1]
SCRIPT = REPO / "recipes" / "login" / "benchmark.sh"
USERS = ("CONFIG", "PROTOCOL", "MODEL", "RUN", "EPISODES", "SEED", "EVAL_SEED", "PAGE_SIZE", "TOKENS", "TEMPLATE")
USERS += ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "CLAUDE", "GPT", "CLAUDE_PRICE", "GPT_PRICE", "RESUME", "MAX_PIXELS")
KEY = dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY"), "word-1234")

LEAVES = """
if argv[0] == "swift":
    for step in (9, 10):
        folder = Path(value("--output_dir")) / f"checkpoint-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "adapter_config.json").write_text("{}")
if "login_eval" in argv[1]:
    out = Path(value("--out"))
    out.mkdir(parents=True)
    (out / "metrics.json").write_text(json.dumps({"out": out.name}))
"""


@pytest.fixture
def calls(tmp_path):
    """calls(*flags, **environment): what the script starts, in order; the run lies in tmp_path/run."""

    def calls(*flags: str, **environment: str) -> list[dict]:
        made, done = fake_programs.run(tmp_path, [SCRIPT, *flags], LEAVES, fake_programs.clean(USERS, **environment))
        assert done.returncode == 0, done.stderr
        return made

    return calls


def test_as_published(calls, tmp_path):
    said = calls("--learning_rate", "2e-5")
    write = "data_engine.login.write"
    assert programs(said) == [write, write, "sft", "login_eval", "login_eval", "plot_metrics", "report"]
    for call, split, seed in (said[0], "train", "123"), (said[1], "eval", "999"):
        given = {flag: value(call, flag) for flag in ("--mode", "--protocol", "--episodes", "--page-size", "--seed")}
        wanted = {"--mode": "coord", "--protocol": "published", "--episodes": "32", "--page-size": "800x608"}
        assert given == wanted | {"--seed": seed} and value(call, "--split") == split
    training, base, tuned, plot, report = said[2:]
    assert report["argv"][2:] == [str(tmp_path / "run")]
    assert training["env"]["LOGIN_DATA"] == str(tmp_path / "run" / "data" / "train")
    assert training["argv"][-2:] == ["--learning_rate", "2e-5"] and value(training, "--num_train_epochs") == "4"
    assert value(base, "--model") == "Qwen/Qwen3-VL-2B-Instruct"
    assert value(tuned, "--model") == str(tmp_path / "run" / "model" / "checkpoint-10")
    for call in (base, tuned):
        assert (value(call, "--engine"), value(call, "--template")) == ("transformers", "login_qwen3_vl")
        assert value(call, "--data") == str(tmp_path / "run" / "data" / "eval")
        assert (value(call, "--max-new-tokens"), call["env"]["MAX_PIXELS"]) == ("150", str(800 * 608))
    files = [tmp_path / "run" / "eval" / f"eval_qwen_{name}.json" for name in ("base", "ft")]
    at = plot["argv"].index
    assert plot["argv"][at("--files") + 1 : at("--labels")] == [str(file) for file in files]
    labels = ["Qwen3-VL-2B-Instruct base", "Qwen3-VL-2B-Instruct FT"]
    assert plot["argv"][at("--labels") + 1 : at("--output")] == labels
    assert value(plot, "--output") == str(tmp_path / "run" / "plots" / "qwen_base_vs_ft.png")
    assert [read_json(file)["out"] for file in files] == ["eval_qwen_base", "eval_qwen_ft"]


@pytest.mark.parametrize("config, scenario", [("som", None), ("registration_som", "registration")])
def test_marks_are_scored_as_marks(calls, config, scenario):
    """The published code trains on marks and scores by coordinates."""
    said = calls(CONFIG=config)
    for call in said[:2]:
        assert (value(call, "--mode"), value(call, "--protocol")) == ("som", "scripted")
        assert (value(call, "--scenario") if scenario else None) == scenario
    assert value(said[2], "--num_train_epochs") == "2"


def test_hard_is_scored_in_the_closed_loop_too(calls, tmp_path):
    said = calls(PROTOCOL="hard")
    scored = [call["argv"] for call in said if "login_eval" in call["argv"][1]]
    assert ["--closed-loop" in argv for argv in scored] == [False, True, False, True]
    found = sorted(path.name for path in (tmp_path / "run" / "eval").iterdir())
    names = [f"eval_qwen_{name}{loop}.json" for name in ("base", "ft") for loop in ("", "_closed_loop")]
    assert found == sorted(names)


def test_each_key_adds_its_model(calls, tmp_path):
    said = calls(**KEY, GPT_PRICE="1 10")
    claude, gpt, plot, _ = said[-4:]
    assert (value(claude, "--engine"), value(claude, "--model")) == ("anthropic", "claude-sonnet-4-5-20250929")
    assert (value(gpt, "--engine"), value(gpt, "--model")) == ("openai", "gpt-5.1")
    assert "--price" not in claude["argv"] and gpt["argv"][gpt["argv"].index("--price") + 1 :] == ["1", "10"]
    assert json.loads(value(gpt, "--extra")) == {"temperature": None}
    assert value(plot, "--output").endswith("plots/qwen_vs_apis.png")
    assert {"eval_claude.json", "eval_gpt51.json"} <= {path.name for path in (tmp_path / "run" / "eval").iterdir()}
    words = " ".join(word for call in said for word in call["argv"])
    assert not [key for key in KEY.values() if key in words]


def test_a_finished_training_is_kept_and_a_killed_one_goes_on(calls, tmp_path):
    calls()
    shutil.rmtree(tmp_path / "run" / "runs")
    assert "sft" not in programs(calls())
    shutil.rmtree(tmp_path / "run" / "runs"), shutil.rmtree(tmp_path / "run" / "model")
    for step, text in (9, "{}"), (10, "{}"), (11, ""):  # the last was not written to its end
        folder = tmp_path / "run" / "model" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(text)
    training = next(call for call in calls() if call["argv"][0] == "swift")
    assert value(training, "--resume_from_checkpoint") == str(tmp_path / "run" / "model" / "checkpoint-10")


def test_an_unknown_config_is_one_line(tmp_path):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = fake_programs.clean(USERS, CONFIG="marks", PATH=path, RUN=str(tmp_path / "run"))
    done = subprocess.run(["bash", str(SCRIPT)], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "run").exists()
    assert done.stderr == "CONFIG=marks: unknown; known are coord, som, registration_som\n"


@pytest.mark.slow
def test_all_of_it_with_a_tiny_model(cli, tmp_path):
    model, run = tmp_path / "tiny-2B", tmp_path / "run"
    assert cli("tools/make_tiny_model.py", model, "--family", "qwen3_vl", "--size", "2m").returncode == 0
    env = fake_programs.clean(
        USERS, RUN=str(run), MODEL=str(model), EPISODES="1", PAGE_SIZE="448x320", TOKENS="4", OMP_NUM_THREADS="1"
    )
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "PYTHONPATH": str(REPO), "CUDA_VISIBLE_DEVICES": ""}
    cpu = "--use_cpu true --torch_dtype float32 --dataloader_num_workers 0 --report_to none --max_steps 2".split()
    done = subprocess.run(["bash", str(SCRIPT), *cpu], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("base", "ft"):
        result = read_json(run / "eval" / f"eval_qwen_{name}.json")
        assert {"config_path", "backend", "dsl_mode", "metrics"} <= set(result) and result["dsl_mode"] == "coord"
        assert len(result["metrics"]) == 13 and result["metrics"]["num_steps"] == 7
        assert result["ceiling"]["type_accuracy"] == pytest.approx(4 / 7)
        assert result["run"]["model"]["name"] == str(model if name == "base" else run / "model" / "checkpoint-2")
    trained = read_json(run / "model" / "checkpoint-2" / "adapter_config.json")
    assert (trained["r"], trained["lora_alpha"], trained["lora_dropout"]) == (8, 16, 0.05)
    assert sorted(trained["target_modules"]) == ["q_proj", "v_proj"]
    with Image.open(run / "plots" / "qwen_base_vs_ft.png") as plot:
        assert plot.width > 1000
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "qwen_ft answers" in page and "loss, nats a token" in page and 'id="missing"' not in page
