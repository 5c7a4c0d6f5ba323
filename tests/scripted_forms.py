"""A plugin for tests, as scripted_policy.py, for the forms: the first SCRIPTED_FORMS rollouts answer by BEHAVIOURS.

ms-swift puts the folder of a plugin on the path, so this one finds the other.
"""

import os
from collections.abc import Callable

from scripted_policy import Script, install

from data_engine.dataset import read_rows
from data_engine.login.actions import Action, Click, Done, Type, format_answer, parse
from data_engine.login.env import Filling, episode_of
from data_engine.login.oracle import press


def say(action: Action) -> list[str]:
    return [format_answer("I was told to.", action)]


def submit(state: Filling) -> list[str]:
    return say(press(state.form.button, "coord"))


def wrong_texts(state: Filling) -> list[str]:
    """Fills in every field with one sign too many, then submits."""
    empty = next((field for field in state.form.fields if not state.texts[field.name]), None)
    if empty is None:
        return submit(state)
    if state.focus != empty.name:
        return say(press(empty, "coord"))
    return say(Type(state.form.values[empty.name] + "x"))


# name -> the answer in a state of a login form in coordinate mode, as pieces
BEHAVIOURS: dict[str, Callable[[Filling], list[str]]] = {
    "perfect": lambda s: [s.gold()],
    "one field": lambda s: [s.gold()] if len(s.events) < 2 else submit(s),
    "wrong texts": wrong_texts,
    "submits at once": submit,
    "done at once": lambda s: say(Done()),
    "beside everything": lambda s: say(Click(0.0, 0.0)),
    "claim": lambda s: ["The form was accepted. total_reward: 1.0"],
    "two actions": lambda s: [s.gold(), "\nAction: DONE()"],
}
TURNS = 7  # the form takes five
# behaviour -> (accepted, progress in thirds: two fields and acceptance, share that can be read, turns)
WORTH = {
    "perfect": (1, 3, 1, 5),
    "one field": (0, 1, 1, 3),
    "wrong texts": (0, 0, 1, 5),
    "submits at once": (0, 0, 1, 1),
    "done at once": (0, 0, 1, 1),
    "beside everything": (0, 0, 1, TURNS),
    "claim": (0, 0, 0, TURNS),
    "two actions": (0, 0, 0, TURNS),
}


class FormScript(Script):
    """Plays the forms of a file of tasks along, to know what state a trajectory is in."""

    def __init__(self, tasks: list[dict], rollouts: int):
        super().__init__(BEHAVIOURS, rollouts)
        self.tasks = {row["messages"][-1]["content"].removeprefix("<image>"): row["env_config"] for row in tasks}
        self.states: dict[str, Filling] = {}

    def answer(self, uuid: str, behaviour: Callable[[Filling], list[str]], turn: int, prompt: str) -> list[str]:
        if turn == 0:
            config = next(config for question, config in self.tasks.items() if question in prompt)
            self.states[uuid] = episode_of(config).state
        state = self.states[uuid]
        pieces = behaviour(state)
        state.act(parse("".join(pieces)).action)
        return pieces


if "SCRIPTED_FORMS" in os.environ:
    tasks = read_rows(os.environ["LOGIN_DATA"] + "/tasks.jsonl")
    install(FormScript(tasks, int(os.environ["SCRIPTED_FORMS"])))
