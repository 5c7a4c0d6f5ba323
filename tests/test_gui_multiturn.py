"""Multi-turn rollouts through ms-swift's own loops, colocate and server, with scripted answers and no model."""

import base64
import gc
import json
from pathlib import Path

import pytest
import rollouts
from rollouts import CHARACTERS, scheduler_of

from data_engine.gelab.actions import format_click
from data_engine.gelab.oracle import gold_answer

pytest.importorskip("swift")

MAX_TURNS = 6  # the longest task of the small world takes 5 clicks
SCHEDULERS = ("gelab_click", "gelab_click_complete")


@pytest.fixture(scope="module")
def rows(small_data) -> list[dict]:
    return with_paths(small_data)


def with_paths(data: Path) -> list[dict]:
    """Tasks as the dataset plugin gives them: paths made absolute."""
    rows = [json.loads(line) for line in (data / "mt_rl.jsonl").read_text().splitlines()]
    for row in rows:
        row["images"] = [str(data / image) for image in row["images"]]
        row["env_config"]["world"] = str(data / row["env_config"]["world"])
    return rows


@pytest.fixture
def scheduler(request):
    return scheduler_of(getattr(request, "param", "gelab_click"), MAX_TURNS)


both = pytest.mark.parametrize("scheduler", SCHEDULERS, indirect=True)


def play(scheduler, rows: list[dict], answer, finish_reason: str = "stop") -> list:
    """Trajectories of ms-swift's colocate loop; ``answer(request)`` is the policy."""
    return rollouts.play(scheduler, rows, lambda request, episode: answer(request), finish_reason)


def serve(scheduler, row: dict, answer):
    """One trajectory of ms-swift's server loop."""
    return rollouts.serve(scheduler, row, lambda request, episode: answer(request))


def oracle(world, env=None):
    """Answers by what the question says: page by its picture, goal by its text."""

    def answer(request) -> str:
        page = request.images[-1].rpartition("/")[2].removesuffix(".png")
        goal = request.messages[-1]["content"].partition(" to ")[2].partition(".")[0]
        return gold_answer(world.graph, page, goal)

    return answer


@both
def test_a_perfect_policy_earns_one_on_every_task(scheduler, rows, world):
    outputs = play(scheduler, rows, oracle(world))
    assert [out.rollout_infos["total_reward"] for out in outputs] == [1.0] * len(rows)
    declared = not scheduler.click_only
    assert [out.rollout_infos["num_turns"] for out in outputs] == [row["path"] + declared for row in rows]


@both
def test_hostile_policies_earn_nothing(scheduler, rows, scripted, world):
    graph = world.graph
    for name, say in scripted.BEHAVIOURS.items():

        def answer(request, say=say) -> str:
            start, goal, history = scripted.QUESTION.findall(request.messages[-1]["content"] + "<|im_end|>")[-1]
            turn = sum(m["role"] == "assistant" for m in request.messages)
            return "".join(say(scripted.View(graph, scripted.walked(graph, start, history), goal, turn)))

        earned = [out.rollout_infos["total_reward"] for out in play(scheduler, rows, answer)]
        assert earned == [float(name == "perfect")] * len(rows), name


def test_complete_too_early_ends_one_game_and_is_no_action_in_the_other(rows):
    from swift_plugins.gui_multiturn import GelabClick, GelabClickComplete

    def turns(scheduler) -> int:
        (out,) = play(scheduler, rows[:1], lambda request: "Explain: this is target page.\tAction: complete")
        assert out.messages[-1]["role"] == "assistant" and out.rollout_infos["total_reward"] == 0
        return out.rollout_infos["num_turns"]

    assert turns(GelabClickComplete(max_turns=MAX_TURNS, tokenizer=CHARACTERS)) == 1
    assert turns(GelabClick(max_turns=MAX_TURNS, tokenizer=CHARACTERS)) == MAX_TURNS


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_what_the_trainer_sees(scheduler, rows, world, small_data, mode):
    """A miss, an unreadable answer, then the shortest way of two clicks."""
    row = next(row for row in rows if row["path"] == 2)
    said = iter([format_click("?", "?", 2, 2), "hm"])
    right = oracle(world)

    def answer(request) -> str:
        return next(said, None) or right(request)

    out = play(scheduler, [row], answer)[0] if mode == "colocate" else serve(scheduler, row, answer)
    infos, task = out.rollout_infos, row["env_config"]
    (_, _), (middle, _) = world.graph.shortest_path(task["start"], task["goal"])
    pages = [task["start"]] * 3 + [middle]
    assert infos["env_state_hash"] == pages
    assert infos["step_rewards"] == [0, 0, 0, 1] and infos["total_reward"] == 1 and infos["num_turns"] == 4
    assert infos["distances"] == [2, 2, 2, 1, 0]
    assert (infos["misses"], infos["parse_failures"]) == (1, 1)
    shown = [base64.b64decode(image) for image in infos["images"]]
    assert shown == [(small_data / "world" / "pages" / f"{page}.png").read_bytes() for page in pages]
    questions = [m["content"] for m in out.messages if m["role"] == "user"]
    assert [q.count("<image>") for q in questions] == [1, 1, 1, 1]
    past = f"step1: click missed on {task['start']}. step2: no action on {task['start']}. step3: click "
    assert past in questions[3]
    assert [m["role"] for m in out.messages] == ["system"] + ["user", "assistant"] * 4


