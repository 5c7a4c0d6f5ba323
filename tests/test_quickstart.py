"""The quickstart runs, in a small size, and reuses what is there: the very script that users start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


def start(run: Path) -> subprocess.CompletedProcess:
    env = os.environ | {
        "RUN": str(run),
        "STEPS": "4",
        "LIMIT": "2",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for name in ("NPROC_PER_NODE", "RESUME", "MODEL", "GELAB_DATA", "MAX_PIXELS"):
        env.pop(name, None)
    return subprocess.run(
        ["bash", str(REPO / "recipes" / "quickstart.sh")],
        env=env,
        cwd=run.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_quickstart_runs_and_runs_again_on_what_is_there(tmp_path):
    if not (REPO / ".venv").exists():
        pytest.skip("the quickstart uses the project's own .venv; `make test` makes it")
    run = tmp_path / "run"
    first = start(run)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    assert "| oracle | 100.0 | 100.0 |" in first.stdout
    for name in (
        "summary.md",
        "curves.png",
        "report.html",
        "pictures/topology.png",
        "sft/checkpoint-4/trainer_state.json",
    ):
        assert (run / name).is_file(), name
    metrics = json.loads((run / "eval" / "sft" / "interactive_ood" / "metrics.json").read_text())
    assert metrics["metrics"]["k"] == 5 and metrics["metrics"]["tasks"] == 2
    assert metrics["commit"] != "unknown"

    checkpoint = (run / "sft" / "checkpoint-4" / "trainer_state.json").stat().st_mtime_ns
    again = start(run)
    assert again.returncode == 0, again.stderr[-3000:]
    assert (run / "sft" / "checkpoint-4" / "trainer_state.json").stat().st_mtime_ns == checkpoint
    assert again.stdout.splitlines()[-12:] == first.stdout.splitlines()[-12:]
