"""The quickstart runs, in a small size, and reuses what is there: the very script that users start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
STAGES = ["sft", "st_rl", "mt_rl"]


def start(run: Path) -> subprocess.CompletedProcess:
    env = os.environ | {
        "RUN": str(run),
        "STEPS": "2",
        "LIMIT": "2",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for name in (
        "NPROC_PER_NODE",
        "RESUME",
        "MODEL",
        "GELAB_DATA",
        "MAX_PIXELS",
        "TEMPLATE",
        "ADAPTER",
        "GUARD_STEPS",
        "PROTOCOL",
        "EXPLAIN",
    ):
        env.pop(name, None)
    return subprocess.run(
        ["bash", str(REPO / "recipes" / "quickstart.sh"), "--per_device_train_batch_size", "4"],
        env=env,
        cwd=run.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def table(done: subprocess.CompletedProcess) -> list[str]:
    """The lines of the tables it printed."""
    return [line for line in done.stdout.splitlines() if line.startswith("| ")]


@pytest.mark.slow
def test_quickstart_runs_and_runs_again_on_what_is_there(tmp_path):
    if not (REPO / ".venv").exists():
        pytest.skip("the quickstart uses the project's own .venv; `make test` makes it")
    run = tmp_path / "run"
    first = start(run)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    for name in ("summary.md", "curves.png", "report.html", "pictures/topology.png"):
        assert (run / name).is_file(), name
    agents = [line.split(" | ")[0] for line in table(first)[1:9]]
    assert agents == [f"| {name}" for name in ("oracle", "random", "text_only", "blind", "base", *STAGES)]
    assert table(first)[1] == "| oracle" + 8 * " | 100.0" + " |"
    folders = ["sft", "sft_chat", "st_rl", "mt_rl"]
    states = [run / stage / "checkpoint-2" / "trainer_state.json" for stage in folders]
    assert [json.loads(state.read_text())["global_step"] for state in states] == [2, 2, 2, 2]
    started = [json.loads((run / stage / "args.json").read_text())["model"] for stage in folders]
    parts = ("model", "sft/checkpoint-2", "sft_chat/checkpoint-2", "st_rl/checkpoint-2")
    assert started == [str(run / part) for part in parts]
    metrics = json.loads((run / "eval" / "mt_rl" / "interactive_ood" / "metrics.json").read_text())
    assert metrics["metrics"]["k"] == 5 and metrics["metrics"]["tasks"] == 2
    assert metrics["commit"] != "unknown"

    written = [state.stat().st_mtime_ns for state in states]
    again = start(run)
    assert again.returncode == 0, again.stderr[-3000:]
    assert [state.stat().st_mtime_ns for state in states] == written
    assert table(again) == table(first)
