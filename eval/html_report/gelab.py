"""GE-Lab scores for the report: walks in the world, teacher-forced rows, success by path length, the map of pages."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import groupby

from PIL import Image
from results import Score as Scored

from data_engine.failures import RIGHT
from data_engine.gelab import failures
from data_engine.gelab.actions import Click, parse
from data_engine.gelab.benchmark import INTERACTIVE, STATIC
from data_engine.gelab.graph import PageGraph
from data_engine.gelab.placements import opened
from data_engine.gelab.ring import ring_places
from data_engine.gelab.world import World
from data_engine.geometry import box_to_thousand
from data_engine.intervals import interval

from .diagnosis import Step, Walk, cut
from .library import Library
from .pictures import Pictures
from .score import NotShown, Score

SHAPES = dict.fromkeys((STATIC.kind, INTERACTIVE.kind), Scored)
ASKED, DONE = failures.ASKED, failures.DONE
PARTNERS = ("oracle", "random", "text_only", "blind")
NOTE = "Whiskers: 95 % interval over tasks. Arrival: mean over sampled attempts."
COLUMNS = {  # heading -> (kind of score, metric)
    "steps right": (STATIC.kind, "step_all"),
    "Pass@1": (INTERACTIVE.kind, "pass_at_1"),
    "Pass@k": (INTERACTIVE.kind, "pass_at_k"),
    "greedy": (INTERACTIVE.kind, "greedy"),
}
HEADINGS = {
    "steps right": "one teacher-forced answer right: icon named and hit, or complete",
    "Pass@1": "arrival within the step limit, mean over sampled attempts",
    "Pass@k": "arrival in any of the k sampled attempts",
    "greedy": "arrival in the one greedy attempt",
}


def metrics(score: Score) -> dict:
    """As its metrics.json has them; of the answers so far while it runs."""
    return score.result["metrics"] if score.finished else score.protocol.metrics(score.answers)


def values(scores: list[Score]) -> tuple[list[dict], dict[str, list]]:
    """(columns, agent -> values): the metrics of held-out scores first."""
    results = {(score.agent, score.set, score.kind): metrics(score) for score in scores}
    sets = dict.fromkeys(["held out", "held in", *(score.set for score in scores)])
    columns = [(name, head, *COLUMNS[head]) for name in sets for head in COLUMNS]
    rows = {
        agent: [results.get((agent, name, kind), {}).get(metric) for name, _, kind, metric in columns]
        for agent in dict.fromkeys(score.agent for score in scores)
    }
    return [{"set": name, "name": head} for name, head, _, _ in columns], rows


def chart(score: Score) -> tuple[str, str, list] | None:
    """Success by path length."""
    played = score.kind == INTERACTIVE.kind
    return (f"Arrival, {score.set}", "clicks on the shortest path", by_length(score)) if played else None


def walks(score: Score, library: Library, pictures: Pictures) -> tuple[list[Walk], dict[str, World]]:
    """The episodes of a score, and its world. Raises DataError, NotShown."""
    world = library.world(score, World)
    if world is None:
        raise NotShown.without("world is")
    rows = library.rows(score)

    @cache
    def shown(path: str) -> World:
        if path != "world" and rows is None:
            raise NotShown.without("rows are")
        place = world if path == "world" else opened(rows[0], path)
        for page in place.graph.pages:
            pictures.add(f"{place.fingerprint}/{page}", partial(_screenshot, place, page))
        return place

    return _episodes(score, world, lambda row: shown(failures.shown_on(row))), {world.fingerprint: world}


def _screenshot(world: World, page: str) -> Image.Image:
    """Raises DataError where it is missing or was changed."""
    return Image.fromarray(world.screenshot(page))


def _episodes(score: Score, world: World, shown: Callable[[dict], World]) -> list[Walk]:
    """``shown``: row -> the world that it shows. The rows of a teacher-forced score are put together by task."""
    drawn = world.fingerprint  # whose map is shown
    if score.kind == INTERACTIVE.kind:
        return [_played(shown(row), drawn, row) for row in score.read(partial(failures.read_walk, world.graph))]
    rows = [row for row in score.read(partial(failures.read_answered, world.graph)) if failures.is_step(row)]
    tasks = [list(group) for _, group in groupby(rows, key=lambda row: row["task"])]
    return [_forced(shown(task[0]), drawn, task) for task in tasks]


def _step(world: World, page: str, goal: str, text: str, kind: str) -> Step:
    action = parse(text).action
    point = (action.x, action.y) if isinstance(action, Click) else None
    graph = world.graph
    return Step(
        kind,
        failures.asked(graph, page, goal),
        failures.done(graph, page, goal, action),
        point,
        _box(world, page, goal),
    )


def _box(world: World, page: str, goal: str) -> list[int] | None:
    """Of the element that is due, in 0..1000."""
    if page == goal:
        return None
    return list(box_to_thousand(world.graph.next_element(page, goal).box, world.graph.canvas))


def _played(world: World, drawn: str, row: dict) -> Walk:
    kinds, goal = failures.walk_kinds(world.graph, row), row["goal"]
    asked = [(turn["page"], turn["answer"]) for turn in row["turns"]]
    steps = [_step(world, page, goal, text, kind) for (page, text), kind in zip(asked, kinds, strict=True)]
    head = {"length": row["path"], "attempt": row["attempt"], "end": _end(row)}
    show = partial(_shown, world, drawn, row["start"], goal, head, asked, steps)
    return Walk(row["arrived"], row["ended"] == "premature complete", steps, (row["attempt"], row["idx"]), show)


def _end(row: dict) -> str:
    if row["arrived"]:
        return "arrived and said so" if row["declared"] else "arrived, did not say so"
    return row["ended"]


def _forced(world: World, drawn: str, rows: Sequence[dict]) -> Walk:
    asked = [(failures.row_place(row)[0], row["prediction"]) for row in rows]
    start, goal = asked[0][0], failures.row_place(rows[0])[1]
    kinds = [failures.row_kind(world.graph, row) for row in rows]
    steps = [_step(world, page, goal, text, kind) for (page, text), kind in zip(asked, kinds, strict=True)]
    right = sum(kind == RIGHT for kind in kinds)
    head = {"length": rows[0]["path"], "attempt": None, "end": f"{right} of {len(rows)} answers right"}
    ok = right == len(rows)
    return Walk(ok, False, steps, (rows[0]["idx"],), partial(_shown, world, drawn, start, goal, head, asked, steps))


def _shown(
    world: World, drawn: str, start: str, goal: str, head: dict, asked: list[tuple[str, str]], steps: list[Step]
) -> dict:
    """What the viewer needs: a head line, every turn, and the way on the map ``drawn``."""
    path = [start, *(element.target for _, element in world.graph.shortest_path(start, goal))]
    turns = [
        {
            "place": page,
            "picture": f"{world.fingerprint}/{page}",
            "said": cut(text),
            "kind": step.kind,
            "did": _did(world.graph, page, step),
            "due": "complete" if page == goal else f"click {world.graph.next_element(page, goal).name}",
            "point": step.point,
            "box": step.box,
        }
        for (page, text), step in zip(asked, steps, strict=True)
    ]
    walked = _walked(world.graph, goal, asked, steps) if head["attempt"] is not None else []
    name = f"{start} → {goal}"
    return {**head, "name": name, "turns": turns, "map": drawn, "path": path, "walked": walked}


def _walked(graph: PageGraph, goal: str, asked: list[tuple[str, str]], steps: list[Step]) -> list[list]:
    """[page, kind of the answer that led there] in the order of the walk; None for the start."""
    pages = [page for page, _ in asked]
    last = _opened(graph, *asked[-1]) if pages[-1] != goal else None
    return [list(pair) for pair in zip([*pages, *filter(None, [last])], [None, *(s.kind for s in steps)], strict=False)]


def _did(graph: PageGraph, page: str, step: Step) -> str:
    if step.point is None:
        return step.done
    hit = failures.element_at(graph, page, step.point)
    return f"hit {hit.name}" if hit else "hit nothing"


def _opened(graph: PageGraph, page: str, text: str) -> str | None:
    """The page that an answer opened."""
    action = parse(text).action
    hit = failures.element_at(graph, page, (action.x, action.y)) if isinstance(action, Click) else None
    return hit.target if hit else None


def by_length(score: Score) -> list[list[float]]:
    """[length, Pass@1, its 95 % interval, tasks] of each path length; greedy arrivals where nothing was sampled."""
    rows = [row for row in score.answers if row["attempt"] > 0] or score.answers
    tasks: dict[int, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        tasks[row["path"]][row["task"]].append(row["arrived"])
    points = []
    for length in sorted(tasks):
        parts = [(sum(arrived), len(arrived)) for arrived in tasks[length].values()]
        rate = sum(right for right, _ in parts) / sum(count for _, count in parts)
        points.append([length, rate, *interval(parts), len(parts)])
    return points


def backdrop(maps: dict[str, World]) -> dict:
    """Every place at which an element stands on some page of the world."""
    (world,) = maps.values()
    graph = world.graph
    places = {tuple(box_to_thousand(e.box, graph.canvas)) for page in graph.pages.values() for e in page.elements}
    return {"boxes": [list(place) for place in sorted(places)], "size": list(world.page_size)}


def page_map(world: World) -> dict:
    """The tree of pages around its root, in -1..1, the first leaf on top."""
    graph = world.graph
    places = ring_places(graph)
    far = max(depth for depth, _ in places.values()) or 1
    nodes = {}
    for page in graph.pages:
        depth, angle = places[page]
        nodes[page] = [round(depth / far * math.sin(angle), 3), round(depth / far * -math.cos(angle), 3)]
    return {"nodes": nodes, "edges": [[parent, page] for page, parent in graph.parents.items()]}
