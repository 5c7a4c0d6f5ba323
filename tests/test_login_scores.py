"""Scores of forms, worked by hand: each key of the published metrics with its edge, the strict ones, the ceiling."""

import json
import math

import pytest

from data_engine.dataset import DataError
from data_engine.intervals import interval
from data_engine.login.actions import Click, Done, ParseFailure, Pick, Type, Wait
from data_engine.login.baselines import Random, static_answers, static_requests
from data_engine.login.metrics import ceiling, classic_metrics, closed_loop_metrics, strict_metrics
from data_engine.login.scoring import Truth, classic, reward, strict

KEYS = [  # the published schema, in its order
    "num_episodes",
    "num_steps",
    "action_type_accuracy",
    "mean_coord_error",
    "coord_error_count",
    "episode_success_rate",
    "click_hit_rate",
    "bbox_hit_rate",
    "mean_episode_progress",
    "mean_episode_step_score",
    "weak_episode_success_rate",
    "state_success_rate",
    "element_accuracy",
]
CLICK = Truth("click", 0.5, 0.5, None, (0.4, 0.45, 0.6, 0.55))
TYPE = Truth("type", text="ann")
MARKED = Truth("click", 0.5, 0.5, None, (0.4, 0.45, 0.6, 0.55), 2)
MARKED_TYPE = Truth("type", text="ann", element=2)
FAIL = ParseFailure("no action")


# action, truth, mode -> type, error, bbox, element, full
CLASSIC = [
    (Click(0.5, 0.5), CLICK, "coord", (True, 0.0, True, None, True)),
    (Click(0.53, 0.54), CLICK, "coord", (True, 0.05, True, None, False)),  # 3-4-5: a hit is below 0.05
    (Click(0.54, 0.5), CLICK, "coord", (True, 0.04, True, None, True)),
    (Click(0.61, 0.5), CLICK, "coord", (True, 0.11, False, None, False)),
    (Click(0.6, 0.55), CLICK, "coord", (True, math.hypot(0.1, 0.05), True, None, False)),  # edges belong to the box
    (Click(3.0, 0.5), CLICK, "coord", (True, 0.5, False, None, False)),  # clamped to 1
    (Pick(2), CLICK, "coord", (True, None, False, None, False)),  # no point: no error, and a miss of the box
    (Type("a"), CLICK, "coord", (False, None, False, None, False)),
    (FAIL, CLICK, "coord", (False, None, False, None, False)),
    (Type("wrong"), TYPE, "coord", (True, None, None, None, True)),  # the text is never compared
    (Click(0.5, 0.5), TYPE, "coord", (False, None, None, None, False)),
    (Wait(), Truth("wait"), "coord", (True, None, None, None, True)),
    (Done(), Truth("wait"), "coord", (False, None, None, None, False)),
    (Pick(2), MARKED, "som", (True, None, None, True, True)),
    (Pick(3), MARKED, "som", (True, None, None, False, False)),
    (Click(0.5, 0.5), MARKED, "som", (True, None, None, False, False)),  # points do not count there
    (Type("wrong", 2), MARKED, "som", (False, None, None, True, False)),
    (Type("wrong", 2), MARKED_TYPE, "som", (True, None, None, True, True)),
    (Type("ann"), MARKED_TYPE, "som", (True, None, None, False, False)),
    (Done(), Truth("done"), "som", (True, None, None, None, True)),
]


@pytest.mark.parametrize("action, truth, mode, parts", CLASSIC)
def test_classic_steps(action, truth, mode, parts):
    found = classic(action, truth, mode)
    same, error, bbox, element, full = parts
    assert (found.type, found.bbox, found.element, found.full) == (same, bbox, element, full)
    assert found.error == (None if error is None else pytest.approx(error))


