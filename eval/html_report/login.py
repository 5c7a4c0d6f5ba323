"""Login scores for the report: answers step by step, forms filled in for oneself, and the form as a map."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image
from results import Loop, Steps

from data_engine.dataset import verified_path
from data_engine.failures import RIGHT
from data_engine.geometry import Box
from data_engine.login import env, failures
from data_engine.login.actions import KINDS, Action, Click, ParseFailure, format_action
from data_engine.login.benchmark import CLOSED_LOOP, STEPS
from data_engine.login.forms import CANVAS, Element
from data_engine.login.metrics import Judged, judge, strict_metrics
from data_engine.login.tasks import Task, options_of, tasks

from .diagnosis import Step, Walk, cut
from .library import Library
from .pictures import Pictures
from .score import REFERENCES, NotShown, Score

SHAPES = {STEPS.kind: Steps, CLOSED_LOOP.kind: Loop}
ASKED, DONE = failures.ASKED, failures.DONE
PARTNERS = ()  # they stand in each metrics.json
NOTE = ""
COLUMNS = {  # heading -> (kind of score, part of its metrics.json, metric)
    "action type": (STEPS.kind, "metrics", "action_type_accuracy"),
    "steps right": (STEPS.kind, "strict", "step_accuracy"),
    "clicks right": (STEPS.kind, "strict", "click_accuracy"),
    "texts right": (STEPS.kind, "strict", "text_accuracy"),
    "episodes right": (STEPS.kind, "strict", "episode_success_rate"),
    "forms accepted": (CLOSED_LOOP.kind, "metrics", "success_rate"),
}
FATAL = (env.REJECTED, env.MISFIRE, env.DONE)  # outcomes that end an episode
HEADINGS = {
    "action type": "the kind of action alone, as published (classic)",
    "steps right": "type, place and text right (strict), with the right history",
    "clicks right": "where a click is due: inside the right box",
    "texts right": "where a text is due: exactly that text",
    "episodes right": "every step of an episode right (strict)",
    "forms accepted": "closed loop: the form itself accepted what was filled in",
    "ceiling": "the best that a deterministic model can reach, because some steps look the same",
}


def metrics(score: Score) -> dict:
    """``{"metrics", "strict", "baselines"}`` as metrics.json has them; of the answers so far while it runs."""
    if score.finished:
        return score.result
    strict = {"strict": strict_metrics(score.answers)} if score.kind == STEPS.kind else {}
    return {"metrics": score.protocol.metrics(score.answers), **strict}


def values(scores: list[Score]) -> tuple[list[dict], dict[str, list]]:
    """(columns, agent -> values): reference policies that stand in an agent's metrics.json come first."""
    results = {(score.agent, score.kind): metrics(score) for score in scores}
    agents = dict.fromkeys(score.agent for score in scores)
    rows = {
        agent: [_value(results, agent, head) for head in COLUMNS]
        for agent in [name for name in REFERENCES if name not in agents] + list(agents)
    }
    rows["ceiling"] = [ceiling(results.values(), head) for head in COLUMNS]
    return [{"set": "", "name": head} for head in COLUMNS], rows


def _value(results: dict, agent: str, head: str) -> float | None:
    """From the agent's own score; of a reference policy, from another agent's, where it stands beside it."""
    kind, part, metric = COLUMNS[head]
    own = results.get((agent, kind))
    if own is not None:
        return own.get(part, {}).get(metric)
    of = [baseline(result, part, agent) for (_, k), result in results.items() if k == kind]
    return next((baselines.get(metric) for baselines in of if baselines), None)


def baseline(result: dict, part: str, name: str) -> dict | None:
    """Metrics of a reference policy that stand in another agent's file."""
    baselines = result.get("baselines") or {}
    table = baselines.get("strict" if part == "strict" else "classic", baselines)
    return table.get(name)


def ceiling(results: Iterable[dict], head: str) -> float | None:
    """The best that a deterministic model can reach: rows that look the same get one answer. Of action types alone."""
    of = [result["ceiling"].get("type_accuracy") for result in results if result.get("ceiling")]
    return of[0] if of and head == "action type" else None


def forms(manifest: dict) -> dict[str, Task]:
    """The tasks of a written folder, by their names. Raises DataError."""
    return {task.key: task for task in tasks(options_of(manifest["arguments"]))}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answer: what was done and due, with which elements, and the key of its picture."""

    said: str
    action: Action | ParseFailure
    hit: Element | None
    due: str
    due_element: Element | None
    due_text: str | None
    kind: str
    picture: str


def walks(score: Score, library: Library, pictures: Pictures) -> tuple[list[Walk], dict[str, Task]]:
    """The episodes of a score, and its tasks. Raises DataError, NotShown."""
    rows = library.rows(score)
    if rows is None:
        raise NotShown.without("rows are")
    known = forms(rows[1])
    return _episodes(score, known, *rows, pictures), known


def _episodes(score: Score, known: dict[str, Task], folder: Path, manifest: dict, pictures: Pictures) -> list[Walk]:
    """``folder`` holds the rows' pictures, ``manifest`` their hashes."""
    if score.kind == CLOSED_LOOP.kind:
        played = score.read(partial(failures.read_walk, known))
        return [_played(known[row["key"]], row, pictures) for row in played]
    answers = score.read(partial(failures.read_answered, known))
    for name in {row["images"][0] for row in answers}:
        pictures.add(f"{folder}/{name}", partial(_picture, folder, name, manifest))
    return [_forced(known[name], steps, folder) for name, steps in judge(answers).items()]


