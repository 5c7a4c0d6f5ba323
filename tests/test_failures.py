"""The kinds of failure, each by hand: on a walk, in teacher-forced rows, on forms; and that of a failed episode."""

import pytest

from data_engine.failures import (
    ACTION,
    EARLY,
    KINDS,
    LATE,
    LOOP,
    MISSED,
    NAME,
    PARSE,
    RIGHT,
    STEPS,
    TEXT,
    WRONG,
    first_wrong,
    main_failure,
    shares,
)
from data_engine.gelab import failures as gelab
from data_engine.gelab.actions import COMPLETE_ANSWER, Click, Complete, format_click, parse
from data_engine.gelab.env import Navigation
from data_engine.gelab.graph import Element, Page, PageGraph
from data_engine.gelab.metrics import score_prediction
from data_engine.gelab.tasks import Task
from data_engine.geometry import Box, Size
from data_engine.login import actions as form_actions
from data_engine.login import failures as login
from data_engine.login.actions import Done, ParseFailure, Pick, Type, Wait
from data_engine.login.env import Filling
from data_engine.login.forms import Element as Part
from data_engine.login.forms import Form, View
from data_engine.login.metrics import Judged
from data_engine.login.scoring import Truth
from data_engine.login.style import LOGIN_STYLE
from data_engine.login.tasks import Options
from data_engine.login.tasks import Task as FormTask

# page_0 --key--> page_1 --car--> page_3;  page_0 --cup--> page_2. On a canvas of 1000 x 1000, so that canvas pixels
# are the numbers that models write.
KEY, CUP, BACK, HOME = Box(100, 100, 200, 200), Box(300, 100, 400, 200), Box(0, 0, 50, 50), Box(900, 0, 950, 50)
GRAPH = PageGraph(
    {
        "page_0": Page("page_0", 0, (Element("key", KEY, "page_1"), Element("cup", CUP, "page_2"))),
        "page_1": Page("page_1", 1, (Element("car", KEY, "page_3"), Element("back", BACK, "page_0"))),
        "page_2": Page("page_2", 1, (Element("back", BACK, "page_0"),)),
        "page_3": Page("page_3", 2, (Element("back", BACK, "page_1"), Element("home", HOME, "page_0"))),
    },
    Size(1000, 1000),
)
HIT = {"key": (150, 150), "car": (150, 150), "cup": (350, 150), "back": (20, 20), "home": (920, 20), None: (600, 600)}


def walk(goal: str, *answers: str) -> dict:
    """A trajectory from page_0, acted out by the environment; answers: elements, "nothing", "complete" or "babble"."""
    task = Task("page_0", goal, GRAPH.distances_to(goal)["page_0"])
    state, turns = Navigation(GRAPH, task, len(answers)), []
    for said in answers:
        text = {"complete": COMPLETE_ANSWER, "babble": "well"}.get(said)
        text = text or format_click(said, state.page, *HIT[None if said == "nothing" else said])
        page, outcome = state.page, state.act(parse(text).action)
        turns.append({"page": page, "outcome": outcome, "element": state.events[-1][1], "answer": text})
    return {"goal": goal, "turns": turns, "arrived": state.arrived}


@pytest.mark.parametrize(
    "goal, answers, kinds",
    [
        ("page_3", ["key", "car", "complete"], [RIGHT, RIGHT, RIGHT]),
        ("page_3", ["key", "car", "nothing"], [RIGHT, RIGHT, LATE]),
        ("page_3", ["nothing", "nothing"], [MISSED, MISSED]),
        ("page_3", ["babble", "key", "complete"], [PARSE, RIGHT, EARLY]),
        ("page_3", ["cup", "back", "cup", "back", "cup"], [WRONG, RIGHT, LOOP, RIGHT, LOOP]),
        ("page_3", ["cup", "back", "key", "back", "cup"], [WRONG, RIGHT, RIGHT, WRONG, LOOP]),  # `back` of another page
    ],
)
def test_walks(goal, answers, kinds):
    assert gelab.walk_kinds(GRAPH, walk(goal, *answers)) == kinds