# action, truth, mode -> right
STRICT = [
    (Click(0.6, 0.55), CLICK, "coord", True),
    (Click(0.601, 0.55), CLICK, "coord", False),
    (Click(3.0, 0.5), CLICK, "coord", False),
    (Pick(2), CLICK, "coord", False),
    (Type("ann"), TYPE, "coord", True),
    (Type("ann "), TYPE, "coord", False),
    (Type("ann", 2), TYPE, "coord", False),
    (Pick(2), MARKED, "som", True),
    (Click(0.5, 0.5), MARKED, "som", False),
    (Type("ann", 2), MARKED_TYPE, "som", True),
    (Type("ann"), MARKED_TYPE, "som", False),
    (Type("bob", 2), MARKED_TYPE, "som", False),
    (Wait(), Truth("wait"), "som", True),
    (FAIL, Truth("done"), "som", False),
]


@pytest.mark.parametrize("action, truth, mode, right", STRICT)
def test_strict_steps(action, truth, mode, right):
    assert strict(action, truth, mode).right is right


def row(step: int, truth: dict, prediction: str, episode: str = "a", mode: str = "coord", **more) -> dict:
    return {"episode": episode, "step": step, "scenario": "login", "mode": mode, "truth": truth, **more} | {
        "prediction": prediction
    }


def click(x: float, y: float, element: int | None = None) -> dict:
    return {
        "type": "click",
        "x": x,
        "y": y,
        "text": None,
        "bbox": [x - 0.1, y - 0.1, x + 0.1, y + 0.1],
        "element": element,
    }


def typed(text: str, element: int | None = None) -> dict:
    return {"type": "type", "x": None, "y": None, "text": text, "bbox": None, "element": element}


DONE = {"type": "done", "x": None, "y": None, "text": None, "bbox": None, "element": None}
SCRIPT = [click(0.5, 0.3), typed("u"), click(0.5, 0.5), typed("p"), click(0.5, 0.7), DONE]
PERFECT = [
    "Action: CLICK(x=0.5, y=0.3)",
    'Action: TYPE(text="u")',
    "Action: CLICK(x=0.5, y=0.5)",
    'Action: TYPE(text="p")',
    "Action: CLICK(x=0.5, y=0.7)",
    "Action: DONE()",
]


def episode(answers: list[str], name: str = "a", script: list[dict] = SCRIPT, mode: str = "coord") -> list[dict]:
    return [row(i, truth, answer, name, mode) for i, (truth, answer) in enumerate(zip(script, answers, strict=True))]


def test_the_13_keys():
    assert list(classic_metrics(episode(PERFECT))) == KEYS


def test_classic_by_hand():
    """Episode a is perfect but for a click 0.06 off; b answers: right click, DONE, no point, right, far, garbage."""
    near = [*PERFECT[:4], "Action: CLICK(x=0.56, y=0.7)", PERFECT[5]]
    poor = [
        PERFECT[0],
        "Action: DONE()",
        "Action: CLICK([1])",
        'Action: TYPE(text="?")',
        "Action: CLICK(x=0.9, y=0.7)",
        "?",
    ]
    found = classic_metrics(episode(near) + episode(poor, "b"))
    assert found == {
        "num_episodes": 2,
        "num_steps": 12,
        "action_type_accuracy": pytest.approx(10 / 12),  # b: step 1 and 5 are wrong
        "mean_coord_error": pytest.approx((0 + 0 + 0.06 + 0 + 0.4) / 5),  # b's click without a point is left out
        "coord_error_count": 5,
        "episode_success_rate": 0.5,  # a, whatever its clicks
        "click_hit_rate": pytest.approx(3 / 5),
        "bbox_hit_rate": pytest.approx(4 / 6),  # here the click without a point counts as a miss
        "mean_episode_progress": pytest.approx((6 / 6 + 4 / 6) / 2),
        "mean_episode_step_score": pytest.approx((5 / 6 + 2 / 6) / 2),
        "weak_episode_success_rate": 0.5,  # a: its fifth step is within 0.10
        "state_success_rate": None,
        "element_accuracy": None,
    }


