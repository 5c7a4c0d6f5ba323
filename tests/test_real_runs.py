"""The families' own tokenizers through the recipes: a step of each stage, and a server that answers as our engine does.

Pages of 224 x 224, lengths as the recipes have them. The rollouts of RL are answered by tests/scripted_policy.py.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deploy import deployed

from data_engine.dataset import read_rows
from data_engine.geometry import Size

pytestmark = [pytest.mark.real, pytest.mark.slow]
REPO = Path(__file__).resolve().parents[1]
STATIC = "eval/gelab_static.py"
WORD = "test-word-1234"  # stands for a key
PIXELS = 224 * 224
PICTURE = {"qwen2_5_vl": 8 * 8, "qwen3_vl": 7 * 7}  # tokens of a page
CPU = [
    *("--use_cpu", "true", "--torch_dtype", "float32", "--attn_impl", "sdpa", "--deepspeed", ""),
    *("--gradient_checkpointing", "false", "--dataloader_num_workers", "0", "--dataset_num_proc", "1"),
    *("--report_to", "none", "--save_strategy", "no", "--max_steps", "1", "--gradient_accumulation_steps", "2"),
    *("--dataset_shuffle", "false", "--train_dataloader_shuffle", "false", "--per_device_train_batch_size", "2"),
]
PLUGINS = [str(REPO / "swift_plugins" / "register.py"), str(REPO / "tests" / "scripted_policy.py")]
RL = ["--external_plugins", *PLUGINS, "--num_generations", "4"]
NAMES = ("perfect", "claim without click", "image tag", "vision tokens")


@pytest.fixture(scope="module")
def data(rows_of) -> Path:
    return rows_of(Size(224, 224))


@pytest.fixture(params=PICTURE)
def family(request) -> str:
    return request.param


@pytest.fixture
def start(real_models, family, data, tmp_path):
    """start(recipe, *flags) -> the row of logging.jsonl for its one step; what it left is in tmp_path."""

    def start(recipe: str, *flags: str) -> dict:
        users = ("NPROC_PER_NODE", "RESUME", "ADAPTER", "NNODES", "GUARD_STEPS", "SCRIPTED_ROLLOUTS")
        env = {key: value for key, value in os.environ.items() if key not in users}
        env |= {
            "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
            "PYTHONPATH": str(REPO),
            "MODEL": str(real_models[family]),
            "TEMPLATE": f"gelab_{family}",
            "GELAB_DATA": str(data),
            "MAX_PIXELS": str(PIXELS),
            "OUTPUT": str(tmp_path),
            "ENGINE": "transformers",
            "SCRIPTED_ROLLOUTS": "1",
            "SCRIPTED_BEHAVIOURS": ",".join(NAMES),
            "CUDA_VISIBLE_DEVICES": "",
            "MODELSCOPE_CACHE": str(tmp_path / "cache"),
        }
        command = ["bash", str(REPO / "recipes" / "gelab" / recipe), *CPU, *flags]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
        rows = [json.loads(line) for line in (tmp_path / "logging.jsonl").read_text().splitlines()]
        (step,) = [row for row in rows if "grad_norm" in row]
        return step

    return start


def completions(output: Path) -> dict[str, list]:
    """The columns of the one rollout."""
    return json.loads((output / "completions.jsonl").read_text().splitlines()[0])


def notes(output: Path) -> list[dict]:
    """What the scripted plugin noted of each trained trajectory."""
    return [json.loads(line) for line in (output / "encoded.jsonl").read_text().splitlines()]


def test_a_step_of_sft(start):
    """Random weights: about the loss of a uniform guess among 151,936 rows, ln 151,936 = 11.93."""
    step = start("sft.sh", "--dataset", "gelab/sft#4", "--learning_rate", "1e-3")
    assert step["loss"] == pytest.approx(math.log(151_936), rel=0.1) and step["grad_norm"] > 0


@pytest.mark.parametrize(("recipe", "turns"), [("st_rl.sh", 1), ("mt_rl.sh", 2)])
def test_a_step_of_rl(start, tmp_path, family, scripted, recipe, turns):
    """Rewards by hand; real vision tokens in an answer are blanked, so each turn has the tokens of its own page."""
    step = start(recipe, *RL, *(["--max_turns", "2"] if turns > 1 else []))
    assert step["grad_norm"] > 0 and step["kl"] == pytest.approx(0, abs=1e-6)
    row = completions(tmp_path)
    if recipe == "st_rl.sh":  # the first row wants a click
        assert row["GelabCoord"] == [scripted.WORTH[name][0][1] for name in NAMES]
    else:
        assert row["GelabA2B"] == [float(name == "perfect") for name in NAMES]
    assert [note["behaviour"] for note in notes(tmp_path)] == list(NAMES)
    for note in notes(tmp_path):
        asked = note["infos"].get("num_turns", 1)
        assert asked <= turns and note["image_tokens"] == PICTURE[family] * asked == PICTURE[family] * note["images"]
        assert not any("<|vision" in text or "<|image_pad" in text for text in note["trained"])


def test_a_server_answers_as_our_engine(cli, real_models, data, tmp_path):
    family = "qwen3_vl"  # one is enough: the other has the same client and server
    flags = [STATIC, "--data", data / "eval_ood.jsonl", "--limit", 4, "--max-new-tokens", 8]
    local = cli(*flags, "--engine", "transformers", "--model", real_models[family], "--out", tmp_path / "local")
    assert local.returncode == 0, local.stderr
    with deployed(real_models[family], f"gelab_{family}", tmp_path, PIXELS) as address:
        served = cli(
            *(*flags, "--engine", "openai", "--model", "tiny", "--out", tmp_path / "served"),
            *("--cache", tmp_path / "cache"),
            **{"OPENAI_API_KEY": WORD, "OPENAI_BASE_URL": address, "NO_PROXY": "127.0.0.1"},
        )
    assert served.returncode == 0, served.stderr
    said = [
        [row["prediction"] for row in read_rows(tmp_path / run / "predictions.jsonl")] for run in ("local", "served")
    ]
    assert said[0] == said[1] and len(set(said[0])) > 1