def test_what_is_due_and_done():
    assert [gelab.asked(GRAPH, page, "page_3") for page in GRAPH.pages] == ["icon", "icon", "back", "complete"]
    assert gelab.asked(GRAPH, "page_3", "page_2") == "home"  # 1 click, then the cup; `back` would take 3
    clicks = [Click(*HIT[name]) for name in ("key", "cup", None)]
    said = [gelab.done(GRAPH, "page_0", "page_3", click) for click in clicks]
    assert said == ["right icon", "other icon", "nothing"]
    assert gelab.done(GRAPH, "page_3", "page_3", Click(920, 20)) == "home"
    assert gelab.done(GRAPH, "page_0", "page_3", Complete()) == "complete"
    assert gelab.done(GRAPH, "page_0", "page_3", parse("").action) == "unreadable"


def row(page: str, answer: str) -> dict:
    """A teacher-forced row of the task page_0 -> page_3 with its prediction."""
    done = page == "page_3"
    gold = COMPLETE_ANSWER if done else format_click({"page_0": "key", "page_1": "car"}[page], page, 150, 150)
    return {
        "idx": 0,
        "task": "From page_0 to page_3",
        "path": 2,
        "messages": [{"role": "user", "content": "<image>Instruction"}, {"role": "assistant", "content": gold}],
        "images": [f"world/pages/{page}.png"],
        "bbox": [] if done else list(KEY),
        "canvas": [1000, 1000],
        "prediction": answer,
    }


@pytest.mark.parametrize(
    "page, answer, kind",
    [
        ("page_0", format_click("key", "page_0", 150, 150), RIGHT),
        ("page_0", format_click("cup", "page_0", 150, 150), NAME),
        ("page_0", format_click("key", "page_0", 350, 150), WRONG),
        ("page_0", format_click("key", "page_0", 600, 600), MISSED),
        ("page_0", format_click("key", "page_0", 150, 1150), MISSED),
        ("page_0", COMPLETE_ANSWER, EARLY),
        ("page_0", "</script>", PARSE),
        ("page_3", COMPLETE_ANSWER, RIGHT),
        ("page_3", format_click("back", "page_3", 20, 20), LATE),
    ],
)
def test_rows(page, answer, kind):
    one = row(page, answer)
    assert gelab.row_kind(GRAPH, one) == kind
    assert (kind == RIGHT) == bool(score_prediction(one)["right"])


FORM = Form(
    scenario="login",
    goal="Log in with username 'ann' and password 'x1'",
    said={"username": "ann", "password": "x1"},  # pragma: allowlist secret
    title=Box(0, 0, 100, 20),
    elements=(
        Part("username", "field", "Username", Box(100, 100, 300, 140), Box(100, 80, 200, 95), 7),
        Part("password", "field", "Password", Box(100, 200, 300, 240), Box(100, 180, 200, 195), 2),
        Part("login", "button", "Login", Box(100, 300, 200, 330), None, 5),
        Part("help", "decoy", "Help", Box(400, 300, 500, 330), None, 9),
    ),
    style=LOGIN_STYLE,
)
USER, PASSWORD, LOGIN, NOTHING = (
    form_actions.Click(x / 800, y / 600) for x, y in ((200, 120), (200, 220), (150, 315), (700, 500))
)
ANN, X1 = Type("ann"), Type("x1")


def played(*actions: object) -> list[str]:
    """The kinds of a closed-loop episode in coordinate mode."""
    texts = [form_actions.format_answer("t", action, 4) if action else "well" for action in actions]
    task = FormTask(Options("login", "coord", "hard"), 0, FORM)
    return [turn.kind for turn in login.replay(task, {"turns": [{"answer": text} for text in texts]})]