def test_strict_success_of_the_published_metrics_ignores_coordinates_and_texts():
    """Right kinds, all clicks at (0, 0), any text -> episode success 1.0. The strict score says 0."""
    wrong = ["Action: CLICK(x=0, y=0)" if "CLICK" in text else text.replace('"u"', '"no"') for text in PERFECT]
    assert classic_metrics(episode(wrong))["episode_success_rate"] == 1.0
    found = strict_metrics(episode(wrong))
    assert (found["episode_success_rate"], found["click_accuracy"], found["text_accuracy"]) == (0.0, 0.0, 0.5)
    assert found["step_accuracy"] == pytest.approx(2 / 6)
    assert strict_metrics(episode(PERFECT))["episode_success_rate"] == 1.0


@pytest.mark.parametrize(
    "step, answer, weak", [(1, "Action: DONE()", 0.0), (0, "?", 1.0), (4, "Action: CLICK(x=0.61, y=0.7)", 0.0)]
)
def test_milestones(step, answer, weak):
    """Steps 1, 3, 4 and 5 count; the click must be nearer than 0.10."""
    answers = [*PERFECT[:step], answer, *PERFECT[step + 1 :]]
    assert classic_metrics(episode(answers))["weak_episode_success_rate"] == weak


def test_milestones_are_login_steps_for_every_script():
    """With WAIT first the truth at step 1 is a click: never reached."""
    late = [{**DONE, "type": "wait"}, *SCRIPT]
    found = classic_metrics(episode(["Action: WAIT()", *PERFECT], script=late))
    assert (found["episode_success_rate"], found["weak_episode_success_rate"]) == (1.0, 0.0)


def test_marks_are_scored_by_number_alone():
    script = [click(0.5, 0.3, 1), typed("u", 1), DONE]
    found = classic_metrics(
        episode(["Action: CLICK([1])", 'Action: TYPE([2], "u")', "Action: DONE()"], script=script, mode="som")
    )
    assert (found["element_accuracy"], found["mean_episode_step_score"]) == (0.5, pytest.approx(2 / 3))
    assert (found["mean_coord_error"], found["click_hit_rate"], found["bbox_hit_rate"]) == (None, None, None)
    assert found["coord_error_count"] == 0 and found["episode_success_rate"] == 1.0


def test_state():
    said = ['State: {"success": true}\nAction: DONE()', 'State: {"success": false} State: {"x": 1}\nAction: DONE()']
    assert classic_metrics([row(0, DONE, said[0])])["state_success_rate"] == 1.0
    assert classic_metrics([row(0, DONE, said[0]), row(1, DONE, said[1])])["state_success_rate"] == 1.0  # last has none
    both = classic_metrics([row(0, DONE, said[0]), row(0, DONE, 'State: {"success": false}\nAction: DONE()', "b")])
    assert both["state_success_rate"] == 0.5 and both["action_type_accuracy"] == 1.0


def test_garbage_scores_nothing():
    """With the published adapter, which echoes, it scores 14.3 %."""
    found = classic_metrics(episode(["?"] * 6))
    assert (found["action_type_accuracy"], found["mean_coord_error"], found["episode_success_rate"]) == (0.0, None, 0.0)
    assert strict_metrics(episode(["?"] * 6))["parse_failures"] == {"no action": 6}


def test_dummy_done():
    """Always DONE gives one of six (login)."""
    assert classic_metrics(episode(["Action: DONE()"] * 6))["action_type_accuracy"] == pytest.approx(1 / 6)


def test_no_rows():
    found = classic_metrics([])
    assert found["action_type_accuracy"] == 0.0 and found["num_steps"] == 0
    assert {found[key] for key in KEYS[3:] if key != "coord_error_count"} == {None}


def test_out_of_range_is_counted():
    found = strict_metrics([row(0, click(0.5, 0.5), "Action: CLICK(x=1.2, y=0.5)")])
    assert found["out_of_range"] == 1 and found["click_accuracy"] == 0.0


