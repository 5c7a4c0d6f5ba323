"""The figure and the gains of a run's stages, worked by hand."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def curves(eval_module):
    return eval_module("curves")


def play(run: Path, stage: str, arrived: dict[str, list[bool]]) -> None:
    """Write the walks of a stage; a task's first attempt is the greedy one."""
    folder = run / "eval" / stage / "interactive_ood"
    folder.mkdir(parents=True)
    rows = [
        {"task": task, "attempt": i, "arrived": came} for task, tries in arrived.items() for i, came in enumerate(tries)
    ]
    (folder / "trajectories.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_gains_are_paired_by_task_and_leave_greedy_out(curves, tmp_path):
    play(tmp_path, "sft", {"A": [True, True, False], "B": [True, False, False]})  # 1/2 and 0
    play(tmp_path, "mt_rl", {"A": [False, True, True], "B": [False, False, False]})  # 1 and 0
    # differences 1/2 and 0; drawn twice with replacement their mean is 0, 1/4 or 1/2
    gained = "Pass@1 minus that of SFT, held out, in points: mt_rl +25.0 (+0.0 to +50.0)."
    assert curves.gains(tmp_path) == f"{gained}\n\n"


def test_no_gain_without_a_later_stage(curves, tmp_path):
    assert curves.gains(tmp_path) == ""
    play(tmp_path, "sft", {"A": [True, True], "B": [True, False]})
    assert curves.gains(tmp_path) == ""


def test_a_drawn_point_is_the_mean_of_the_last_steps(curves):
    axis = curves.plt.figure().subplots()
    rows = [{"step": i, "r": value} for i, value in enumerate((0, "1", 1, 0), 1)]  # ms-swift writes some as text
    curves._draw_log(axis, [*rows, {"step": 5, "eval_loss": 1.0}], "title", ["r"], smooth=2)
    (line,) = axis.lines
    assert list(line.get_xdata()) == [1, 2, 3, 4] and list(line.get_ydata()) == [0, 0.5, 1, 0.5]
    curves.plt.close("all")


def result(rate: float, interval: list[float] | None) -> dict:
    return {"metrics": {"pass_at_1": rate, "intervals": {"pass_at_1": interval}}}


def test_bars_have_the_rates_and_the_intervals(curves):
    axis = curves.plt.figure().subplots()
    results = {
        "base": {"interactive_ood": result(0.0, None)},
        "sft": {"interactive_id": result(0.75, [0.5, 1.0]), "interactive_ood": result(0.5, [0.25, 0.625])},
    }
    curves._draw_success(axis, results)
    held_in, held_out = (container for container in axis.containers if hasattr(container, "patches"))
    assert [bar.get_height() for bar in held_in] == [0.75] and [bar.get_height() for bar in held_out] == [0.0, 0.5]
    ends = [[point[1] for point in line] for line in held_out.errorbar[2][0].get_segments()]
    assert ends == [[0.0, 0.0], [0.25, 0.625]]
    curves.plt.close("all")


def test_a_run_without_training_has_no_figure(curves, tmp_path):
    curves.draw_stages(tmp_path, {}, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
