"""The table of worlds: the paper's columns and order, from metrics files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = "eval/compare_worlds.py"


@pytest.fixture
def runs(tmp_path):
    """Two models; the numbers are the paper's Table 3."""
    table = {
        "sft": {"base": (55.46, 41.76, 64.55), "noise": (41.18, 21.87, 57.50), "mine": (1, 0, None)},
        "mt-rl": {"base": (63.25, 52.35, 69.86), "image": (34.17, 7.54, 70.64)},
    }
    for run, worlds in table.items():
        for world, values in worlds.items():
            values = [None if value is None else value / 100 for value in values]
            metrics = dict(zip(("overall_paper", "path_paper", "edge_paper"), values, strict=True))
            (tmp_path / run / world).mkdir(parents=True)
            (tmp_path / run / world / "metrics.json").write_text(json.dumps({"metrics": metrics}))
    return tmp_path


def test_the_papers_layout(cli, runs):
    done = cli(SCRIPT, "sft", "mt-rl", "--out", "table.md", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Overall / Path / Edge, percent",
        "",
        "| world | sft | mt-rl |",
        "|---|---:|---:|",
        "| base | 55.46 / 41.76 / 64.55 | 63.25 / 52.35 / 69.86 |",
        "| image | n/a | 34.17 / 7.54 / 70.64 |",
        "| noise | 41.18 / 21.87 / 57.50 | n/a |",
        "| mine | 1.00 / 0.00 / n/a | n/a |",
    ]
    assert (runs / "table.md").read_text() == done.stdout


@pytest.mark.parametrize(
    "args, words",
    [
        (["nowhere"], "nowhere: no WORLD/metrics.json; score each world with --out nowhere/WORLD first"),
        (["sft", "copy/sft"], "copy/sft: two runs are called 'sft'; rename one"),
        (["forms"], "forms/x/metrics.json: has no overall_paper; give results of eval/gelab_static.py"),
    ],
)
def test_what_is_no_run(cli, runs, args, words):
    for folder, metrics in ("copy/sft/x", {"overall_paper": 1, "path_paper": 1, "edge_paper": 1}), ("forms/x", {}):
        (runs / folder).mkdir(parents=True)
        (runs / folder / "metrics.json").write_text(json.dumps({"metrics": metrics}))
    done = cli(SCRIPT, *args, cwd=runs)
    assert (done.returncode, done.stderr) == (2, f"compare_worlds: {words}\n")


@pytest.mark.slow
def test_the_recipe_without_a_model(repo, small_world, tmp_path):
    """All five worlds, rows and scores; the oracle is perfect on each, and a second name is a second column."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = {"PATH": path, "PYTHONPATH": str(repo), "WORLD": str(small_world), "RUN": str(tmp_path / "run")}
    for name, engine in ("oracle", "oracle"), ("random", "random"):
        env = os.environ | settings | {"ENGINE": engine, "NAME": name}
        done = subprocess.run(["bash", repo / "recipes/gelab/worlds.sh"], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run" / "table.md").read_text().splitlines()
    assert lines[2] == "| world | oracle | random |"
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| base", "| image", "| name", "| position", "| noise"]
    assert [line.split(" | ")[1] for line in lines[4:]] == ["100.00 / 100.00 / 100.00"] * 5
    assert all(not line.endswith(" 100.00 |") for line in lines[4:])
