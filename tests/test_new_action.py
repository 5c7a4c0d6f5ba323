"""An action is declared once: classes of this file, put into a space, are read, written, asked for and told of.

No module of the package knows these actions. What an environment does with one is its own rule, as in the last tests.
"""

from dataclasses import dataclass

import pytest

from data_engine.answer import Grammar
from data_engine.gelab import actions as gelab
from data_engine.gelab import prompts as gelab_prompts
from data_engine.gelab.actions import UNREADABLE, Click, Complete, ParseFailure
from data_engine.gelab.env import Navigation
from data_engine.gelab.scoring import Gold, score
from data_engine.gelab.tasks import Task
from data_engine.geometry import Size
from data_engine.login import actions as login
from data_engine.login import prompts as login_prompts


@dataclass(frozen=True, slots=True)
class LongPress(gelab.Action):
    """Its groups have the names of Click's: each action has its own."""

    template = "Explain:press {page}.\tAction: long_press({x},{y},{quote}s)"
    shown = {"page": "PAGE", "x": "x", "y": "y", "quote": "SECONDS"}
    pattern = r"long_press\((?P<x>[0-9]+), ?(?P<y>[0-9]+), ?(?P<quote>[0-9.]+)s\)"
    strict = r"long_press\([0-9]+,[0-9]+,[0-9.]+s\)"
    history = {"pressed": "press on {page}."}
    intent = "press"

    x: int
    y: int
    quote: float


@dataclass(frozen=True, slots=True)
class Swipe(gelab.Action):
    """A word instead of a call."""

    template = "Explain:swipe {direction}.\tAction: swipe {direction}"
    shown = {"direction": "DIRECTION"}
    pattern = strict = "swipe (?P<direction>left|right)"
    below = r"^swipe (?P<direction>left|right)$"

    direction: str


SPACE = gelab.Space((Click, LongPress, Swipe, Complete))
PRESS = "Explain:press page_3.\tAction: long_press(5,70,1.5s)"
CLICK = Click(1, 2).written(icon="key", page="page_0")


def read(text: str, space: gelab.Space = SPACE):
    answer = gelab.parse(text, space)
    return answer.action, answer.well_formed


def test_it_is_written_and_read_back():
    assert LongPress(5, 70, 1.5).written(page="page_3") == PRESS
    assert read(PRESS) == (LongPress(5, 70, 1.5), True)
    assert read(Swipe("left").written()) == (Swipe("left"), True)


@pytest.mark.parametrize(
    "text, action",
    [
        ("**Action:** `LONG_PRESS(5, 70, 1.5s)`.", LongPress(5, 70, 1.5)),  # wrappings are read around any action
        (f"{PRESS}\nlong_press(5,70,1.5s)", LongPress(5, 70, 1.5)),
        (f"{PRESS}\nlong_press(5,70,2s)", ParseFailure("several actions")),
        (f"{PRESS}\nswipe left", ParseFailure("several actions")),
        (f"{PRESS}\nThen I would swipe left here.", LongPress(5, 70, 1.5)),
        (f"{CLICK}\nlong_press(1,2,1s)", ParseFailure("several actions")),
        ("Action: long_press(5,70)", ParseFailure("malformed action")),
        ("Action: long_press(5,70,1s) now", ParseFailure("malformed action")),
    ],
)
def test_it_is_read_as_strictly_as_the_others(text, action):
    assert read(text) == (action, False)


def test_the_others_are_read_as_before():
    for text in CLICK, gelab.COMPLETE_ANSWER, "Action: complete", "no", "Action: click(start_box='(1)')":
        assert gelab.parse(text, SPACE) == gelab.parse(text)
    assert read(PRESS, gelab.SPACE) == read(Swipe("left").written(), gelab.SPACE)
    assert read(PRESS, gelab.SPACE) == (ParseFailure("malformed action"), False)


def test_the_prompt_states_it_in_the_order_of_the_space():
    lines = gelab_prompts.system(SPACE).splitlines()
    forms = [
        "Explain:click NAME icon on PAGE.\tAction: click(start_box='<|box_start|>(x,y)<|box_end|>')",
        "Explain:press PAGE.\tAction: long_press(x,y,SECONDSs)",
        "Explain:swipe DIRECTION.\tAction: swipe DIRECTION",
        "Explain: this is target page.\tAction: complete",
    ]
    assert lines[3:7] == forms and [*lines[:3], *lines[7:]] == [
        line for line in gelab_prompts.SYSTEM.splitlines() if line not in forms
    ]


