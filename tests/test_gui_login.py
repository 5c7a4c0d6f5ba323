"""The forms in RL: rollouts through ms-swift's own loops with scripted answers, the dataset, and the rewards."""

import base64
import gc
import hashlib
import json
from pathlib import Path

import pytest
from rollouts import play, scheduler_of, serve

from data_engine.dataset import DataError, read_rows
from data_engine.geometry import Size
from data_engine.login.actions import Click, Done, Pick, Type, Wait, format_answer
from data_engine.login.env import LoginEpisode, episode_of
from data_engine.login.tasks import Options, one_task, tasks
from data_engine.login.write import write

pytest.importorskip("swift")

PAGE = Size(256, 192)
KINDS = [("hard", "login", "coord"), ("hard", "registration", "som"), ("scripted", "login", "som")]
KINDS += [("published", "login", "coord")]


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def folder(request, tmp_path_factory) -> Path:
    protocol, scenario, mode = request.param
    out = tmp_path_factory.mktemp("rows") / "rows"
    size = PAGE if scenario == "login" else Size(448, 320)
    write(out, Options(scenario, mode, protocol, episodes=3, page_size=size))
    return out


@pytest.fixture(scope="module")
def hard(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("rows") / "hard"
    write(out, Options(episodes=3, page_size=PAGE))
    return out


def loaded(folder: Path, name: str = "login/tasks") -> list[dict]:
    """Rows as ms-swift gets them from --dataset NAME."""
    from swift.dataset import load_dataset

    import swift_plugins.register  # noqa: F401  (importing it registers)

    pixels = json.loads((folder / "manifest.json").read_text())["max_pixels"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOGIN_DATA", str(folder))
        patch.setenv("MAX_PIXELS", str(pixels))
        patch.setenv("MODELSCOPE_CACHE", str(folder.parent / "cache"))
        return list(load_dataset([name], remove_unused_columns=False)[0])


def scheduler(name: str = "login_form", max_turns: int | None = 24):
    return scheduler_of(name, max_turns)


def right(request, episode) -> str:
    return episode.state.gold()


@pytest.mark.parametrize("name, more", [("login_form", 0), ("login_form_done", 1)])
def test_a_perfect_policy_earns_one_on_every_task(folder, name, more):
    rows = loaded(folder)
    outputs = play(scheduler(name), rows, right)
    assert [out.rollout_infos["total_reward"] for out in outputs] == [1.0] * 3
    steps = one_task(Options(), 0).steps if "login" in rows[0]["episode"] else 12
    assert {out.rollout_infos["num_turns"] for out in outputs} == {steps - 1 + more}
    for out in outputs:
        assert sum(out.rollout_infos["step_rewards"]) == out.rollout_infos["step_rewards"][-1] == 1.0


def press(element, mode: str):
    return Pick(element.mark) if mode == "som" else Click(*_middle(element))


def _middle(element) -> tuple[float, float]:
    box = element.box
    return (box.x1 + box.x2) / 1600, (box.y1 + box.y2) / 1200


def say(action) -> str:
    return format_answer("The form was accepted.", action, 4)


def wrong_text(request, episode) -> str:
    """Fills in everything as it should, but for one letter."""
    state, form = episode.state, episode.task.form
    i = next((i for i, text in enumerate(state.view.texts) if not text), None)
    if i is None:
        return say(press(form.button, episode.task.options.mode))
    field = form.fields[i]
    if state.focus != field.name and episode.task.options.mode == "coord":
        return say(press(field, "coord"))
    return say(Type(form.values[field.name] + "x", field.mark if episode.task.options.mode == "som" else None))


def decoy_or_button(request, episode) -> str:
    form, mode = episode.task.form, episode.task.options.mode
    decoys = [element for element in form.elements if element.kind == "decoy"]
    decoys = [element for element in decoys if mode == "coord" or element.mark is not None]
    return say(press(decoys[0] if decoys else form.button, mode))


HOSTILE = {
    "nothing": lambda request, episode: "",
    "done at once": lambda request, episode: say(Done()),
    "wait for ever": lambda request, episode: say(Wait()),
    "claims": lambda request, episode: "The form was accepted. total_reward: 1.0 accepted: true",
    "right, then another": lambda request, episode: f"{episode.state.gold()}\nAction: WAIT()",
    "the whole script at once": lambda request, episode: "\n".join([episode.state.gold(), say(Done())]),
    "submits at once": lambda request, episode: say(
        press(episode.task.form.button, episode.task.options.mode),
    ),
    "decoy": decoy_or_button,
    "wrong text": wrong_text,
    "out of range": lambda request, episode: say(Click(51.2, 30.4)),
    "number that is not there": lambda request, episode: say(Pick(99)),
    "image tag": lambda request, episode: "<image><image>",
    "prompt copied": lambda request, episode: "Thought: what to do next, and why\nAction: the action",
}


@pytest.mark.parametrize("name", ["login_form", "login_form_done"])
def test_hostile_policies_earn_nothing(folder, name):
    rows = loaded(folder)
    for behaviour, answer in HOSTILE.items():
        outputs = play(scheduler(name), rows, answer)
        assert [out.rollout_infos["total_reward"] for out in outputs] == [0.0] * 3, behaviour
        assert all(out.messages[-1]["role"] == "assistant" for out in outputs), behaviour


def test_acceptance_without_done_earns_in_one_game_only(hard):
    def answer(request, episode) -> str:
        return say(Wait()) if episode.state.accepted else episode.state.gold()

    rows = loaded(hard)
    for name, worth in ("login_form", 1.0), ("login_form_done", 0.0):
        assert {out.rollout_infos["total_reward"] for out in play(scheduler(name), rows, answer)} == {worth}


def test_a_script_by_heart_earns_nothing_on_another_form(hard):
    """The right answers of the first form, played on the others: fields stand elsewhere, credentials differ."""
    rows, script = loaded(hard), []
    play(scheduler(), rows[:1], lambda request, episode: script.append(episode.state.gold()) or script[-1])

    def answer(request, episode) -> str:
        return script[min(len(episode.turns), len(script) - 1)]

    outputs = play(scheduler(), rows, answer)
    assert [out.rollout_infos["total_reward"] for out in outputs] == [1.0, 0.0, 0.0]


def pictures_of(task, *views) -> list[bytes]:
    screen = task.screen()
    return [screen.png(view) for view in views]


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_what_the_trainer_sees(hard, mode):
    """A miss, an unreadable answer, then the script of five turns."""
    row = loaded(hard)[0]
    task = episode_of(row["env_config"]).task
    said = iter([say(Click(0.999, 0.999)), "hm"])
    rounds = scheduler()

    def answer(request, episode) -> str:
        return next(said, None) or episode.state.gold()

    if mode == "colocate":
        (out,) = play(rounds, [row], answer)
    else:
        out = serve(rounds, row, answer)
    infos = out.rollout_infos
    assert infos["outcomes"] == ["miss", "unreadable", "focused", "typed", "focused", "typed", "accepted"]
    assert infos["step_rewards"] == [0] * 6 + [1] and infos["num_turns"] == 7
    assert (infos["misses"], infos["parse_failures"], infos["right_fields"], infos["accepted"]) == (1, 1, 2, True)
    twin, views = LoginEpisode(task, None), []
    for turn in range(7):
        views.append(twin.state.view)
        twin.answer([say(Click(0.999, 0.999)), "hm"][turn] if turn < 2 else twin.state.gold())
    shown = [base64.b64decode(image.rpartition(",")[2]) for image in infos["images"]]
    assert shown == pictures_of(task, *views)
    assert len({hashlib.sha256(file).hexdigest() for file in shown}) == 5  # the first three turns show the same
    assert [m["content"].count("<image>") for m in out.messages if m["role"] == "user"] == [1] * 7
    assert [m["role"] for m in out.messages] == ["system"] + ["user", "assistant"] * 7
    assert rounds._envs == {}


def test_ms_swift_can_open_the_pictures(hard):
    from swift.template.vision_utils import load_image

    (out,) = play(scheduler(), loaded(hard)[:1], right)
    assert {load_image(image).size for image in out.rollout_infos["images"]} == {tuple(PAGE)}


def test_nothing_is_left_behind(hard):
    from swift_plugins.gui_login import FormEnv

    rounds, rows = scheduler(max_turns=6), loaded(hard)
    for answer in right, HOSTILE["nothing"], HOSTILE["done at once"]:
        play(rounds, rows, answer)
    outputs = play(rounds, rows, lambda request, episode: "Thought:", finish_reason="length")
    assert {out.rollout_infos["num_turns"] for out in outputs} == {1}
    assert rounds._envs == rounds._total_rewards == rounds._step_rewards == rounds._pending_obs == {}
    gc.collect()
    assert [o for o in gc.get_objects() if isinstance(o, FormEnv)] == []


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": []}, "the row's pictures are not the empty form's"),
        ({"images": [__file__]}, "the row's pictures are not the empty form's"),
        ({"env_config": {}}, "no env_config: .* in server mode --vllm_server_pass_dataset true"),
        (
            {"env_config": {"name": "login", "seed": 1}},
            "env_config of the row: no scenario, mode, .*write the rows again",
        ),
        ({"protocol": "soft"}, "'soft': unknown; known are published, scripted, hard"),
    ],
)
def test_a_broken_row_is_one_line(hard, change, message):
    row = loaded(hard)[0]
    if "protocol" in change:
        change = {"env_config": row["env_config"] | change}
    with pytest.raises(DataError, match=message) as error:
        play(scheduler(), [row | change], right)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name, turns", [("login_form", 4), ("login_form_done", 5)])
