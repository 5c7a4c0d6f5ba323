"""The environment: where an agent is follows from where it clicked, never from what it wrote.

Three layers: ``Navigation`` is the state of one episode (fast, no text, no pixels); ``NavigationEpisode`` asks and
reads in text and records every turn, for evaluation and rollouts; ``GELabEnv`` is the same as a Gymnasium environment.
A multi-turn row names its task in ``env_config``, and a turn is recorded as in the second line (point: 0..1000):

    {"name": "gelab", "world": "world", "start": "page_0", "goal": "page_3"}
    {"page": "page_0", "answer": "Explain:...", "outcome": "hit", "element": "dump truck", "point": [323, 784]}
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from ..answer import cleaned
from ..dataset import DataError
from ..episode import Request
from ..spaces import spaces
from . import prompts
from .actions import COMPLETE, EXPLAIN, HIT, MISS, UNREADABLE, Action, Click, Complete, ParseFailure, parse
from .graph import PageGraph
from .oracle import gold_answer
from .tasks import Task
from .world import World

MAX_STEPS = 12  # the paper's "e.g. 12" rounds (3.2.2)


class Navigation:
    """The state of one episode on ``graph``: the page, the steps so far, and how it ended.

    ``page`` is where the agent is. ``events`` has one (outcome, element name or None, page) per answer; outcome is HIT,
    MISS, COMPLETE or UNREADABLE. ``arrived`` says that the goal page was opened within ``max_steps`` answers. An
    episode ends on arrival, on ``complete`` elsewhere, or after ``max_steps``; with ``ask_complete`` it asks once more
    at the goal, and ``declared`` says that this answer was ``complete``. With ``click_only`` there is no ``complete``:
    it is read as no action, and the episode ends on arrival (the paper's cure for agents that say it everywhere).
    """

    __slots__ = ("_hits", "goal", "page", "max_steps", "ask_complete", "click_only")
    __slots__ += ("events", "steps", "arrived", "declared", "done")

    def __init__(
        self,
        graph: PageGraph,
        task: Task,
        max_steps: int = MAX_STEPS,
        ask_complete: bool = True,
        click_only: bool = False,
    ):
        self._hits = graph.click_table
        self.goal, self.page, self.max_steps = task.goal, task.start, max_steps
        self.ask_complete, self.click_only = ask_complete and not click_only, click_only
        self.events: list[tuple[str, str | None, str]] = []
        self.steps = 0
        self.arrived = self.declared = self.done = False

    @property
    def won(self) -> bool:
        """The goal is reached and, where ``complete`` is asked for there, declared."""
        return self.declared if self.ask_complete else self.arrived

    def act(self, action: Action | ParseFailure) -> str:
        """Take one action; returns its outcome. Raises RuntimeError after the end."""
        if self.done:
            raise RuntimeError("the episode is over; start another")
        if self.arrived:  # the one question after arrival; no step
            return self._declare(action)
        self.steps += 1
        page = self.page
        outcome, name, target = self._outcome(action)
        if target:
            self.page = target
        self.events.append((outcome, name, page))
        if self.page == self.goal:
            self.arrived, self.done = True, not self.ask_complete
        elif outcome is COMPLETE or self.steps >= self.max_steps:
            self.done = True
        return outcome

    def _declare(self, action: Action | ParseFailure) -> str:
        """The answer at the goal: ``complete`` declares; a click moves nothing any more. The episode ends."""
        outcome, name, _ = self._outcome(action)
        self.done, self.declared = True, outcome is COMPLETE
        self.events.append((outcome, name, self.page))
        return outcome

    def _outcome(self, action: Action | ParseFailure) -> tuple[str, str | None, str | None]:
        """(outcome, element hit, page that shows then) of an action on this page; changes nothing."""
        if type(action) is Click:
            x, y = action.x, action.y
            for x1, y1, x2, y2, element, target in self._hits[self.page]:
                if x1 <= x <= x2 and y1 <= y <= y2:
                    return HIT, element, target
            return MISS, None, None
        return (COMPLETE if type(action) is Complete and not self.click_only else UNREADABLE), None, None

    def history(self) -> list[str]:
        """What happened so far, as the prompt tells it."""
        return [prompts.entry(outcome, page, name) for outcome, name, page in self.events]


class NavigationEpisode:
    """An episode in text: ``request()`` asks, ``answer(text)`` reads and acts; ``turns`` keeps every exchange."""

    def __init__(
        self,
        world: World,
        task: Task,
        key: str,
        max_steps: int = MAX_STEPS,
        ask_complete: bool = True,
        click_only: bool = False,
        explain: str = "step",
    ):
        self.world, self.task, self.key, self.explain = world, task, key, explain
        self.system = prompts.system(explain=explain)
        self.state = Navigation(world.graph, task, max_steps, ask_complete, click_only)
        self.turns: list[dict] = []

    @property
    def done(self) -> bool:
        return self.state.done

    def request(self) -> Request:
        state = self.state
        return Request(
            system=self.system,
            prompt=prompts.navigation(self.task.start, self.task.goal, state.history()),
            image=self.world.picture(state.page),
            key=f"{self.key}/{len(self.turns)}",
            gold=self._gold,
        )

    def answer(self, text: str) -> None:
        page, answer = self.state.page, parse(text)
        outcome = self._act(answer.action)
        turn = {"page": page, "answer": text, "outcome": outcome, "element": self.state.events[-1][1]}
        if isinstance(answer.action, Click):
            turn["point"] = [answer.action.x, answer.action.y]
        if isinstance(answer.action, ParseFailure):
            turn["failure"] = answer.action.reason
        self.turns.append(turn)

    def record(self) -> dict:
        """What happened, in numbers: the page of each turn, steps left before the first and after each, failures."""
        pages = [turn["page"] for turn in self.turns]
        left = self.world.graph.distances_to(self.task.goal)
        return {
            "pages": pages,
            "distances": [left[page] for page in [*pages, self.state.page]],
            "misses": sum(turn["outcome"] == MISS for turn in self.turns),
            "parse_failures": sum("failure" in turn for turn in self.turns),
        }

    def _act(self, action: Action | ParseFailure) -> str:
        """Take the action; returns its outcome. A backend may carry a click to the state by another way."""
        return self.state.act(action)

    def _gold(self) -> str:
        return gold_answer(self.world.graph, self.state.page, self.task.goal, self.explain)


def episode_of(config: dict, max_steps: int, click_only: bool) -> NavigationEpisode:
    """The episode of a multi-turn row's ``env_config``. Raises DataError where the row or its world is broken."""
    if not {"world", "start", "goal"} <= set(config):
        raise DataError(f"env_config has {', '.join(sorted(config))}: no world, start or goal; write the rows again")
    world = _checked_world(config["world"])
    unknown = {config["start"], config["goal"]} - set(world.graph.pages)
    if unknown:
        raise DataError(f"env_config: no page {unknown.pop()!r} in {config['world']}; write the rows again")
    task = Task(config["start"], config["goal"], world.graph.distances_to(config["goal"])[config["start"]])
    if not task.length:
        raise DataError(f"env_config: {task.name} is no way to go; write the rows again")
    explain = config.get("explain", "step")
    if explain not in EXPLAIN:
        raise DataError(f"env_config: explain is {explain!r}, not one of {', '.join(EXPLAIN)}; write the rows again")
    return NavigationEpisode(world, task, task.name, max_steps, click_only=click_only, explain=explain)


@lru_cache
def _checked_world(folder: str) -> World:
    """A world with all its pictures, read and checked once in a process."""
    world = World(Path(folder))
    world.check_pictures()
    return world


class GELabEnv(gymnasium.Env):
    """GE-Lab for Gymnasium.

    Action: the model's raw answer (Text). Observation: ``image`` (height, width, 3) uint8 and ``prompt`` (Text).
    Reward: 1.0 on the step that opens the goal page, else 0.0. ``terminated`` on arrival or a premature ``complete``,
    ``truncated`` at ``max_steps``. ``info``: page, outcome, distance (steps left). ``reset(options={"task": i})``
    picks a task; else one is drawn. With ``copy=False`` observations share the cached, read-only screenshot, which
    saves most of the time of a step; Gymnasium's own checker asks for copies. With ``placements`` each episode is on
    one of them, drawn; ``reset(options={"placement": i})`` picks one.
    """

    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def __init__(
        self,
        world: World,
        tasks: Sequence[Task],
        max_steps: int = MAX_STEPS,
        copy: bool = True,
        placements: Sequence[World] = (),
    ):
        self.placements = list(placements)
        self.world, self.tasks, self.max_steps, self.copy = world, list(tasks), max_steps, copy
        self.observation_space, self.action_space = spaces(world.page_size)
        self.task, self.state = self.tasks[0], None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        index = (options or {}).get("task")
        self.task = self.tasks[int(self.np_random.integers(len(self.tasks))) if index is None else index]
        if self.placements:
            drawn = (options or {}).get("placement")
            drawn = int(self.np_random.integers(len(self.placements))) if drawn is None else drawn
            self.world = self.placements[drawn]
        self.state = Navigation(self.world.graph, self.task, self.max_steps, ask_complete=False)
        return self._observation(), self._info(None)

    def step(self, action: str) -> tuple[dict, float, bool, bool, dict]:
        state = self.state
        outcome = state.act(parse(cleaned(action)).action)
        terminated = state.arrived or outcome is COMPLETE
        truncated = state.done and not terminated
        return self._observation(), float(state.arrived), terminated, truncated, self._info(outcome)

    def render(self) -> np.ndarray:
        return self.world.screenshot(self.state.page)

    def _observation(self) -> dict[str, Any]:
        prompt = prompts.navigation(self.task.start, self.task.goal, self.state.history())
        image = self.world.screenshot(self.state.page)
        return {"image": image.copy() if self.copy else image, "prompt": prompt}

    def _info(self, outcome: str | None) -> dict[str, Any]:
        distance = self.world.graph.distances_to(self.task.goal)[self.state.page]
        return {"page": self.state.page, "outcome": outcome, "distance": distance}
