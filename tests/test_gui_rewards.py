"""Rewards by name: what each hostile answer earns, by hand; broken rows raise, model text never does."""

import math

import pytest

from data_engine.gelab.actions import COMPLETE_ANSWER, format_click

pytest.importorskip("swift")

PARTS = ("gelab_type", "gelab_coord", "gelab_intent", "gelab_format", "gelab_parse_rate")
BOX = {"bbox": [474, 1258, 674, 1458], "canvas": [1179, 2556]}  # hit by x 403..571, y 493..570
GOLD = format_click("umbrella", "page_3", 487, 531)


@pytest.fixture(scope="module")
def reward():
    """reward(name, *answers, **columns of one row) -> rewards, as ms-swift calls it."""
    from swift.rewards import orms

    import swift_plugins.register  # noqa: F401  (importing it registers)

    def reward(name: str, *answers: str, **row) -> list[float]:
        columns = {column: [value] * len(answers) for column, value in row.items()}
        return orms[name](args=None)(list(answers), messages=[[]] * len(answers), **columns)

    return reward


@pytest.mark.parametrize("kind", [0, 1], ids=["click is right", "complete is right"])
def test_hostile_answers(reward, scripted, world, kind):
    page, goal = ("page_0", "page_12") if kind == 0 else ("page_12", "page_12")
    view = scripted.View(world.graph, page, goal, 0)
    element = world.graph.pages[page].elements[0] if kind else world.graph.next_element(page, goal)
    row = {"idx": 0, "solution": view.right(), "bbox": [] if kind else list(element.box), "canvas": [1179, 2556]}
    assert set(scripted.WORTH) == set(scripted.BEHAVIOURS)
    for name, say in scripted.BEHAVIOURS.items():
        earned = tuple(reward(part, "".join(say(view)), **row)[0] for part in PARTS)
        assert earned == scripted.WORTH[name][kind], name


def test_rewards_are_floats_whatever_the_text(reward):
    texts = ["", "\0", "Action:" * 9, "click(" * 500, "<think>", "é" * 3000, COMPLETE_ANSWER, GOLD]
    for name in (*PARTS, "gelab_coord_smooth"):
        found = reward(name, *texts, idx=1, solution=GOLD, **BOX)
        assert all(type(value) is float and math.isfinite(value) for value in found), name


def test_smooth_coordinates(reward):
    def worth(x: int, y: int) -> float:
        return reward("gelab_coord_smooth", format_click("umbrella", "page_3", x, y), solution=GOLD, **BOX)[0]

    assert worth(487, 531) == worth(403, 493) == 1.0
    # 800 is 943.2 px: 269.2 px right of the box, whose sides have 200 px
    assert worth(800, 531) == pytest.approx(math.exp(-269.2 / 200))
    # (800, 400) is (943.2, 1022.4): 269.2 px right of it and 235.6 px above
    assert worth(800, 400) == pytest.approx(math.exp(-math.hypot(269.2, 235.6) / 200))
    assert worth(1001, 531) == 0.0
    assert reward("gelab_coord_smooth", COMPLETE_ANSWER, "", solution=GOLD, **BOX) == [0.0, 0.0]
    assert reward("gelab_coord_smooth", COMPLETE_ANSWER, GOLD, solution=COMPLETE_ANSWER, bbox=[]) == [1.0, 0.0]


@pytest.mark.parametrize("solution", ["umbrella", None, ""])
def test_a_broken_gold_names_its_row(reward, solution):
    with pytest.raises(ValueError, match="row 7: gold is neither complete nor a click with a box"):
        reward("gelab_type", GOLD, idx=7, solution=solution, **BOX)


def test_gold_is_never_taken_from_the_chat(reward):
    with pytest.raises(ValueError, match="no column 'solution'"):
        reward("gelab_type", GOLD, idx=7, **BOX)


RECORD = {"total_reward": 0.0, "step_rewards": [0.0] * 4, "distances": [4, 3, 3, 2, 3], "parse_failures": 1}


@pytest.mark.parametrize(
    "name, worth", [("gelab_a2b", 0.0), ("gelab_progress", 0.25), ("gelab_parse_rate", 0.75)]
)  # 4 clicks from the goal, then 3; 3 of 4 answers read
def test_multi_turn_rewards_come_from_the_record(reward, name, worth):
    assert reward(name, GOLD, rollout_infos=RECORD) == [worth]


def test_going_away_is_worth_nothing(reward):
    assert reward("gelab_progress", GOLD, rollout_infos=RECORD | {"distances": [2, 3]}) == [0.0]


@pytest.mark.parametrize("columns", [{}, {"rollout_infos": {}}, {"rollout_infos": {"total_reward": 1.0}}])
def test_multi_turn_rewards_without_an_environment_are_refused(reward, columns):
    with pytest.raises(ValueError, match="no record of an environment: .* --multi_turn_scheduler gelab_click"):
        reward("gelab_a2b", GOLD, **columns)