def test_an_answer_that_was_cut_off_ends_the_trajectory(scheduler, rows, world):
    outputs = play(scheduler, rows, lambda request: "Explain:click", finish_reason="length")
    assert {out.rollout_infos["num_turns"] for out in outputs} == {1}
    assert scheduler._envs == {}


@both
def test_300_trajectories_leave_no_environment(scheduler, rows, world):
    from swift_plugins.gui_multiturn import GelabEnv

    right = oracle(world)
    policies = [right, lambda request: "", lambda request: right(request) if len(request.images) < 2 else "hm"]
    for _ in range(300 // len(rows) // len(policies) + 1):
        for policy in policies:
            play(scheduler, rows, policy)
    assert scheduler._envs == scheduler._total_rewards == scheduler._step_rewards == scheduler._pending_obs == {}
    gc.collect()
    assert [o for o in gc.get_objects() if isinstance(o, GelabEnv)] == []


def test_a_server_trajectory_that_fails_leaves_no_environment(scheduler, rows):
    def answer(request) -> str:
        if len(request.images) == 2:
            raise ConnectionError("engine died")
        return "hm"

    with pytest.raises(ConnectionError):
        serve(scheduler, rows[0], answer)
    assert scheduler._envs == {}


def test_a_colocate_batch_that_fails_leaves_nothing_to_the_next(scheduler, rows, world):
    def answer(request) -> str:
        raise ConnectionError("engine died")

    with pytest.raises(ConnectionError):
        play(scheduler, rows, answer)
    play(scheduler, rows[:1], oracle(world))
    assert scheduler._envs == {}


def test_a_lost_picture_is_noticed_on_its_turn(scheduler, rows):
    def answer(request) -> str:
        if len(request.images) == 2:
            request.images.pop()
        return "hm"

    with pytest.raises(RuntimeError, match="From page_0 to page_4: 2 <image> tags for 1 pictures in the request"):
        play(scheduler, rows[:1], answer)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": []}, "the row's pictures are not the start page's"),
        ({"images": ["/x/page_9.png"]}, "the row's pictures are not the start page's"),
        ({"env_config": {}}, "no env_config: .* in server mode --vllm_server_pass_dataset true"),
        ({"env_config": {"name": "gelab"}}, "env_config has name: no world, start or goal"),
        ({"goal": "page_99"}, "no page 'page_99' in"),
        ({"goal": "page_0"}, "From page_0 to page_0 is no way to go"),
    ],
)
def test_a_broken_row_is_one_line(scheduler, rows, change, message):
    goal = change.pop("goal", None)
    row = rows[0] | change
    if goal:
        row["env_config"] = row["env_config"] | {"goal": goal}
    with pytest.raises(ValueError, match=message) as error:
        play(scheduler, [row], lambda request: "hm")
    assert "\n" not in str(error.value)


def test_a_changed_picture_is_refused(scheduler, rows, small_data, tmp_path):
    import shutil

    shutil.copytree(small_data / "world", tmp_path / "world")
    (tmp_path / "world" / "pages" / "page_3.png").write_bytes(b"")
    row = rows[0] | {"env_config": rows[0]["env_config"] | {"world": str(tmp_path / "world")}}
    with pytest.raises(ValueError, match="page_3.png: missing or changed"):
        play(scheduler, [row], lambda request: "hm")
