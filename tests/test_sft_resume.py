"""A killed SFT run goes on as if nothing had happened: real `swift sft`, the real recipes, a tiny model, the CPU.

ms-swift alone does not do that: with full weights, --resume_from_checkpoint restores optimizer, schedule and step, but
not the weights, and warns only about missing keys.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
STEPS, KILL_AFTER = 24, 8
# What makes a GPU recipe run on the CPU; the rest makes the run short and lets the loss move.
ON_CPU = ["--use_cpu", "true", "--torch_dtype", "float32", "--attn_impl", "sdpa", "--deepspeed", ""]
SHORT = [
    *("--dataset", "gelab/sft#32", "--max_steps", str(STEPS), "--save_steps", "4", "--save_total_limit", "9"),
    *("--learning_rate", "1e-3", "--freeze_vit", "false", "--freeze_aligner", "false", "--report_to", "none"),
    *("--per_device_train_batch_size", "2", "--gradient_accumulation_steps", "1", "--gradient_checkpointing", "false"),
    *("--dataloader_num_workers", "0", "--dataset_num_proc", "1"),
]


@pytest.fixture
def start(tiny_model, small_data, tmp_path):
    """start(recipe, output, **environment) -> the running process, leader of its own process group."""

    def start(recipe: str, output: Path, **environment: str) -> subprocess.Popen:
        env = {key: value for key, value in os.environ.items() if key not in ("NPROC_PER_NODE", "RESUME", "TEMPLATE")}
        env |= {
            "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
            "MODEL": str(tiny_model),
            "GELAB_DATA": str(small_data),
            "MAX_PIXELS": str(json.loads((small_data / "manifest.json").read_text())["max_pixels"]),
            "OUTPUT": str(output),
            "CUDA_VISIBLE_DEVICES": "",
            "MODELSCOPE_CACHE": str(tmp_path / "cache"),
        }
        command = ["bash", str(REPO / "recipes" / recipe), *ON_CPU, *SHORT]
        with open(tmp_path / "log.txt", "w") as log:
            return subprocess.Popen(command, env=env | environment, stdout=log, stderr=log, start_new_session=True)

    return start


def losses(output: Path) -> list[tuple[int, float]]:
    """(step, loss) in the order they were logged."""
    rows = [json.loads(line) for line in (output / "logging.jsonl").read_text().splitlines()]
    return [(int(row["global_step/max_steps"].split("/")[0]), row["loss"]) for row in rows if "loss" in row]


def is_complete(checkpoint: Path) -> bool:
    """ms-swift writes trainer_state.json last, and not atomically: for a moment it is there and empty."""
    try:
        return bool(json.loads((checkpoint / "trainer_state.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return False


def kill_after(process: subprocess.Popen, checkpoint: Path) -> None:
    """SIGKILL to the whole group as soon as the checkpoint is complete."""
    deadline = time.monotonic() + 300
    while not is_complete(checkpoint):
        assert process.poll() is None, "the run ended before its checkpoint"
        assert time.monotonic() < deadline, "no checkpoint in 300 s"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["gelab/sft.sh", "gelab/sft_lora.sh"])
def test_killed_and_resumed_equals_uninterrupted(start, tmp_path, recipe):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(recipe, whole).wait() == 0, (tmp_path / "log.txt").read_text()[-2000:]
    expected = losses(whole)
    assert [step for step, _ in expected] == list(range(1, STEPS + 1))

    checkpoint = killed / f"checkpoint-{KILL_AFTER}"
    kill_after(start(recipe, killed), checkpoint)
    before = losses(killed)
    assert len(before) < STEPS

    assert start(recipe, killed, RESUME=str(checkpoint)).wait() == 0, (tmp_path / "log.txt").read_text()[-2000:]
    after = losses(killed)[len(before) :]
    assert [step for step, _ in after] == list(range(KILL_AFTER + 1, STEPS + 1))
    curve = dict(before) | dict(after)
    assert max(abs(curve[step] - loss) for step, loss in expected) <= 1e-6
    # the curve must have moved by far more than that, or a restart from the base weights would look the same
    assert expected[0][1] - expected[KILL_AFTER][1] > 0.1