def test_the_hash_of_the_prompts_covers_all_that_it_says(monkeypatch):
    hashes = {gelab_prompts.sha256(), gelab_prompts.sha256(SPACE)}
    for name, value in ("history", {"pressed": "pressed."}), ("template", "{page} {x} {y} {quote}"):
        monkeypatch.setattr(LongPress, name, value)
        hashes.add(gelab_prompts.sha256(gelab.Space(SPACE.actions)))
    assert len(hashes) == 4


def test_the_history_tells_it_once_the_environment_has_a_rule(world):
    class Pressing(Navigation):
        def _outcome(self, action):
            return ("pressed", None, None) if type(action) is LongPress else super()._outcome(action)

    state = Pressing(world.graph, Task("page_0", "page_1", 1))
    assert [state.act(read(text)[0]) for text in (PRESS, "hm", "Action: swipe left")] == ["pressed", *[UNREADABLE] * 2]
    past = [gelab_prompts.entry(outcome, page, name, SPACE) for outcome, name, page in state.events]
    assert past == ["press on page_0.", "no action on page_0.", "no action on page_0."]


@pytest.mark.parametrize(
    "text, parts",
    [
        (PRESS, (1, 1, 1, 1, 1)),
        (PRESS.replace("press page_3", "hold it"), (1, 1, 0, 1, 1)),
        (PRESS.replace("1.5", "2"), (1, 0, 0, 1, 0)),
        (CLICK, (0, 0, 0, 1, 0)),
    ],
)
def test_an_answer_is_scored_where_it_is_gold(text, parts):
    earned = score(gelab.parse(text, SPACE), Gold(gelab.parse(PRESS, SPACE), None, Size(1179, 2556)))
    assert (earned.type, earned.coord, earned.intent, earned.format, earned.step) == parts


# ---- the forms


@dataclass(frozen=True, slots=True)
class Drag(login.Action):
    kind = "drag"
    calls = (
        login.Call(
            "DRAG([{mark}], {share}, '{text}')", "drags slider N", {"mark": "N", "share": 0, "text": "WHY"}, ("som",)
        ),
    )
    pattern = r"DRAG\(\[(?P<mark>[0-9]+)\], ?(?P<share>[0-9.]+), ?'(?P<text>[^']*)'\)"

    mark: int
    share: float
    text: str


FORMS = login.Space((*login.SPACE.actions, Drag))


def test_the_forms_read_and_write_it():
    text = login.format_answer("the slider.", Drag(3, 0.25, "x"))
    assert text == "Thought: the slider.\nAction: DRAG([3], 0.25, 'x')"
    assert login.parse(text, FORMS) == login.Answer(Drag(3, 0.25, "x"), "the slider.", True)
    assert login.parse(text).action == login.ParseFailure("malformed action")
    assert login.parse("drag([3],.25,'x').", FORMS) == login.Answer(Drag(3, 0.25, "x"), "", False)
    assert login.parse("Thought: t\nAction: DRAG([3", FORMS).action == login.ParseFailure("truncated answer")
    assert login.parse(f"{text}\nDONE()", FORMS).action == login.ParseFailure("several actions")
    for other in login.Click(0.5, 1.0), login.Pick(4), login.Type("a"), login.Type("a", 2), login.Wait(), login.Done():
        assert login.parse(login.format_answer("t", other), FORMS) == login.Answer(other, "t", True)


def test_the_prompt_of_its_mode_states_it():
    line = "DRAG([N], 0.00, 'WHY')  drags slider N"
    plain, said = (login_prompts.system("som", 2, space) for space in (login.SPACE, FORMS))
    assert said == plain.replace("\nIn quotes", f"\n{line}\nIn quotes")
    assert login_prompts.system("coord", 2, FORMS) == login_prompts.system("coord")
    assert login_prompts.sha256(FORMS) != login_prompts.sha256()


def test_the_history_tells_it_short():
    assert login_prompts.acted(Drag(3, 0.25, "x" * 70), 4) == f"DRAG([3], 0.2500, '{'x' * 64}... (70 characters)')"


# ---- the shared reader


def test_of_two_actions_that_read_the_same_the_first_does():
    @dataclass(frozen=True, slots=True)
    class Stay(login.Action):
        pattern = r"WAIT\(\)"

    for actions in (login.Wait, Stay), (Stay, login.Wait):
        grammar = Grammar.of(actions, "thought")
        assert grammar.meant(grammar.action.match("WAIT()")) == actions[0]()
