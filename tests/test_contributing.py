"""CONTRIBUTING's code runs: each snippet is taken from the page, put where the page says, and used."""

import re
import sys
from pathlib import Path

import pytest

from data_engine.episode import run_episodes
from data_engine.gelab.env import NavigationEpisode
from data_engine.gelab.prompts import SYSTEM
from data_engine.gelab.tasks import Task

REPO = Path(__file__).resolve().parents[1]
PAGE = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
SNIPPETS = dict(re.findall(r"<!-- run: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


def run(name: str, module: dict | None = None) -> dict:
    """The names that a snippet makes, among those of the module that it belongs into."""
    names = dict(module or {"__name__": name})
    exec(compile(SNIPPETS[name], f"CONTRIBUTING.md, {name}", "exec"), names)
    return names


def test_there_are_snippets():
    assert set(SNIPPETS) == {"reward", "template", "engine", "action"}


@pytest.fixture
def registries():
    """(rewards, templates) of ms-swift with our names; what a snippet adds is taken out again."""
    from swift.rewards import orms
    from swift.template import TEMPLATE_MAPPING

    import swift_plugins.register  # noqa: F401  (importing it registers)

    before = dict(orms), dict(TEMPLATE_MAPPING)
    yield orms, TEMPLATE_MAPPING
    for registry, names in zip((orms, TEMPLATE_MAPPING), before, strict=True):
        registry.clear()
        registry.update(names)


def test_a_reward(registries):
    run("reward")
    reward = registries[0]["gelab_step"]()
    gold = "Explain:click car icon on page_0.\tAction: click(start_box='(721,878)')"
    other = gold.replace("car", "castle")
    columns = {"solution": [gold] * 3, "bbox": [[704, 2178, 904, 2378]] * 3, "canvas": [[1179, 2556]] * 3}
    assert reward([gold, other, gold.replace("878", "100")], **columns) == [1.0, 0.0, 0.0]


def test_a_template(registries):
    import swift_plugins.gui_template as module

    run("template", vars(module))
    template = registries[1]["gelab_qwen2_vl"]
    assert template.default_system == SYSTEM and registries[1]["login_qwen2_vl"].default_system is None
    assert template.template_cls.__mro__[1:3] == (module._CheckedQwenVL, registries[1]["qwen2_vl"].template_cls)


def test_an_engine(world, monkeypatch):
    monkeypatch.syspath_prepend(str(REPO / "eval"))
    for name in "engines", "checkpoint", "api":
        monkeypatch.delitem(sys.modules, name, raising=False)
    import engines

    engine = run("engine", vars(engines))["Middle"]()
    episode = NavigationEpisode(world, Task("page_0", "page_1", 1), "0/0", max_steps=3)
    run_episodes([episode], lambda requests: engine.answer(requests, temperature=0.0, seed=0))
    assert episode.done and [turn["point"] for turn in episode.turns] == [[500, 500]] * 3


def test_an_action():
    from data_engine.gelab import actions

    made = run("action", vars(actions))
    wait, space = made["Wait"], made["SPACE"]
    text = wait(12).written(page="page_3")
    answer = actions.parse(text, space)
    assert text == "Explain:wait on page_3.\tAction: wait(12)"
    assert answer.action == wait(12) and answer.well_formed and len(space.forms) == 3
    assert isinstance(actions.parse(text).action, actions.ParseFailure), "the paper's space has none"
