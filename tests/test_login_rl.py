"""GRPO on forms for real: `swift rlhf` through recipes/login/rl.sh, tiny model, CPU, no vLLM.

The first two rollouts are answered by tests/scripted_forms.py, one behaviour a trajectory, so that what each is worth
is known; in the last step the model itself samples. Everything else is ms-swift's own.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import scripted_forms

from data_engine.dataset import read_rows
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write

REPO = Path(__file__).resolve().parents[1]
PLUGINS = [str(REPO / "swift_plugins" / "register.py"), str(REPO / "tests" / "scripted_forms.py")]
# What makes a GPU recipe run on the CPU; the rest makes the run short and lets the weights move.
CPU = [
    *("--use_cpu", "true", "--torch_dtype", "float32", "--attn_impl", "sdpa", "--gradient_checkpointing", "false"),
    *("--freeze_vit", "false", "--freeze_aligner", "false", "--dataloader_num_workers", "0", "--report_to", "none"),
]
SHORT = [
    *("--external_plugins", *PLUGINS, "--max_turns", "7", "--gradient_accumulation_steps", "1"),
    *("--learning_rate", "1e-4", "--max_completion_length", "64", "--max_steps", "3", "--save_strategy", "no"),
    *("--dataset_shuffle", "false", "--train_dataloader_shuffle", "false"),
]
PARTS = ("LoginSuccess", "LoginProgress", "LoginParseRate")


@pytest.fixture(scope="module")
def run(cli, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("login_rl")
    made = cli("tools/make_tiny_model.py", folder / "model", "--family", "qwen3_vl", "--size", "2m")
    assert made.returncode == 0, made.stderr
    write(folder / "data", Options(episodes=4, page_size=Size(256, 192)))
    users = ("NPROC_PER_NODE", "RESUME", "ADAPTER", "TEMPLATE", "NNODES", "GUARD_STEPS", "SCRIPTED_ROLLOUTS")
    env = {key: value for key, value in os.environ.items() if key not in users}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
        "PYTHONPATH": str(REPO),
        "MODEL": str(folder / "model"),
        "LOGIN_DATA": str(folder / "data"),
        "MAX_PIXELS": "49152",
        "OUTPUT": str(folder / "rl"),
        "ENGINE": "transformers",
        "SCRIPTED_FORMS": "2",
        "CUDA_VISIBLE_DEVICES": "",
        "MODELSCOPE_CACHE": str(folder / "cache"),
    }
    (folder / "rl").mkdir()
    command = ["bash", str(REPO / "recipes" / "login" / "rl.sh"), *CPU, *SHORT]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return folder / "rl"


def steps(run: Path) -> list[dict]:
    return [row for row in read_rows(run / "logging.jsonl") if "reward" in row]


@pytest.mark.slow
def test_the_form_decides(run):
    rows = list({row["step"][0]: row for row in read_rows(run / "completions.jsonl")}.values())
    assert len(rows) == 3
    for row in rows[:2]:
        columns = zip(*(row[part] for part in PARTS), row["num_turns"], strict=True)
        earned = dict(zip(scripted_forms.BEHAVIOURS, columns, strict=True))
        wanted = {name: (s, p / 3, read, turns) for name, (s, p, read, turns) in scripted_forms.WORTH.items()}
        assert {name: pytest.approx(one) for name, one in earned.items()} == wanted


@pytest.mark.slow
def test_the_log(run):
    """One of eight is accepted; (3 + 1) thirds of progress, six of eight readable; 36 turns."""
    first, _, sampled = steps(run)
    assert first["reward"] == pytest.approx(1 / 8)
    means = [first[f"rewards/{part}/mean"] for part in PARTS]
    assert means == pytest.approx([1 / 8, 4 / 3 / 8, 6 / 8])
    assert first["num_turns"] == pytest.approx(36 / 8)
    assert first["frac_reward_zero_std"] == 0 and first["grad_norm"] > 0
    assert first["kl"] == 0 and sampled["kl"] > 0  # KL to the start, once the weights have moved
    assert all(math.isfinite(value) for row in steps(run) for value in row.values() if isinstance(value, float))


@pytest.mark.slow
def test_every_answer_is_trained_and_nothing_else(run):
    notes = [json.loads(line) for line in (run / "encoded.jsonl").read_text().splitlines()]
    assert len(notes) == 24
    for note in notes:
        turns = note["infos"]["num_turns"]
        assert len(note["questions"]) == note["images"] == len(note["trained"]) == turns, note["behaviour"]
        assert note["image_tokens"] == 48 * turns  # 256 x 192 pixels: 8 x 6 tokens a screenshot
        assert not any(text in said for said in note["trained"] for text in ("Goal:", "<|vision", "You fill in"))
        if note["finish_reason"] == "stop":
            assert all(said.endswith("<|im_end|>") for said in note["trained"])