def _picture(folder: Path, name: str, manifest: dict) -> Image.Image:
    """Raises DataError where it is missing or was changed."""
    return Image.open(verified_path(folder, name, manifest=manifest))


def _played(task: Task, row: dict, pictures: Pictures) -> Walk:
    exchanges, screen = [], task.screen()
    for turn, done in zip(row["turns"], failures.replay(task, row), strict=True):
        picture = f"{task.key}/{done.view!r}"
        pictures.add(picture, partial(screen.picture, done.view))
        text = getattr(done.due, "text", None)
        due = KINDS[type(done.due)], done.due_element, text
        exchanges.append(Exchange(turn["answer"], done.action, done.element, *due, done.kind, picture))
    return _walk(task, exchanges, row["accepted"], row["ended"], row["ended"] in FATAL)


def _forced(task: Task, steps: Sequence[Judged], folder: Path) -> Walk:
    exchanges = []
    for judged in steps:
        row, truth = judged.row, judged.truth
        picture = f"{folder}/{row['images'][0]}"
        due = task.form.element(row["element"]) if row.get("element") else None
        hit = failures.aimed_at(task.form, row["mode"], judged.action)
        kind = failures.row_kind(task.form, judged)
        exchanges.append(Exchange(row["prediction"], judged.action, hit, truth.type, due, truth.text, kind, picture))
    right = sum(exchange.kind == RIGHT for exchange in exchanges)
    return _walk(task, exchanges, right == len(exchanges), f"{right} of {len(exchanges)} answers right", False)


def _walk(task: Task, exchanges: list[Exchange], ok: bool, end: str, fatal: bool) -> Walk:
    steps = [_step(task, exchange) for exchange in exchanges]
    return Walk(ok, fatal, steps, (task.index,), partial(_shown, task, exchanges, steps, end))


def _step(task: Task, exchange: Exchange) -> Step:
    name, mode = exchange.due_element and exchange.due_element.name, task.options.mode
    done = failures.done(task.form, mode, exchange.action, name, exchange.due_text)
    point = (exchange.action.x * 1000, exchange.action.y * 1000) if isinstance(exchange.action, Click) else None
    box = thousand(exchange.due_element.box) if exchange.due_element and exchange.due == "click" else None
    return Step(exchange.kind, exchange.due, done, point, box)


def thousand(box: Box) -> list[float]:
    """A canvas box in 0..1000, unrounded."""
    return [round(edge / side * 1000, 1) for edge, side in zip(box, (*CANVAS, *CANVAS), strict=True)]


def _shown(task: Task, exchanges: list[Exchange], steps: list[Step], end: str) -> dict:
    """What the viewer needs: a head line, every turn, and the way over the form."""
    fields = [*task.form.fields, task.form.button]
    turns = [
        {
            "place": task.form.scenario,
            "picture": exchange.picture,
            "said": cut(exchange.said),
            "kind": exchange.kind,
            "did": _did(task, exchange),
            "due": _due(exchange),
            "point": step.point,
            "box": step.box,
        }
        for exchange, step in zip(exchanges, steps, strict=True)
    ]
    return {
        "length": len(exchanges),
        "attempt": None,
        "end": end,
        "name": task.form.goal,
        "turns": turns,
        "map": task.key,
        "path": [field.name for field in fields],
        "walked": [[e.hit.name, e.kind] for e in exchanges if e.hit and KINDS[type(e.action)] == "click"],
    }


def _did(task: Task, exchange: Exchange) -> str:
    if isinstance(exchange.action, ParseFailure):
        return f"unreadable: {exchange.action.reason}"
    where = f" on {exchange.hit.caption or exchange.hit.name}" if exchange.hit else ""
    return f"{format_action(exchange.action, task.rules.decimals)}{where}"


def _due(exchange: Exchange) -> str:
    if exchange.due == "type":
        return f"type “{exchange.due_text}”"
    return f"{exchange.due} {exchange.due_element.caption}" if exchange.due_element else exchange.due


def backdrop(tasks: dict[str, Task]) -> dict:
    """Every place at which an element stands on one of the first forms."""
    boxes = [thousand(e.box) for exchange in list(tasks.values())[:40] for e in exchange.form.elements]
    return {"boxes": boxes, "size": list(next(iter(tasks.values())).options.page_size)}


def page_map(task: Task) -> dict:
    """The form as a map: each element's box and middle in -1..1, and its caption."""
    boxes = {e.name: [round(v / 500 - 1, 3) for v in thousand(e.box)] for e in task.form.elements}
    nodes = {name: [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2] for name, b in boxes.items()}
    captions = {element.name: element.caption for element in task.form.elements}
    return {"nodes": nodes, "edges": [], "boxes": boxes, "captions": captions}


def chart(score: Score) -> tuple[str, str, list] | None:
    """Right answers by step."""
    asked = score.kind == STEPS.kind
    return ("Right answers, step by step", "step of the script", by_step(score)) if asked else None


def by_step(score: Score) -> list[list[float]]:
    """[step from 1, share of right answers (strict), answers] of each step of the script."""
    rights: dict[int, list[bool]] = defaultdict(list)
    for steps in judge(score.answers).values():
        for one in steps:
            rights[one.row["step"] + 1].append(one.strict.right)
    return [[step, sum(right) / len(right), None, None, len(right)] for step, right in sorted(rights.items())]