BROKEN = [
    ({"prediction": None}, "needs text under 'prediction'"),
    ({"mode": "both"}, "'mode' coord or som"),
    ({"step": "1"}, "whole number under 'step'"),
    ({"truth": {"x": 1}}, "truth: Object missing required field `type`"),
    ({"truth": {"type": "click", "x": "left"}}, "episode 'a' step 0: truth: Expected `float | null`"),
    ({"step": -1}, "whole number under 'step'"),
    ({"step": True}, "whole number under 'step'"),
    ({"truth": {"type": "CLICK"}}, "episode 'a' step 0: truth: Invalid enum value 'CLICK'"),
    ({"truth": {"type": "press"}}, "truth: Invalid enum value 'press'"),
    ({"truth": {"type": "click", "bbox": [0.1, 0.1, 1.2, 0.3]}}, "truth: Expected `float` <= 1.0 - at `$.bbox[2]`"),
    ({"truth": {"type": "click", "bbox": [400, 300, 440, 330]}}, "truth: Expected `float` <= 1.0 - at `$.bbox[0]`"),
    ({"truth": {"type": "click", "x": -0.1}}, "truth: Expected `float` >= 0.0 - at `$.x`"),
    ({"truth": {"type": "click", "bbox": [0.5, 0.1, 0.4, 0.3]}}, "bbox [0.5, 0.1, 0.4, 0.3] has its corners exchanged"),
]


@pytest.mark.parametrize("change, line", BROKEN)
def test_a_broken_row_is_named(change, line):
    with pytest.raises(DataError) as error:
        classic_metrics([row(0, DONE, "Action: DONE()") | change])
    assert line in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [slice(1, None), slice(3), slice(5), [0, 1, 2, 4, 5]], ids=str)
def test_an_episode_that_lacks_steps_is_no_success(kept):
    """Episode a is right and whole; of b, right too, some steps are there: they count as steps, b as incomplete."""
    b = episode(PERFECT, "b")
    rows = episode(PERFECT) + (b[kept] if isinstance(kept, slice) else [b[i] for i in kept])
    wrong = [{**row, "prediction": "?"} for row in episode(PERFECT)] + rows[6:]
    for metrics, rate in ((classic_metrics, "action_type_accuracy"), (strict_metrics, "step_accuracy")):
        found = metrics(rows)
        assert (found["num_episodes"], found["episodes_incomplete"], found["num_steps"]) == (1, 1, len(rows))
        assert (found["episode_success_rate"], found[rate]) == (1.0, 1.0)
        assert metrics(wrong)["episode_success_rate"] == 0.0
        assert metrics(wrong)[rate] == pytest.approx(len(rows[6:]) / len(rows))
        alone = metrics(rows[6:])
        assert (alone["num_episodes"], alone["episodes_incomplete"], alone["episode_success_rate"]) == (0, 1, None)
    assert "episodes_incomplete" not in classic_metrics(episode(PERFECT))
    assert ceiling(rows, lambda row: row["step"])["episode_success_rate"] == 1.0
    assert ceiling(rows[6:], lambda row: row["step"])["episode_success_rate"] is None


def test_steps_are_unique_and_strict_needs_boxes():
    with pytest.raises(DataError, match="has a step twice"):
        classic_metrics([row(0, DONE, "x"), row(0, DONE, "y")])
    with pytest.raises(DataError, match="episode 'a' step 0: strict scoring needs 'bbox'"):
        strict_metrics([row(0, {"type": "click", "x": 0.5, "y": 0.5}, "Action: CLICK(x=0.5, y=0.5)")])
    with pytest.raises(DataError, match="needs 'element'"):
        strict_metrics([row(0, {"type": "click"}, "Action: CLICK([1])", mode="som")])


def test_reward_is_the_strict_step():
    one = row(0, click(0.5, 0.5), "")
    assert reward("Thought: t\nAction: CLICK(x=0.5, y=0.5)", one) == 1.0
    assert reward("Thought: t\nAction: CLICK(x=0.7, y=0.5)", one) == 0.0 == reward("CLICK CLICK", one)


