"""The form as an environment: what it holds follows from the actions, never from what an answer claims.

Three layers: ``Filling`` is the state of one episode (fast, no text, no pixels); ``LoginEpisode`` asks and reads in
text and records every turn, for evaluation and rollouts; ``LoginEnv`` is the same as a Gymnasium environment.
A multi-turn row names its task in ``env_config`` (ENV_CONFIG), and a turn is recorded as (point: fractions 0..1):

    {"answer": "Thought: ...", "outcome": "focused", "element": "username", "point": [0.23, 0.41]}
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from ..answer import cleaned
from ..dataset import DataError
from ..episode import Request
from ..files import write_file
from ..spaces import spaces
from . import prompts
from .actions import Action, Click, Done, ParseFailure, Pick, Type, Wait, parse
from .forms import BUTTON, CANVAS, FIELD, Element, View
from .oracle import answer_text, next_action
from .tasks import Task, one_task, options_of

FOCUSED, TYPED, ACCEPTED = "focused", "typed", "accepted"
REJECTED, MISFIRE, MISS = "rejected", "misfire", "miss"
WAITED, DONE, UNREADABLE = "waited", "done", "unreadable"

ENV_CONFIG = ("scenario", "mode", "protocol", "seed", "split", "page_size", "index")  # what rebuilds a task


class Filling:
    """The state of one episode: what the fields hold, which one has the focus, and how it ended.

    A click on a field focuses it, a click on nothing takes the focus away. Text goes into the field in focus, or the
    numbered one, in place of what it holds. The button submits: with every field right the form is accepted, else it
    is rejected and the episode is over, as it is after a click on a decoy (which leaves the form). Numbers do nothing
    in coordinate mode, points do nothing in the other. ``max_steps``: answers before the episode is cut, by default
    twice the script. Once accepted, one more answer is asked for, and ``declared`` says that it was DONE.
    """

    def __init__(self, task: Task, max_steps: int | None = None):
        self.task, self.form = task, task.form
        self.max_steps = max_steps or 2 * task.steps
        self.texts = {field.name: "" for field in self.form.fields}
        self.focus: str | None = None
        self.events: list[tuple[str, str | None, str]] = []  # outcome, element or None, the action as text
        self.accepted = self.declared = self.done = False

    @property
    def steps(self) -> int:
        return len(self.events) - (self.accepted and self.done)  # without the answer after acceptance

    @property
    def view(self) -> View:
        """What can be seen."""
        return View(tuple(self.texts.values()), self.focus, self.accepted)

    def act(self, action: Action | ParseFailure) -> str:
        """Take one action; returns its outcome. Raises RuntimeError after the end."""
        if self.done:
            raise RuntimeError("the episode is over; start another")
        if self.accepted:  # the one question after acceptance
            self.done, self.declared = True, isinstance(action, Done)
            return self._record(DONE if self.declared else MISS, None, action)
        element = self._element(action)
        outcome = self._record(self._outcome(action, element), element, action)
        self.accepted = outcome is ACCEPTED
        self.done = outcome in (REJECTED, MISFIRE, DONE) or (not self.accepted and len(self.events) >= self.max_steps)
        return outcome

    def _record(self, outcome: str, element: Element | None, action: Action | ParseFailure) -> str:
        text = prompts.acted(action, self.task.rules.decimals)
        self.events.append((outcome, element and element.name, text))
        return outcome

    def _element(self, action: Action | ParseFailure) -> Element | None:
        """The element that an action is about."""
        som = self.task.options.mode == "som"
        if isinstance(action, Click) and not som:
            return self.form.hit(action.x * CANVAS.width, action.y * CANVAS.height)
        if isinstance(action, Type) and action.mark is None and self.focus:
            return self.form.element(self.focus)
        if isinstance(action, Pick | Type) and som and action.mark is not None:
            return self.form.marked(action.mark)
        return None

    def _outcome(self, action: Action | ParseFailure, element: Element | None) -> str:
        """Change the state by an action on ``element``."""
        match action:
            case ParseFailure():
                return UNREADABLE
            case Wait():
                return WAITED
            case Done():
                return DONE
            case Type(text):
                if element is None or element.kind != FIELD:
                    return MISS
                self.focus, self.texts[element.name] = element.name, text
                return TYPED
        return self._press(element)

    def _press(self, element: Element | None) -> str:
        self.focus = element.name if element and element.kind == FIELD else None
        if element is None:
            return MISS
        if element.kind == BUTTON:
            return ACCEPTED if self.texts == self.form.values else REJECTED
        return FOCUSED if element.kind == FIELD else MISFIRE

    def question(self) -> str:
        """The user turn of this step."""
        history = [text for _, _, text in self.events] if self.task.rules.history else None
        return prompts.question(self.form.goal, history, self.task.steps)

    def gold(self) -> str:
        """What the oracle answers here."""
        return answer_text(*next_action(self.form, self.task.options.mode, self.view), self.task.rules)


class LoginEpisode:
    """An episode in text: ``request()`` asks, ``answer(text)`` reads and acts; ``turns`` keeps every exchange.

    Pictures are written to ``folder``, one a state; with None they are not drawn, for policies that open none.
    """

    def __init__(self, task: Task, folder: Path | None, system: bool = True, max_steps: int | None = None):
        self.task, self.folder = task, folder
        self.state = Filling(task, max_steps)
        self.screen = task.screen() if folder else None
        self.system = prompts.system(task.options.mode, task.rules.decimals) if system else ""
        self.turns: list[dict] = []

    @property
    def done(self) -> bool:
        return self.state.done

    def request(self) -> Request:
        key = f"{self.task.key}/{len(self.turns)}"
        return Request(self.system, self.state.question(), self._picture(), key, self.state.gold)

    def _picture(self) -> Path | None:
        if self.screen is None:
            return None
        file = self.screen.png(self.state.view)
        path = self.folder / f"{hashlib.sha256(file).hexdigest()[:32]}.png"
        if not path.is_file() or path.stat().st_size != len(file):
            write_file(path, file)
        return path

    def answer(self, text: str) -> None:
        action = parse(text).action
        outcome = self.state.act(action)
        turn = {"answer": text, "outcome": outcome, "element": self.state.events[-1][1]}
        if isinstance(action, Click):
            turn["point"] = [action.x, action.y]
        if isinstance(action, ParseFailure):
            turn["failure"] = action.reason
        self.turns.append(turn)

    def record(self) -> dict:
        """What happened, in numbers: fields that hold the right text, of how many; acceptance; failures."""
        state, outcomes = self.state, [turn["outcome"] for turn in self.turns]
        return {
            "outcomes": outcomes,
            "right_fields": sum(state.texts[name] == text for name, text in state.form.values.items()),
            "fields": len(state.texts),
            "accepted": state.accepted,
            "declared": state.declared,
            "misses": outcomes.count(MISS),
            "parse_failures": sum("failure" in turn for turn in self.turns),
        }


def episode_of(config: dict, max_steps: int | None = None) -> LoginEpisode:
    """The episode of a multi-turn row's ``env_config``, not drawn. Raises DataError where the row is broken."""
    given = {name: config[name] for name in ENV_CONFIG if name in config}
    if len(given) < len(ENV_CONFIG):
        missing = ", ".join(name for name in ENV_CONFIG if name not in given)
        raise DataError(f"env_config of the row: no {missing}; write the rows again")
    task = one_task(options_of(given, "env_config of the row"), given["index"])
    if max_steps is not None and max_steps < task.steps - 1:
        raise DataError(f"{task.key}: {max_steps} turns are too few, the form takes {task.steps - 1}")
    return LoginEpisode(task, None, max_steps=max_steps)


