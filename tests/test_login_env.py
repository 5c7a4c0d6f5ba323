"""The form owns the state: what a click, a text, the button and a decoy do, and how an episode ends."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from PIL import Image

from data_engine.episode import run_episodes
from data_engine.geometry import Box, Size
from data_engine.login.actions import Click, Done, ParseFailure, Pick, Type, Wait
from data_engine.login.env import Filling, LoginEnv, LoginEpisode
from data_engine.login.forms import Element, Form
from data_engine.login.style import LOGIN_STYLE
from data_engine.login.tasks import MODES, PROTOCOLS, Options, Task, tasks

SMALL = Size(448, 320)
FORM = Form(
    scenario="login",
    goal="Log in with username 'ann' and password 'x1'",
    said={"username": "ann", "password": "x1"},  # pragma: allowlist secret
    title=Box(0, 0, 100, 20),
    elements=(
        Element("username", "field", "Username", Box(100, 100, 300, 140), Box(100, 80, 200, 95), 7),
        Element("password", "field", "Password", Box(100, 200, 300, 240), Box(100, 180, 200, 195), 2),
        Element("login", "button", "Login", Box(100, 300, 200, 330), None, 5),
        Element("help", "decoy", "Help", Box(400, 300, 500, 330), None, 9),
    ),
    style=LOGIN_STYLE,
)
USER, PASSWORD, LOGIN, HELP, NOTHING = (
    Click(x / 800, y / 600) for x, y in ((200, 120), (200, 220), (150, 315), (450, 315), (700, 500))
)
READY = [USER, Type("ann"), PASSWORD, Type("x1")]


def fill(*actions, mode: str = "coord", protocol: str = "hard", max_steps: int | None = None) -> Filling:
    state = Filling(Task(Options("login", mode, protocol), 0, FORM), max_steps)
    for action in actions:
        state.act(action)
    return state


def outcomes(state: Filling) -> list[str]:
    return [outcome for outcome, _, _ in state.events]


def test_the_script():
    state = fill(*READY, LOGIN)
    assert outcomes(state) == ["focused", "typed", "focused", "typed", "accepted"]
    assert (state.accepted, state.done, state.declared, state.steps) == (True, False, False, 5)
    assert state.act(Done()) == "done"
    assert (state.done, state.declared, state.steps) == (True, True, 5)


def test_after_acceptance_anything_but_done_is_no_declaration():
    state = fill(*READY, LOGIN, Wait())
    assert (state.accepted, state.declared, state.done) == (True, False, True)
    with pytest.raises(RuntimeError, match="the episode is over"):
        state.act(Done())


def test_text_goes_where_the_focus_is_and_replaces():
    state = fill(USER, Type("bob"), Type("ann"))
    assert state.texts == {"username": "ann", "password": ""} and state.focus == "username"
    assert outcomes(fill(Type("ann"))) == ["miss"]  # nothing has the focus
    assert outcomes(fill(USER, NOTHING, Type("ann"))) == ["focused", "miss", "miss"]  # it was taken away


def test_numbers():
    state = fill(Type("ann", 7), Pick(2), Type("x1"), Pick(5), mode="som")
    assert state.accepted and outcomes(state) == ["typed", "focused", "typed", "accepted"]
    state = fill(Pick(3), Type("ann", 5), Type("ann", 8), mode="som")  # no such number, a button, no such number
    assert outcomes(state) == ["miss", "miss", "miss"] and set(state.texts.values()) == {""}


def test_each_mode_has_its_own_clicks():
    assert outcomes(fill(USER, mode="som")) == ["miss"]
    assert outcomes(fill(Pick(7), Type("ann", 7), mode="coord")) == ["miss", "miss"]


@pytest.mark.parametrize("before", [[], READY[:2], [USER, Type("ann "), PASSWORD, Type("x1")], [*READY, Type("X1")]])
def test_the_button_rejects_what_is_not_right(before):
    state = fill(*before, LOGIN)
    assert outcomes(state)[-1] == "rejected" and state.done and not state.accepted


def test_a_decoy_leaves_the_form():
    state = fill(*READY, HELP)
    assert outcomes(state)[-1] == "misfire" and state.done and not state.accepted


def test_premature_done_and_step_limit():
    assert fill(*READY, Done()).done and not fill(*READY, Done()).accepted
    state = fill(*[Wait()] * 12)
    assert state.done and state.steps == 12  # twice the script of six
    assert fill(*READY, LOGIN, max_steps=5).accepted and not fill(*READY, LOGIN, max_steps=5).done
    assert fill(Wait(), Wait(), max_steps=2).done


def test_out_of_range_and_unreadable():
    assert outcomes(fill(Click(1.5, -0.2), ParseFailure("no action"))) == ["miss", "unreadable"]


def test_edges_belong_to_a_box():
    assert outcomes(fill(Click(100 / 800, 100 / 600), Click(300 / 800, 140 / 600))) == ["focused", "focused"]
    assert outcomes(fill(Click(99 / 800, 100 / 600), Click(301 / 800, 140 / 600))) == ["miss", "miss"]


def test_the_history_tells_what_was_said():
    state = fill(Pick(7), ParseFailure("no action"), Type('a"b', 7), mode="som", protocol="scripted")
    assert state.question() == (
        "<image>Goal: Log in with username 'ann' and password 'x1'\n"
        'Done so far: 1. CLICK([7]) 2. an answer that could not be read 3. TYPE([7], "a\\"b")\n'
        "Step 4 of 6. What is the next action?"
    )
    assert "Done so far" not in fill(USER).question()


def every_set() -> list[Options]:
    sets = [
        Options(scenario, mode, protocol, 3, page_size=Size(544, 416))
        for protocol in PROTOCOLS
        for scenario in ("login", "registration")
        for mode in MODES
    ]
    return [o for o in sets if (o.protocol, o.mode, o.scenario) != ("published", "coord", "registration")]


@pytest.mark.parametrize("options", every_set(), ids=lambda o: f"{o.protocol}-{o.scenario}-{o.mode}")
def test_the_oracle_fills_in_every_form(options, tmp_path):
    episodes = [LoginEpisode(task, tmp_path) for task in tasks(options)]
    run_episodes(episodes, lambda asked: [request.gold() for request in asked])
    for episode in episodes:
        assert episode.state.accepted and episode.state.declared
        assert episode.state.steps == len(episode.turns) - 1 == episode.task.steps - 1


def test_the_oracle_repairs_what_was_filled_in_wrong():
    episode = LoginEpisode(Task(Options(), 0, FORM), None)
    for text in ("Action: CLICK(x=0.25, y=0.2)", 'Action: TYPE(text="bob")', "Action: CLICK(x=0.25, y=0.3667)"):
        episode.answer(text)
    run_episodes([episode], lambda asked: [request.gold() for request in asked])
    assert episode.state.accepted and [turn["element"] for turn in episode.turns][3:5] == ["username", "username"]


def test_an_episode_shows_its_state(tmp_path):
    task = tasks(Options("login", "som", "hard", 1, page_size=SMALL))[0]
    episode = LoginEpisode(task, tmp_path)
    first = episode.request()
    assert first.key == f"{task.key}/0" and "CLICK([N])" in first.system
    with Image.open(first.image) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(task.screen().picture(episode.state.view)))
    episode.answer(first.gold())
    second = episode.request()
    assert second.key == f"{task.key}/1" and second.image != first.image  # the focus is seen
    episode.answer("Action: CLICK(")
    assert episode.turns[1] == {
        "answer": "Action: CLICK(",
        "outcome": "unreadable",
        "element": None,
        "failure": "truncated answer",
    }


def test_gymnasium():
    env = LoginEnv(tasks(Options(episodes=2, page_size=SMALL)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(spec|render_mode|action_space).*")
        check_env(env, skip_render_check=True)
    observation, info = env.reset(options={"task": 1})
    assert observation["image"].shape == (320, 448, 3) and info == {"outcome": None, "element": None}
    rewards = []
    while True:
        _, reward, terminated, truncated, info = env.step(env.state.gold())
        rewards.append(reward)
        if terminated or truncated:
            break
    assert rewards == [0.0, 0.0, 0.0, 0.0, 1.0] and terminated and info["outcome"] == "accepted"


def test_gymnasium_ends_a_failure():
    env = LoginEnv([Task(replace(Options(), page_size=SMALL), 0, FORM)], max_steps=2)
    env.reset(seed=0)
    assert env.step("Action: CLICK(x=0.1875, y=0.525)")[2:4] == (True, False)  # the button, too early
    env.reset()
    env.step("nonsense")
    assert env.step("nonsense")[1:4] == (0.0, False, True)
