"""A file of hostile answers with verdicts: through the parsers, the scorers and a rollout of each benchmark.

GUI_SWIFT_HOSTILE names the file: JSON lines of ``benchmark``, ``text``, ``expected`` ("fail", or the action as
``verdict`` writes it). A text whose verdict a rule of fairness changes is listed in FAIRNESS with that rule.
"""

import json
import os
from pathlib import Path

import pytest

from data_engine.answer import cleaned, disarmed
from data_engine.dataset import read_rows, write_rows
from data_engine.episode import run_episodes
from data_engine.gelab import actions as gelab
from data_engine.gelab.env import NavigationEpisode
from data_engine.gelab.metrics import score_prediction, static_metrics
from data_engine.gelab.tasks import Task
from data_engine.geometry import Size
from data_engine.login import actions as login
from data_engine.login.env import LoginEpisode
from data_engine.login.metrics import classic_metrics, strict_metrics
from data_engine.login.scoring import reward
from data_engine.login.tasks import Options, tasks
from data_engine.login.write import write

CLICK = "click(start_box='<|box_start|>(503,522)<|box_end|>')"
SAID = f"Explain:click umbrella icon on page_3.\tAction: {CLICK}"
# (benchmark, text) -> the verdict now, and the rule of data_engine/answer.py that makes it
FAIRNESS = {
    ("gelab", f"{SAID}\nExplain:"): ("click 503 522", "below"),
    ("gelab", "Explain: this is target page.\tAction: **complete**"): ("complete", "bold"),
    ("gelab", "Explain:click umbrella icon on page_3.\tAction: click (start_box='(503,522)')"): (
        "click 503 522",
        "bracket",
    ),
    ("gelab", f"Action: `{CLICK}`"): ("click 503 522", "backticks"),
    ("login", "**Action:** CLICK(x=0.42, y=0.31)"): ("click 0.42 0.31", "bold"),
    ("login", "```\nCLICK(x=0.42, y=0.31)\n```"): ("click 0.42 0.31", "fence"),
}


@pytest.fixture(scope="module")
def lines() -> list[dict]:
    path = os.environ.get("GUI_SWIFT_HOSTILE")
    if not path:
        pytest.skip("GUI_SWIFT_HOSTILE is not set: it names a file of hostile answers, which is not in the tree")
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def verdict(action: object) -> str:
    match action:
        case gelab.ParseFailure() | login.ParseFailure():
            return "fail"
        case gelab.Click(x, y) | login.Click(x, y):
            return f"click {x} {y}"
        case login.Pick(mark):
            return f"pick {mark}"
        case login.Type(text, mark):
            return f"type {json.dumps([text, mark])}"
    return type(action).__name__.lower()


def wanted(line: dict) -> str:
    return FAIRNESS.get((line["benchmark"], line["text"]), (line["expected"],))[0]


def texts_of(lines: list[dict], benchmark: str) -> list[tuple[str, str]]:
    """(text, verdict) of a benchmark, as a text is when it has entered."""
    return [(cleaned(line["text"]), wanted(line)) for line in lines if line["benchmark"] == benchmark]


def test_every_rule_is_written_down():
    from data_engine import answer

    assert all(f"\n    {rule} " in answer.__doc__ for _, rule in FAIRNESS.values())


def test_the_parsers_give_the_verdicts(lines):
    parsers = {"gelab": gelab.parse, "login": login.parse}
    other = [
        (line, verdict(parsers[line["benchmark"]](cleaned(line["text"])).action))
        for line in lines
        if verdict(parsers[line["benchmark"]](cleaned(line["text"])).action) != wanted(line)
    ]
    assert other == []


def test_no_failure_is_well_formed(lines):
    for text, said in texts_of(lines, "gelab"):
        assert not (gelab.parse(text).well_formed and said == "fail"), text
    for text, said in texts_of(lines, "login"):
        assert not (login.parse(text).well_formed and said == "fail"), text