class LoginEnv(gymnasium.Env):
    """The forms for Gymnasium.

    Action: the model's raw answer (Text). Observation: ``image`` (height, width, 3) uint8 and ``prompt`` (Text).
    Reward: 1.0 on the step at which the form is accepted, else 0.0. ``terminated`` when it is accepted, rejected or
    left, or DONE is said; ``truncated`` at ``max_steps``. ``info``: outcome and element. ``reset(options={"task": i})``
    picks a task; else one is drawn.
    """

    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def __init__(self, tasks: Sequence[Task], max_steps: int | None = None):
        self.tasks, self.max_steps = list(tasks), max_steps
        self.observation_space, self.action_space = spaces(self.tasks[0].options.page_size)
        self.state = self.screen = None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        index = (options or {}).get("task")
        task = self.tasks[int(self.np_random.integers(len(self.tasks))) if index is None else index]
        self.state, self.screen = Filling(task, self.max_steps), task.screen()
        return self._observation(), {"outcome": None, "element": None}

    def step(self, action: str) -> tuple[dict, float, bool, bool, dict]:
        state = self.state
        outcome = state.act(parse(cleaned(action)).action)
        terminated = state.accepted or outcome in (REJECTED, MISFIRE, DONE)
        truncated = state.done and not terminated
        info = {"outcome": outcome, "element": state.events[-1][1]}
        return self._observation(), float(outcome is ACCEPTED), terminated, truncated, info

    def render(self) -> np.ndarray:
        return np.array(self.screen.picture(self.state.view))

    def _observation(self) -> dict[str, Any]:
        return {"image": self.render(), "prompt": self.state.question()}
