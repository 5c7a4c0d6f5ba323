"""The tables of a run, worked by hand."""

import pytest


@pytest.fixture(scope="module")
def summary(eval_module):
    return eval_module("summary")


def test_a_cell_has_its_interval_between_0_and_100(summary):
    metrics = {"a": 0.4667, "b": 1.0, "c": 0.5, "d": 0.1, "intervals": {"a": [0.3, 0.634], "b": [0.72, 1.0], "c": None}}
    assert [summary.cell(metrics, name) for name in "abcde"] == ["46.7 (30 to 63)", "100.0", "50.0", "10.0", "n/a"]


def passes(one: float, k: float, greedy: float | None) -> dict:
    return {"pass_at_1": one, "pass_at_k": k, "greedy": greedy, "intervals": {"pass_at_1": [0.0, one]}}


def test_success_by_length_has_a_row_for_greedy(summary):
    sft = {"k": 5, **passes(0.5, 0.75, 0.25), "by_length": {"1": passes(1.0, 1.0, 1.0), "2": passes(0.25, 0.5, None)}}
    oracle = {"k": 2, **passes(1.0, 1.0, 1.0), "by_length": {"2": passes(1.0, 1.0, 1.0)}}
    results = {"sft": {"interactive_ood": {"metrics": sft}}, "oracle": {"interactive_ood": {"metrics": oracle}}}
    assert summary.length_table(results, "interactive_ood").splitlines() == [
        "| agent | success | 1 | 2 | all |",
        "|---|---|---:|---:|---:|",
        "| oracle | Pass@1 | n/a | 100.0 | 100.0 |",
        "| oracle | Pass@2 | n/a | 100.0 | 100.0 |",
        "| oracle | greedy | n/a | 100.0 | 100.0 |",
        "| sft | Pass@1 | 100.0 | 25.0 (0 to 25) | 50.0 (0 to 50) |",
        "| sft | Pass@5 | 100.0 | 50.0 | 75.0 |",
        "| sft | greedy | 100.0 | n/a | 25.0 |",
    ]
    assert summary.by_length(results).startswith("Success by path length, held out:\n\n| agent")
    assert "held in" not in summary.by_length(results)