GOLDS = {  # gold of a row of GE-Lab by the kind of the verdict; the click is hit by x 403..571, y 493..570
    "click": {"solution": SAID, "bbox": [474, 1258, 674, 1458], "canvas": [1179, 2556]},
    "complete": {"solution": gelab.COMPLETE_ANSWER},
}


def test_the_scores_of_gelab_follow_the_verdicts(lines):
    rows = [
        {"idx": i, "problem": "History: Null", "prediction": text, **gold}
        for i, (text, _) in enumerate(texts_of(lines, "gelab"))
        for gold in GOLDS.values()
    ]
    said = [verdict for _, verdict in texts_of(lines, "gelab") for _ in GOLDS]
    for row, meant in zip(rows, said, strict=True):
        parts = score_prediction(row)["parts"]
        kind = "click" if "bbox" in row else "complete"
        assert parts.type == (meant.split()[0] == kind), row["prediction"]
        assert parts.coord <= parts.type and parts.step <= parts.coord and (meant != "fail" or not any_of(parts))
    assert sum(static_metrics(rows)["parse_failures"].values()) == said.count("fail")


def any_of(parts) -> bool:
    return any((parts.type, parts.coord, parts.intent, parts.format, parts.step))


def truth(meant: str) -> tuple[dict, str]:
    """(truth, mode) of a row to which the verdict is the right answer; of a failure, of a click."""
    kind, _, rest = meant.partition(" ")
    if kind == "pick":
        return {"type": "click", "element": int(rest)}, "som"
    if kind == "type":
        text, mark = json.loads(rest)
        return {"type": "type", "text": text, "element": mark}, "coord" if mark is None else "som"
    if kind in ("wait", "done"):
        return {"type": kind}, "coord"
    x, y = map(float, rest.split()) if rest else (0.42, 0.31)
    x1, y1, x2, y2 = (min(max(value, 0), 1) for value in (x - 0.01, y - 0.01, x + 0.01, y + 0.01))  # of the page
    return {"type": "click", "x": x, "y": y, "bbox": [x1, y1, x2, y2]}, "coord"


def test_the_scores_of_forms_follow_the_verdicts(lines):
    said = texts_of(lines, "login")
    rows = []
    for i, (text, meant) in enumerate(said):
        about, mode = truth(meant)
        row = {"episode": str(i), "step": 0, "scenario": "login", "mode": mode, "truth": about, "prediction": text}
        assert reward(text, row) == float(meant != "fail"), text
        rows.append(row)
    right = sum(meant != "fail" for _, meant in said)
    strict = strict_metrics(rows)
    assert round(strict["step_accuracy"] * len(rows)) == right
    assert sum(strict["parse_failures"].values()) == len(rows) - right
    assert round(classic_metrics(rows)["action_type_accuracy"] * len(rows)) == right


# Rollouts: the text, then the right answers; a form is clicked first, so that there is where to type

OUTCOMES = {"fail": {"unreadable"}, "click": {"hit", "miss"}, "complete": {"complete"}}


class Script:
    """A policy for episodes named by a number: ``before`` right answers, then the text of that number, then right."""

    def __init__(self, texts: list[str], before: int = 0):
        self.texts, self.before = texts, before

    def __call__(self, number: int, turn: int, gold: str) -> str:
        return self.texts[number] if turn == self.before else gold


def clean_question(text: str) -> bool:
    """The picture's placeholder at its head, and no other token; of a length that holds every history."""
    said = text.removeprefix("<image>")
    return said != text and disarmed(said) == said and len(text) < 4096


