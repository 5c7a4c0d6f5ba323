"""One episode as the page shows it. The environment owns the state; the page is told what is to be seen, no more."""

from ...geometry import Box
from ...seeds import rng
from ..actions import Click
from ..env import HIT, Navigation
from ..graph import PageGraph, WorldError
from ..layout import TITLE_BOX
from ..tasks import Task
from ..world import World


class Game:
    """An episode of ``state`` towards ``task``; ``hints`` counts those that were given."""

    def __init__(self, world: World, task: Task, state: Navigation):
        self.world, self.task, self.state = world, task, state
        self.hints = 0
        self._hinted: int | None = None  # the step for which the last hint was given

    def click(self, x: int, y: int) -> None:
        """Click at (x, y), 0..1000. After the end nothing happens."""
        if not self.state.done:
            self.state.act(Click(x, y))

    def hint(self) -> None:
        """Show the next click of a shortest path until the next click."""
        if not self.state.done and self._hinted != self.state.steps:
            self.hints, self._hinted = self.hints + 1, self.state.steps

    @property
    def score(self) -> float:
        """Shortest path / steps, 0..1: what it is on arrival, or can still be; 0 after an end without arrival."""
        if self.state.done and not self.state.arrived:
            return 0.0
        return self.task.length / max(self.task.length, self.state.steps)

    def view(self) -> dict:
        """What the page shows, as JSON; where elements lead is not in it. A shortest way is shown at the end."""
        state, task = self.state, self.task
        return {
            "start": task.start,
            "goal": task.goal,
            "length": task.length,
            "page": state.page,
            "steps": state.steps,
            "max_steps": state.max_steps,
            "arrived": state.arrived,
            "done": state.done,
            "score": self.score,
            "hints": self.hints,
            "hint": self._hint(),
            "trace": self._trace(),
            "way": self._way() if state.done else None,
            "screen": screen(self.world, state.page),
        }

    def _hint(self) -> dict | None:
        if self.state.done or self._hinted != self.state.steps:
            return None
        graph, page, goal = self.world.graph, self.state.page, self.task.goal
        return {"element": graph.next_element(page, goal).name, "left": graph.distances_to(goal)[page]}

    def _trace(self) -> list[dict]:
        """Every click: the page it was made on, the element (None: a miss), the page after it."""
        events = self.state.events
        after = [*(page for _, _, page in events), self.state.page][1:]
        return [
            {"page": page, "element": element if outcome == HIT else None, "to": to}
            for (outcome, element, page), to in zip(events, after, strict=True)
        ]

    def _way(self) -> list[dict]:
        path = self.world.graph.shortest_path(self.task.start, self.task.goal)
        return [{"page": page, "element": element.name, "to": element.target} for page, element in path]


def screen(world: World, page: str) -> dict:
    """A page in pixels of its screenshot: boxes, and colours [R, G, B] as the screenshot has them in its corner and in
    those of `back` and `home`."""
    pixels = world.screenshot(page)

    def place(box: Box) -> dict:
        return {"box": box.scaled(world.graph.canvas, world.page_size)}

    def colour(x: int, y: int) -> list[int]:
        return pixels[y, x].tolist()

    elements = []
    for element in world.graph.pages[page].elements:
        drawn = {"name": element.name, **place(element.box)}
        elements.append(drawn | ({"tile": colour(*drawn["box"][:2])} if element.system else {}))
    return {
        "size": world.page_size,
        "canvas": world.graph.canvas,
        "ground": colour(0, 0),
        "title": {"text": page, **place(TITLE_BOX)},
        "elements": elements,
    }


def task_of(graph: PageGraph, start: str, goal: str) -> Task:
    """The task between two pages. Raises WorldError where there is none."""
    for page in (start, goal):
        if page not in graph.pages:
            raise WorldError(f"no page {page!r} in this world; it has page_0 .. page_{len(graph.pages) - 1}")
    length = graph.distances_to(goal).get(start)
    if not length:
        raise WorldError(f"from {start} to {goal}: no way to go; name two pages that clicks connect")
    return Task(start, goal, length)


def draw_task(graph: PageGraph, length: int | None, *names: int | str) -> Task:
    """A random task, of ``length`` clicks if given; ``names`` (a seed and more) decide. Raises WorldError."""
    random, pages = rng(*names), list(graph.pages)
    for index in random.permutation(len(pages)):
        distances = graph.distances_to(pages[index])
        starts = [page for page, left in distances.items() if left and length in (None, left)]
        if starts:
            start = starts[int(random.integers(len(starts)))]
            return Task(start, pages[index], distances[start])
    raise WorldError(f"no task of {length} clicks in this world; the longest way has {longest(graph)}")


def longest(graph: PageGraph) -> int:
    """Clicks from the page that is farthest from the deepest page."""
    deepest = max(graph.pages.values(), key=lambda page: page.depth)
    return max(graph.distances_to(deepest.id).values())