def test_ceiling_by_hand():
    """Steps 0 and 1 look the same and need two kinds: three of four steps at best, and no episode."""
    rows = [row(i, truth, "") for i, truth in enumerate([click(0.5, 0.5), typed("u"), click(0.5, 0.6), DONE])]
    looks = {0: "blank", 1: "blank", 2: "filled", 3: "green"}
    assert ceiling(rows, lambda r: looks[r["step"]]) == {"type_accuracy": 0.75, "episode_success_rate": 0.0}
    assert ceiling(rows, lambda r: r["step"]) == {"type_accuracy": 1.0, "episode_success_rate": 1.0}


def messages(text: str) -> list[dict]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": ""}]


def test_blind_does_what_the_others_do():
    """Three episodes; asked about c, it has seen a and b alone: their mean point, their number, c's own goal."""
    rows = []
    for name, x in ("a", 0.2), ("b", 0.4), ("c", 0.9):
        goal = messages(f"<image>Goal: Log in with username 'u{name}' and password 'p{name}'\nWhat is the next action?")
        steps = [click(x, 0.5), typed(f"u{name}"), DONE]
        names = ["username", "username", None]
        rows += [
            row(i, truth, "", name, messages=goal, element=element)
            for i, (truth, element) in enumerate(zip(steps, names, strict=True))
        ]
    said = [text.partition("Action: ")[2] for text in static_answers(rows, "blind")]
    assert said[6:] == ["CLICK(x=0.3000, y=0.5000)", 'TYPE(text="uc")', "DONE()"]
    assert said[:3] == ["CLICK(x=0.6500, y=0.5000)", 'TYPE(text="ua")', "DONE()"]
    only = {text.partition("Action: ")[2] for text in static_answers(rows, "text_only")[6:]}
    assert only == {"CLICK(x=0.3000, y=0.5000)"}  # the prompt does not tell the steps apart: one answer for all


def test_text_only_reads_the_step_counter():
    rows = [
        row(i, truth, "", name, messages=messages(f"<image>Goal: g\nDone so far: nothing\nStep {i + 1} of 2. What"))
        for name in "ab"
        for i, truth in enumerate([click(0.5, 0.5), DONE])
    ]
    assert ["DONE" in text for text in static_answers(rows, "text_only")] == [False, True, False, True]


def test_one_episode_teaches_nothing():
    assert all("DONE()" in text for text in static_answers([row(0, click(0.5, 0.5), "")], "blind"))


def test_random_is_repeatable_and_reads_no_picture():
    rows = [row(i, DONE, "", messages=messages("<image>Goal: 'x' 'y'")) for i in range(200)]
    one, two = (Random("som").answer(static_requests(rows), 0, seed) for seed in (1, 1))
    assert one == two != Random("som").answer(static_requests(rows), 0, 2)
    kinds = {text.partition("Action: ")[2].split("(")[0] for text in one}
    assert kinds == {"CLICK", "TYPE", "WAIT", "DONE"} and "x=" not in json.dumps(one)
    assert "CLICK([" not in json.dumps(Random("coord").answer(static_requests(rows)))


def test_closed_loop_by_hand():
    turn = {"answer": "", "outcome": "miss", "element": None}
    trips = [
        {"accepted": True, "declared": True, "steps": 5, "ended": "accepted", "turns": [turn | {"point": [1.5, 0.5]}]},
        {"accepted": True, "declared": False, "steps": 7, "ended": "accepted", "turns": [turn]},
        {
            "accepted": False,
            "declared": False,
            "steps": 12,
            "ended": "misfire",
            "turns": [turn | {"failure": "no action"}],
        },
    ]
    metrics = closed_loop_metrics(trips)
    assert metrics.pop("intervals") == {
        "success_rate": interval([(1, 1), (1, 1), (0, 1)]),
        "declared_rate": interval([(1, 1), (0, 1), (0, 1)]),
    }
    assert metrics == {
        "num_episodes": 3,
        "success_rate": pytest.approx(2 / 3),
        "declared_rate": pytest.approx(1 / 3),
        "mean_steps": 8.0,
        "ended": {"accepted": 2, "misfire": 1},
        "outcomes": {"miss": 3},
        "parse_failures": {"no action": 1},
        "out_of_range": 1,
    }