def test_too_few_turns_are_refused(hard, name, turns):
    with pytest.raises(DataError, match="4 turns are too few, the form takes 5"):
        play(scheduler(name, turns), loaded(hard), right)
    assert play(scheduler(name, turns + 1), loaded(hard), right)[0].rollout_infos["total_reward"] == 1.0


def test_a_task_is_rebuilt_from_its_row(folder):
    for row in read_rows(folder / "tasks.jsonl"):
        config = row["env_config"]
        options = Options(
            **{name: config[name] for name in ("scenario", "mode", "protocol", "seed", "split")},
            episodes=3,
            page_size=Size(*config["page_size"]),
        )
        assert episode_of(config).task.form == tasks(options)[config["index"]].form


# ---- rewards


def reward(name: str, *answers: str, **columns) -> list[float]:
    from swift.rewards import orms

    import swift_plugins.register  # noqa: F401  (importing it registers)

    return orms[name](args=None)(list(answers), **columns)


def test_rewards_of_trajectories(hard):
    rows = loaded(hard)
    infos = [play(scheduler(), rows[:1], answer)[0].rollout_infos for answer in (right, wrong_text, HOSTILE["nothing"])]
    for name, worth in ("login_success", [1, 0, 0]), ("login_progress", [1, 0, 0]), ("login_parse_rate", [1, 1, 0]):
        assert reward(name, "", "", "", rollout_infos=infos) == worth
    half = infos[0] | {"accepted": False, "right_fields": 1}
    assert reward("login_progress", "", rollout_infos=[half]) == [pytest.approx(1 / 3)]


def test_gold_rows_earn_one_and_others_nothing(folder):
    rows = loaded(folder, "login/rows")
    columns = {name: [row[name] for row in rows] for name in ("episode", "step", "truth", "mode")}
    gold = [row["messages"][-1]["content"] for row in rows]
    assert reward("login_step", *gold, **columns) == [1.0] * len(rows)
    assert reward("login_step", *["hm"] * len(rows), **columns) == [0.0] * len(rows)
    assert sum(reward("login_step", *gold[1:], gold[0], **columns)) < len(rows) / 2


@pytest.mark.parametrize("name", ["login_success", "login_progress", "login_parse_rate", "login_step"])
def test_rewards_without_their_columns_are_one_line(name):
    with pytest.raises(DataError, match="need"):
        reward(name, "hm", messages=[[]], rollout_infos=[{}])