def test_a_walk_goes_on_whatever_was_said(lines, world, tmp_path):
    said = texts_of(lines, "gelab")
    script, task = Script([text for text, _ in said]), Task("page_0", "page_12", 2)
    walks = [NavigationEpisode(world, task, str(i), max_steps=4) for i in range(len(said))]

    def policy(asked) -> list[str]:
        assert all(clean_question(request.prompt) for request in asked)
        return [script(*map(int, request.key.split("/")), request.gold()) for request in asked]

    run_episodes(walks, policy)
    write_rows(tmp_path / "walks.jsonl", ({"turns": walk.turns} for walk in walks))
    for row, (text, meant) in zip(read_rows(tmp_path / "walks.jsonl"), said, strict=True):
        assert row["turns"][0]["answer"] == text and row["turns"][0]["outcome"] in OUTCOMES[meant.split()[0]], text
        assert (len(row["turns"]) == 1) == (meant == "complete"), text
    assert all(walk.state.arrived for walk, (_, meant) in zip(walks, said, strict=True) if meant == "fail")


@pytest.mark.parametrize("protocol, mode", [("hard", "coord"), ("scripted", "som")])
def test_a_form_goes_on_whatever_was_said(lines, tmp_path, protocol, mode):
    said = texts_of(lines, "login")
    script = Script([text for text, _ in said], before=1)
    (task,) = tasks(Options("login", mode, protocol, 1, page_size=Size(448, 320)))
    forms = [LoginEpisode(task, tmp_path) for _ in said]
    for i, form in enumerate(forms):

        def policy(asked, i=i, form=form) -> list[str]:
            assert all(clean_question(request.prompt) and request.image.is_file() for request in asked)
            return [script(i, len(form.turns), request.gold()) for request in asked]

        run_episodes([form], policy)
    write_rows(tmp_path / "forms.jsonl", ({"turns": form.turns} for form in forms))
    for row, (text, meant) in zip(read_rows(tmp_path / "forms.jsonl"), said, strict=True):
        assert row["turns"][1]["answer"] == text, text
        assert (row["turns"][1]["outcome"] == "unreadable") == (meant == "fail"), text
    assert all(form.state.accepted for form, (_, meant) in zip(forms, said, strict=True) if meant == "fail")


@pytest.fixture(scope="module")
def form_rows(tmp_path_factory) -> list[dict]:
    out = tmp_path_factory.mktemp("rows") / "rows"
    write(out, Options("login", "coord", "hard", episodes=1, page_size=Size(448, 320)))
    return [row | {"images": [str(out / image) for image in row["images"]]} for row in read_rows(out / "tasks.jsonl")]


@pytest.fixture(scope="module")
def walk_rows(small_data) -> list[dict]:
    row = next(row for row in read_rows(small_data / "mt_rl.jsonl") if row["path"] == 2)
    config = row["env_config"] | {"world": str(small_data / row["env_config"]["world"])}
    return [row | {"images": [str(small_data / image) for image in row["images"]], "env_config": config}]


@pytest.mark.parametrize("benchmark, name", [("gelab", "gelab_click_complete"), ("login", "login_form")])
def test_rl_sees_the_same_as_evaluation(lines, benchmark, name, form_rows, walk_rows):
    """ms-swift's loop with the same answers: the same outcomes, and what was said is kept as it was."""
    pytest.importorskip("swift")
    from rollouts import play, scheduler_of

    said = texts_of(lines, benchmark)
    (row,) = walk_rows if benchmark == "gelab" else form_rows
    script, twins = Script([text for text, _ in said], before=int(benchmark == "login")), []

    def answer(request, episode) -> str:
        if len(episode.turns) == 0:
            twins.append(episode)
        assert [m["content"].count("<image>") for m in request.messages if m["role"] == "user"] == [1] * len(
            request.images
        )
        gold = episode._gold() if benchmark == "gelab" else episode.state.gold()
        return script(int(request.uuid), len(episode.turns), gold)

    outputs = play(scheduler_of(name, 12), [row] * len(said), answer)
    for out, episode, (text, meant) in zip(outputs, twins, said, strict=True):
        turn = episode.turns[script.before]
        assert turn["answer"] == text and (turn["outcome"] == "unreadable") == (meant == "fail"), text
        assert out.rollout_infos["parse_failures"] == (meant == "fail"), text
        earned = out.rollout_infos["total_reward"]
        assert earned == 1.0 if meant == "fail" else earned in (0.0, 1.0), text
