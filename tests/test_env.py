"""The environment: where an agent is follows from where it clicked, never from what it wrote."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from data_engine.episode import Request, run_episodes
from data_engine.gelab import prompts
from data_engine.gelab.actions import COMPLETE_ANSWER, FAILURES, Click, Complete, ParseFailure, format_click
from data_engine.gelab.env import MAX_STEPS, GELabEnv, Navigation, NavigationEpisode
from data_engine.gelab.graph import Element, Page, PageGraph
from data_engine.gelab.tasks import Task, all_tasks
from data_engine.geometry import THOUSAND, Box, Size, in_range
from data_engine.seeds import rng

# A world to work by hand, on a canvas where pixels are thousandths: page_0 -key-> page_1 -car-> page_2.
KEY, CAR, BACK, HOME = Box(100, 100, 200, 200), Box(300, 300, 400, 400), Box(0, 0, 50, 50), Box(900, 0, 950, 50)
PAGES = [
    Page("page_0", 0, (Element("key", KEY, "page_1"),)),
    Page("page_1", 1, (Element("car", CAR, "page_2"), Element("back", BACK, "page_0"))),
    Page("page_2", 2, (Element("back", BACK, "page_1"), Element("home", HOME, "page_0"))),
]
GRAPH = PageGraph({page.id: page for page in PAGES}, Size(1000, 1000))
TO_2 = Task("page_0", "page_2", 2)
AT_KEY, AT_CAR, NOWHERE = Click(150, 150), Click(350, 350), Click(500, 500)


def test_clicks_move_and_arrive():
    state = Navigation(GRAPH, TO_2, ask_complete=False)
    assert (state.act(AT_KEY), state.page, state.arrived, state.done) == ("hit", "page_1", False, False)
    assert (state.act(AT_CAR), state.page, state.arrived, state.done) == ("hit", "page_2", True, True)
    assert state.steps == 2 and not state.declared


@pytest.mark.parametrize("click", [NOWHERE, Click(-1, 150), Click(1001, 150), Click(150150, 150), AT_CAR])
def test_a_miss_stays(click):
    state = Navigation(GRAPH, TO_2)
    assert (state.act(click), state.page, state.steps, state.done) == ("miss", "page_0", 1, False)


def test_edges_of_a_box_hit():
    for x, y in [(100, 100), (200, 200), (100, 200)]:
        state = Navigation(GRAPH, TO_2)
        assert (state.act(Click(x, y)), state.page) == ("hit", "page_1")
    for x, y in [(99, 150), (201, 150), (150, 99), (150, 201)]:
        assert Navigation(GRAPH, TO_2).act(Click(x, y)) == "miss"


def test_history_tells_what_happened():
    state = Navigation(GRAPH, TO_2)
    for action in [NOWHERE, AT_KEY, ParseFailure("no action"), Click(10, 10)]:
        state.act(action)
    assert state.history() == [
        "click missed on page_0.",
        "click key icon on page_0.",
        "no action on page_1.",
        "click back icon on page_1.",
    ]


def test_truncation_comes_exactly_at_the_limit():
    state = Navigation(GRAPH, TO_2, max_steps=3)
    for step in range(1, 4):
        assert not state.done
        state.act(NOWHERE)
        assert state.steps == step
    assert state.done and not state.arrived


def test_arrival_on_the_last_allowed_step_counts():
    state = Navigation(GRAPH, TO_2, max_steps=3)
    for action in [NOWHERE, AT_KEY, AT_CAR]:
        state.act(action)
    assert state.arrived and not state.done  # one question is left: is it said?
    state.act(Complete())
    assert state.declared and state.done and state.steps == 3


def test_an_early_complete_ends_the_episode():
    state = Navigation(GRAPH, TO_2)
    state.act(AT_KEY)
    assert state.act(Complete()) == "complete"
    assert state.done and not state.arrived and not state.declared


@pytest.mark.parametrize("action", [NOWHERE, Click(10, 10), ParseFailure("no action")])
def test_only_complete_at_the_goal_declares(action):
    state = Navigation(GRAPH, TO_2)
    state.act(AT_KEY), state.act(AT_CAR), state.act(action)
    assert state.arrived and state.done and not state.declared
    assert state.page == "page_2"  # the question after arrival moves nobody


def test_click_only_knows_no_complete():
    state = Navigation(GRAPH, TO_2, click_only=True)
    assert (state.act(Complete()), state.done, state.steps) == ("unreadable", False, 1)
    assert state.history() == ["no action on page_0."]
    state.act(AT_KEY)
    state.act(AT_CAR)
    assert state.done and state.won and not state.declared  # no question is left


def test_won_needs_the_declaration_where_it_is_asked_for():
    for last, won in [(Complete(), True), (NOWHERE, False)]:
        state = Navigation(GRAPH, TO_2)
        for action in [AT_KEY, AT_CAR]:
            state.act(action)
            assert not state.won
        state.act(last)
        assert (state.arrived, state.won) == (True, won)


@pytest.mark.parametrize("ask_complete", [True, False])
def test_no_action_after_the_end(ask_complete):
    state = Navigation(GRAPH, TO_2, max_steps=1, ask_complete=ask_complete)
    state.act(NOWHERE)
    with pytest.raises(RuntimeError, match="the episode is over"):
        state.act(AT_KEY)


@pytest.mark.parametrize("reason", FAILURES)
def test_unreadable_answers_cost_a_step(reason):
    state = Navigation(GRAPH, TO_2, max_steps=2)
    assert (state.act(ParseFailure(reason)), state.page, state.steps) == ("unreadable", "page_0", 1)


# ---- in text, on the small world


def play(world, tasks, policy, **options) -> list[NavigationEpisode]:
    episodes = [NavigationEpisode(world, task, str(i), **options) for i, task in enumerate(tasks)]
    run_episodes(episodes, policy)
    return episodes


def oracle(requests: list[Request]) -> list[str]:
    return [request.gold() for request in requests]


@pytest.fixture(scope="module")
def tasks(world) -> list[Task]:
    return all_tasks(world.graph, list(world.graph.pages))


def test_the_oracle_arrives_everywhere_by_the_shortest_way(world, tasks):
    assert len(tasks) == 26 * 25
    for episode, task in zip(play(world, tasks, oracle), tasks, strict=True):
        state = episode.state
        assert state.arrived and state.declared and state.steps == task.length
        assert [turn["outcome"] for turn in episode.turns] == ["hit"] * task.length + ["complete"]


def test_the_random_floor_is_low(world, tasks):
    def click_anywhere(requests):
        points = [rng(5, r.key).integers(0, THOUSAND + 1, 2).tolist() for r in requests]
        return [format_click("?", "?", *point) for point in points]

    far = [task for task in tasks if task.length >= 3]
    arrived = [episode.state.arrived for episode in play(world, far, click_anywhere)]
    assert len(far) > 300 and np.mean(arrived) < 0.02


def test_a_liar_gets_nothing(world, tasks):
    """It names the right icon on the right page and clicks elsewhere."""

    def lie(requests):
        answers = []
        for request in requests:
            gold = request.gold()
            answers.append(gold if gold == COMPLETE_ANSWER else gold.partition("(start_box")[0] + "(start_box='(1,1)')")
        return answers

    for episode in play(world, tasks, lie):
        assert not episode.state.arrived and episode.state.page == episode.task.start
        assert {turn["outcome"] for turn in episode.turns} == {"miss"} and len(episode.turns) == MAX_STEPS


def test_the_state_never_follows_from_text(world, tasks):
    """Wrong names with right clicks arrive; the history tells the true ones."""

    def confuse(requests):
        return [r.gold().replace("click ", "click wrong ", 1).replace(" on page_", " on page_9", 1) for r in requests]

    far = [task for task in tasks if task.length == 4]
    for episode in play(world, far, confuse):
        assert episode.state.arrived and episode.state.steps == 4
        path = world.graph.shortest_path(episode.task.start, episode.task.goal)
        assert episode.state.history()[:4] == [prompts.entry("hit", page, element.name) for page, element in path]


def test_requests_ask_as_rows_do_and_show_the_page_the_agent_is_on(world):
    task = Task("page_0", "page_6", world.graph.distances_to("page_6")["page_0"])
    episode = NavigationEpisode(world, task, "7")
    first = episode.request()
    assert (first.key, first.system, first.image) == ("7/0", prompts.SYSTEM, world.picture("page_0"))
    assert first.prompt == "<image>Instruction: from page_0 to page_6. History: Null"
    episode.answer(first.gold())
    (page, element), *_ = world.graph.shortest_path("page_0", "page_6")
    second = episode.request()
    assert (second.key, second.image) == ("7/1", world.picture(element.target))
    assert second.prompt.endswith(f"History: step1: click {element.name} icon on page_0.")


def test_turns_record_points_failures_and_range(world):
    episode = NavigationEpisode(world, Task("page_0", "page_6", 2), "0", max_steps=3)
    for text in ["Action: click(start_box='(-3,1200)')", "hm", "Action: complete"]:
        episode.answer(text)
    out, unread, complete = episode.turns
    assert (out["outcome"], out["point"], in_range(*out["point"])) == ("miss", [-3, 1200], False)
    assert (unread["outcome"], unread["failure"]) == ("unreadable", "no action") and "point" not in unread
    assert complete["outcome"] == "complete" and episode.done and not episode.state.arrived


def test_the_loop_refuses_a_policy_that_skips_an_answer(world, tasks):
    with pytest.raises(ValueError):
        play(world, tasks[:3], lambda requests: ["hm"] * (len(requests) - 1))


# ---- as a Gymnasium environment


@pytest.mark.filterwarnings("ignore:.*render")  # it draws stills, and is registered nowhere
def test_gymnasium_accepts_it(world, tasks):
    check_env(GELabEnv(world, tasks), skip_render_check=False)


def test_two_environments_with_one_seed_are_one(world, tasks):
    one, two = GELabEnv(world, tasks), GELabEnv(world, tasks)
    for env in (one, two):
        env.action_space.seed(3)
    starts = set()
    for episode in range(10):
        seed = 11 if episode == 0 else None
        (seen, info), (seen_too, info_too) = one.reset(seed=seed), two.reset(seed=seed)
        starts.add(one.task)
        assert one.task == two.task and info == info_too and seen["prompt"] == seen_too["prompt"]
        for step in range(4):
            task = one.task
            element = world.graph.next_element(one.state.page, task.goal)
            x, y = element.box.at(0.5, 0.5)
            good = format_click("?", "?", round(x / 1.179), round(y / 2.556))
            action = good if step % 2 else one.action_space.sample()
            a, b = one.step(action), two.step(action)
            assert np.array_equal(a[0]["image"], b[0]["image"]) and a[0]["prompt"] == b[0]["prompt"]
            assert a[1:] == b[1:]
            if a[2] or a[3]:
                break
    assert len(starts) > 5


def test_reward_comes_once_on_arrival(world, tasks):
    env = GELabEnv(world, tasks)
    index = next(i for i, task in enumerate(tasks) if task.length == 3)
    _, info = env.reset(options={"task": index})
    assert info == {"page": tasks[index].start, "outcome": None, "distance": 3}
    seen = []
    for _, element in world.graph.shortest_path(tasks[index].start, tasks[index].goal):
        x, y = element.box.at(0.5, 0.5)
        _, reward, terminated, truncated, info = env.step(format_click("?", "?", round(x / 1.179), round(y / 2.556)))
        seen.append((reward, terminated, truncated, info["distance"], info["outcome"]))
    assert seen == [(0.0, False, False, 2, "hit"), (0.0, False, False, 1, "hit"), (1.0, True, False, 0, "hit")]
    assert np.array_equal(env.render(), world.screenshot(tasks[index].goal))


def test_truncated_at_the_limit_and_terminated_by_an_early_complete(world, tasks):
    env = GELabEnv(world, tasks, max_steps=2)
    env.reset(options={"task": 0})
    assert env.step("hm")[1:4] == (0.0, False, False)
    assert env.step("hm")[1:4] == (0.0, False, True)
    env.reset(options={"task": 0})
    assert env.step(COMPLETE_ANSWER)[1:4] == (0.0, True, False)


def test_an_observation_belongs_to_its_caller(world, tasks):
    env = GELabEnv(world, tasks)
    seen, _ = env.reset(options={"task": 0})
    before = world.screenshot(tasks[0].start).copy()
    seen["image"][:] = 0
    assert np.array_equal(world.screenshot(tasks[0].start), before)


def test_without_copies_the_cached_screenshot_is_shared_and_read_only(world, tasks):
    env = GELabEnv(world, tasks, copy=False)
    first, _ = env.reset(options={"task": 0})
    again, _ = env.reset(options={"task": 0})
    assert first["image"] is again["image"]
    with pytest.raises(ValueError, match="read-only"):
        first["image"][0, 0] = 0
