"""The benchmark of the evaluation runs, on an untrained model, and its ratio is what it says."""

import json

import pytest


@pytest.mark.slow
def test_it_measures(cli, tiny_model, small_data):
    few = ["--tasks", 1, "--attempts", 1, "--sample", 2, "--repeat", 1, "--max-new-tokens", 4, "--json"]
    done = cli("tools/bench_eval.py", "--model", tiny_model, "--data", small_data, *few)
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout)
    took = result["milliseconds"]
    assert result["episodes"] == 2 and 2 <= result["answers"] <= 24 and min(took.values()) > 0
    assert result["ratio"] == pytest.approx(took["one_at_a_time"] / took["fast"])
    assert done.returncode == (result["ratio"] < 3)