@pytest.mark.parametrize(
    "actions, kinds",
    [
        ([USER, ANN, PASSWORD, X1, LOGIN, Done()], [RIGHT] * 6),
        ([PASSWORD, X1, USER, ANN, LOGIN, Wait()], [RIGHT] * 5 + [LATE]),  # any order fills in the form
        # the first bob changes the field, so the second is said in another state and the third in the second's
        ([NOTHING, USER, *[Type("bob")] * 3, ANN], [MISSED, RIGHT, TEXT, TEXT, LOOP, RIGHT]),
        ([USER, USER, USER, None, Done()], [RIGHT, ACTION, LOOP, PARSE, EARLY]),
        ([LOGIN], [WRONG]),
    ],
)
def test_forms_in_the_closed_loop(actions, kinds):
    assert played(*actions) == kinds


def test_steps_left_agrees_with_the_oracle_on_every_state_it_passes():
    task = FormTask(Options("login", "coord", "hard"), 0, FORM)
    state, left = Filling(task), [login.steps_left(FORM, View(("", "")))]
    for action in (USER, ANN, PASSWORD, X1, LOGIN):
        state.act(action)
        left.append(login.steps_left(FORM, state.view))
    assert left == [5, 4, 3, 2, 1, 0]


TYPED = Truth("type", text="ann", element=7)
CLICKED = Truth("click", x=0.25, y=0.2, bbox=(0.125, 0.1667, 0.375, 0.2333), element=7)


@pytest.mark.parametrize(
    "mode, truth, action, kind",
    [
        ("coord", CLICKED, USER, RIGHT),
        ("coord", CLICKED, PASSWORD, WRONG),
        ("coord", CLICKED, NOTHING, MISSED),
        ("coord", CLICKED, ANN, ACTION),
        ("coord", CLICKED, Pick(7), MISSED),  # there are no numbers on this page
        ("coord", TYPED, Type("bob"), TEXT),
        ("coord", TYPED, Type("ann", 7), WRONG),
        ("coord", TYPED, Done(), EARLY),
        ("coord", Truth("wait"), USER, ACTION),
        ("coord", Truth("done"), Wait(), LATE),
        ("som", CLICKED, Pick(7), RIGHT),
        ("som", CLICKED, Pick(9), WRONG),
        ("som", CLICKED, Pick(4), MISSED),
        ("som", TYPED, Type("ann", 2), WRONG),
        ("som", TYPED, Type("bob", 7), TEXT),
        ("som", TYPED, ParseFailure("no action"), PARSE),
    ],
)
def test_forms_step_by_step(mode, truth, action, kind):
    judged = Judged({"mode": mode, "element": "username" if truth.element else None}, truth, action)
    assert login.row_kind(FORM, judged) == kind
    assert (kind == RIGHT) == judged.strict.right


def test_what_was_done_on_a_form():
    said = [USER, PASSWORD, NOTHING, ANN, X1, Wait(), Done(), ParseFailure("no action")]
    assert tuple(login.done(FORM, "coord", action, "username", "ann") for action in said) == login.DONE


def test_a_failed_episode_has_one_kind():
    assert main_failure([WRONG, MISSED, RIGHT, MISSED], fatal=False) == MISSED
    assert main_failure([WRONG, MISSED], fatal=False) == WRONG  # the earliest of equals
    assert main_failure([MISSED, MISSED, EARLY], fatal=True) == EARLY  # what ended it
    assert main_failure([RIGHT, RIGHT], fatal=False) == STEPS
    assert first_wrong([RIGHT, MISSED, EARLY]) == 1 and first_wrong([RIGHT]) is None


def test_shares_are_in_order():
    assert list(shares([LOOP, MISSED, PARSE, PARSE]).items()) == [(PARSE, 2), (MISSED, 1), (LOOP, 1)]
    assert set(KINDS) == {PARSE, MISSED, WRONG, LOOP, EARLY, LATE, NAME, ACTION, TEXT, STEPS}


def test_hits_agree_with_the_environment_on_every_number(world):
    """The element under a click is the one that the environment opens."""
    graph = world.graph
    for page in list(graph.pages)[:6]:
        for x in range(0, 1001, 97):
            for y in range(0, 1001, 89):
                state = Navigation(graph, Task(page, "page_25", 1), ask_complete=False)
                state.act(Click(x, y))
                hit = gelab.element_at(graph, page, [x, y])
                assert (hit and hit.name) == state.events[-1][1]
