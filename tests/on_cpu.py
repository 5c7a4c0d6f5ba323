"""Recipes and evaluations started on a CPU with vLLM, DeepSpeed and several processes, and what they logged."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
REGISTER = str(REPO / "swift_plugins" / "register.py")
USERS = ("NPROC_PER_NODE", "RESUME", "ADAPTER", "NNODES", "GUARD_STEPS", "SERVER_HOST", "ENGINE")
# What makes a GPU recipe run on a CPU, with all weights of a tiny model and every step logged.
CPU = [
    *("--use_cpu", "true", "--torch_dtype", "float32", "--bf16", "false", "--fp16", "false", "--attn_impl", "sdpa"),
    *("--freeze_vit", "false", "--freeze_aligner", "false", "--gradient_checkpointing", "false"),
    *("--gradient_accumulation_steps", "1", "--dataloader_num_workers", "0", "--dataset_num_proc", "1"),
    *("--report_to", "none", "--logging_steps", "1", "--save_total_limit", "9"),
]
# vLLM on the training CPUs: no memory to give back; few steps that move the weights far; KL to the first weights.
COLOCATE = [
    *("--sleep_level", "0", "--offload_model", "false", "--offload_optimizer", "false"),
    *("--vllm_enforce_eager", "true", "--vllm_max_model_len", "4096"),
]
RL = [
    *("--rollout_importance_sampling_mode", "token_truncate", "--top_k", "-1", "--temperature", "1.0"),
    *("--learning_rate", "1e-3", "--lr_scheduler_type", "constant", "--warmup_ratio", "0"),
    *("--max_completion_length", "48", "--per_device_train_batch_size", "8", "--max_steps", "3", "--save_steps", "2"),
]
# As the recipes: vLLM takes adapters on the text model alone.
FROZEN = ["--freeze_vit", "true", "--freeze_aligner", "true"]
GLOO = ["--external_plugins", REGISTER, str(REPO / "tests" / "deepspeed_on_cpu.py")]
CLOCKS = ("elapsed_time", "step_time", "remaining_time", "train_speed(s/it)", "memory(GiB)")


def missing(package: str) -> bool:
    """Whether this environment lacks a package of the engines' own (`make test-vllm` makes one that has them)."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


def environment(folder: Path, **more: object) -> dict[str, str]:
    """Of a program that trains or asks a model on a CPU. ``folder``: rows of GE-Lab, in data/."""
    shim = REPO / "tests" / "vllm_on_cpu"
    env = {name: value for name, value in os.environ.items() if name not in USERS}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
        "PYTHONPATH": f"{shim}:{REPO}",
        "GELAB_DATA": str(folder / "data"),
        "MODELSCOPE_CACHE": str(folder / "cache"),
        "MAX_PIXELS": "56320",
        "TEMPLATE": "gelab_qwen3_vl",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GB
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "PET_STANDALONE": "1",  # torchrun takes a free port
        "PET_LOCAL_ADDR": "localhost",
    }
    return env | {name: str(value) for name, value in more.items()}


def start(recipe: str, env: dict[str, str], *flags: str) -> Path:
    """Run a recipe to its end; its OUTPUT."""
    output = Path(env["OUTPUT"])
    output.mkdir(parents=True, exist_ok=True)
    with open(output.with_suffix(".txt"), "w") as log:
        command = ["bash", str(REPO / "recipes" / recipe), *CPU, *flags]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            assert process.wait(timeout=900) == 0, output.with_suffix(".txt").read_text()[-4000:]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return output


def steps(output: Path) -> list[dict]:
    """What was logged at each step, times excepted."""
    rows = [json.loads(line) for line in (output / "logging.jsonl").read_text().splitlines()]
    return [{name: row[name] for name in row if name not in CLOCKS} for row in rows if "loss" in row]


def vllm_differs(row: dict) -> float:
    """Of a step: mean difference between vLLM's log-probability of an answer and the trainer's (a token's mean)."""
    return row["rollout_correction/log_ppl_abs_diff"]
