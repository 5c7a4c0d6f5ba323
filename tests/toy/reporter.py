"""What a report shows of the squares. To be eval/html_report/toy.py of a copy of the tree."""

from functools import partial

from PIL import Image
from results import Score as Scored

from data_engine.dataset import verified_path
from data_engine.failures import RIGHT, WRONG
from data_engine.toy.benchmark import ANSWERS, STEPS, right

from .diagnosis import Step, Walk
from .score import NotShown

SHAPES = {STEPS.kind: Scored}
HEADINGS = {"found": "squares found"}
PARTNERS = ("oracle",)
NOTE = "Squares are black."
ASKED, DONE = ANSWERS, (*ANSWERS, "other")


def metrics(score) -> dict:
    return score.protocol.metrics(score.answers)


def values(scores) -> tuple[list[dict], dict[str, list]]:
    return [{"set": "", "name": "found"}], {score.agent: [metrics(score)["accuracy"]] for score in scores}


def chart(score) -> tuple[str, str, list]:
    return "Squares", "all", [[1, metrics(score)["accuracy"], None, None, len(score.answers)]]


def walks(score, library, pictures) -> tuple[list[Walk], dict]:
    rows = library.rows(score)
    if rows is None:
        raise NotShown.without("rows are")
    folder, manifest = rows
    for name in {row["images"][0] for row in score.answers}:
        pictures.add(name, lambda name=name: Image.open(verified_path(folder, name, manifest)))
    return [walk(row) for row in score.answers], {"page": ANSWERS}


def walk(row: dict) -> Walk:
    due, said = row["messages"][-1]["content"], row["prediction"]
    step = Step(RIGHT if right(row) else WRONG, due, said if said in ANSWERS else "other")
    return Walk(right(row), False, [step], (row["idx"],), partial(shown, row, due, step))


def shown(row: dict, due: str, step: Step) -> dict:
    turn = {"place": "page", "picture": row["images"][0], "said": row["prediction"], "kind": step.kind}
    turn |= {"did": step.done, "due": due, "point": None, "box": None}
    head = {"length": 1, "attempt": None, "end": "answered", "name": str(row["idx"])}
    return head | {"turns": [turn], "map": "page", "path": list(ANSWERS), "walked": []}


def backdrop(maps: dict) -> dict:
    return {"boxes": [], "size": [1, 1]}


def page_map(answers: tuple) -> dict:
    return {"nodes": {"left": [-1, 0], "right": [1, 0]}, "edges": []}
