"""The one prompt builder, word for word."""

import pytest

from data_engine.gelab import actions, prompts
from data_engine.gelab.prompts import entry


def test_the_papers_prompts_are_those_of_every_model_that_was_trained():
    assert prompts.sha256() == "d2dbb19790480891e90f826277af45cc0afc3eeed4adabc789da26d91b26f239"


def test_navigation_without_history():
    assert prompts.navigation("page_161", "page_216", []) == (
        "<image>Instruction: from page_161 to page_216. History: Null"  # the authors' first sample row
    )


def test_navigation_with_history_joined_by_blanks():
    history = [entry("hit", "page_161", "home"), entry("miss", "page_0"), entry("unreadable", "page_0")]
    assert prompts.navigation("page_161", "page_216", history) == (
        "<image>Instruction: from page_161 to page_216. History: step1: click home icon on page_161. "
        "step2: click missed on page_0. step3: no action on page_0."
    )


def test_icon_questions():
    assert prompts.captioning(1, 20) == "<image>What is the icon at point <|box_start|>(1,20)<|box_end|> in the image?"
    assert prompts.grounding("open book") == "<image>Click on open book icon in the image."


def test_the_placeholder_stands_once_and_never_in_the_system_prompt():
    turns = [prompts.navigation("a", "b", ["c"]), prompts.captioning(1, 2), prompts.grounding("x")]
    assert all(turn.startswith("<image>") and turn.count("<image>") == 1 for turn in turns)
    assert "<image>" not in prompts.SYSTEM


def test_the_system_prompt_states_the_format_of_the_labels():
    assert actions.format_click("NAME", "PAGE", "x", "y") in prompts.SYSTEM.splitlines()
    assert actions.COMPLETE_ANSWER in prompts.SYSTEM.splitlines()
    assert "\\t" not in prompts.SYSTEM  # a real TAB, as in the labels


@pytest.mark.parametrize("name", ["system", "entry", "captioning", "grounding", "navigation"])
def test_the_hash_covers_every_text(monkeypatch, name):
    before = prompts.sha256()
    said = getattr(prompts, name)
    monkeypatch.setattr(prompts, name, lambda *args: said(*args) + " ")
    assert prompts.sha256() != before


@pytest.mark.parametrize(
    "owner, name, value",
    [
        (actions.Click, "template", "{icon} {page} {x} {y}"),
        (actions.Click, "shown", {"icon": "I", "page": "P", "x": "x", "y": "y"}),
        (actions.Click, "history", {"hit": "{icon} {page}", "miss": "click missed on {page}."}),
        (actions.Click, "history", {"hit": "click {icon} icon on {page}.", "miss": "missed on {page}."}),
        (actions.Complete, "template", "Action: complete"),
        (prompts, "_SYSTEM", "{forms}"),
        (prompts, "NO_ACTION", "nothing on {page}."),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_hash_covers_every_word(monkeypatch, owner, name, value):
    before = prompts.sha256()
    monkeypatch.setattr(owner, name, value)
    assert prompts.sha256(actions.Space((actions.Click, actions.Complete))) != before
