"""A run directory as one JSON value: everything that the page shows, but for the pixels."""

from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path

from PIL import Image

from data_engine.dataset import DataError
from data_engine.failures import KINDS, RIGHT
from data_engine.gelab.failures import ASKED as GELAB_ASKED
from data_engine.gelab.failures import DONE as GELAB_DONE
from data_engine.gelab.world import World
from data_engine.login.failures import ASKED as LOGIN_ASKED
from data_engine.login.failures import DONE as LOGIN_DONE

from . import gelab, lead, login
from .curves import stage
from .diagnosis import Walk, diagnosis, shown
from .pictures import Pictures
from .scan import LEFT_OUT, REFERENCES, LeftOut, Library, Score, logs, other_kinds, scores

NAMES = {"gelab": "GE-Lab", "login": "login forms"}


def gather(run: Path, elsewhere: list[Path]) -> tuple[dict, Callable[[int], dict], Pictures]:
    """(all but the walks, the walks and their maps for a number a score, their pictures).

    ``elsewhere``: folders that hold worlds and rows too. Raises DataError if there is nothing to report.
    """
    for folder in elsewhere:
        if not folder.is_dir():
            raise DataError(f"--data {folder}: no such folder; give one with worlds or rows")
    left = LeftOut()
    found, stages = _drawn(scores(run, left), left), _stages(run, left)
    if not found and not stages:
        raise DataError(_nothing(run, left))
    pictures, library = Pictures(left), Library([run, *elsewhere], left)
    read = [(score, *_read(score, library, pictures, left)) for score in found if score.answers]
    data = {
        "title": run.resolve().name,
        "benchmarks": sorted({NAMES[score.benchmark] for score in found}),
        "tables": [
            _table(name, [s for s in found if s.benchmark == name and s.answers]) for name in _benchmarks(found)
        ],
        "lengths": _lengths(found),
        "stages": stages,
        "diagnoses": [_diagnosed(score, made, maps) for score, made, maps in read if made],
        "kinds": {RIGHT: "the answer leads on", **KINDS},
        "left_out": left.sentences,  # pictures that cannot be read come to it while the page is made
        "missing": missing(found, stages, [s for s, made, _ in read if made is None], other_kinds(run)),
        "sources": [_source(score) for score in found],
    }
    data["lead"], data["first"] = lead.sentences(data), lead.first(data)
    return data, partial(_walks, read), pictures


def _benchmarks(found: list[Score]) -> list[str]:
    return sorted({score.benchmark for score in found if score.answers})


def _drawn(found: list[Score], left: LeftOut) -> list[Score]:
    """The scores of which all numbers of the page can be had."""
    drawn = []
    for score in found:
        with left.part():
            (gelab if score.benchmark == "gelab" else login).metrics(score)
            _points(score)
            drawn.append(score)
    return drawn


def _stages(run: Path, left: LeftOut) -> list[dict]:
    stages = []
    for name, path in logs(run):
        with left.part():
            stages.append(stage(name, path))
    return stages


def _nothing(run: Path, left: LeftOut) -> str:
    """Why there is nothing to report."""
    if left.sentences:
        return left.sentences[0].removeprefix(LEFT_OUT).removesuffix(".")
    return f"{run}: no score (run.json) and no training log (logging.jsonl); give the folder of a run"


def _read(score: Score, library: Library, pictures: Pictures, left: LeftOut) -> tuple[list[Walk] | None, dict]:
    """(walks of a score, what its maps are made of); no walks where they cannot be read (then ``left`` says why), None
    where its world or rows are not there."""
    with left.part(f"walks of {score.agent}, {score.set}: "):
        return _walks_of(score, library, pictures)
    return [], {}


def _walks_of(score: Score, library: Library, pictures: Pictures) -> tuple[list[Walk] | None, dict]:
    if score.benchmark == "gelab":
        world = library.world(score)
        if world is None:
            return None, {}
        for page in world.graph.pages:
            pictures.add(f"{world.fingerprint}/{page}", partial(_screenshot, world, page))
        return gelab.walks(score, world), {world.fingerprint: world}
    rows = library.rows(score)
    if rows is None:
        return None, {}
    known = login.forms(rows[1])
    return login.walks(score, known, *rows, pictures), known


def _screenshot(world: World, page: str) -> Image.Image:
    """Raises DataError where it is missing or was changed."""
    return Image.fromarray(world.screenshot(page))


def _diagnosed(score: Score, walks: list[Walk], maps: dict) -> dict:
    whole = score.kind in ("gelab-interactive", "login-closed-loop")
    words = (GELAB_ASKED, GELAB_DONE) if score.benchmark == "gelab" else (LOGIN_ASKED, LOGIN_DONE)
    if score.benchmark == "gelab":
        world = next(iter(maps.values()))
        page = {"boxes": gelab.boxes(world), "size": list(world.page_size)}
    else:
        task = next(iter(maps.values()))
        boxes = [login.thousand(e.box) for one in list(maps.values())[:40] for e in one.form.elements]
        page = {"boxes": boxes, "size": list(task.options.page_size)}
    return {**_name(score), **diagnosis(walks, *words, whole), **page}


def _name(score: Score) -> dict:
    """How a score is called on the page."""
    forced = score.kind == "gelab-static"
    return {"agent": score.agent, "set": score.set + (", step by step" if forced else ""), "kind": score.kind}


def _walks(read: list[tuple], most: int) -> dict:
    """At most ``most`` walks of each score, their maps, and how many are left out."""
    walks, maps = [], {}
    for score, made, known in read:
        some = shown(made or [], most)
        walks.append({**_name(score), "walks": some, "count": len(made or [])})
        for name in dict.fromkeys(walk["map"] for walk in some):
            of = known[name]
            maps[name] = gelab.page_map(of.graph) if score.benchmark == "gelab" else login.form_map(of)
    return {"scores": [one for one in walks if one["count"]], "maps": maps}


def _table(benchmark: str, found: list[Score]) -> dict:
    """Agents by metrics, fractions 0..1: ``{"benchmark", "columns", "groups", "rows"}``.

    Rows: ``{"agent", "reference", "values"}``. Columns and agents without a value are left out.
    """
    columns, rows = (_gelab_values if benchmark == "gelab" else _login_values)(found)
    kept = [i for i in range(len(columns)) if any(values[i] is not None for values in rows.values())]
    filled = {agent: [values[i] for i in kept] for agent, values in rows.items()}
    columns = [columns[i] for i in kept]
    return {
        "benchmark": NAMES[benchmark],
        "columns": columns,
        "groups": [[name, len(list(group))] for name, group in groupby(columns, key=lambda column: column["set"])],
        "rows": [
            {"agent": agent, "reference": agent in (*REFERENCES, "ceiling"), "values": values}
            for agent, values in filled.items()
            if any(value is not None for value in values)
        ],
        "headings": (gelab if benchmark == "gelab" else login).HEADINGS,
    }


def _gelab_values(found: list[Score]) -> tuple[list[dict], dict[str, list]]:
    """(columns, agent -> values): the metrics of held-out scores first."""
    results = {(score.agent, score.set, score.kind): gelab.metrics(score) for score in found}
    sets = dict.fromkeys(["held out", "held in", *(score.set for score in found)])
    columns = [(name, head, *gelab.COLUMNS[head]) for name in sets for head in gelab.COLUMNS]
    rows = {
        agent: [results.get((agent, name, kind), {}).get(metric) for name, _, kind, metric in columns]
        for agent in dict.fromkeys(score.agent for score in found)
    }
    return [{"set": name, "name": head} for name, head, _, _ in columns], rows


def _login_values(found: list[Score]) -> tuple[list[dict], dict[str, list]]:
    """(columns, agent -> values): reference policies that stand in an agent's metrics.json come first."""
    results = {(score.agent, score.kind): login.metrics(score) for score in found}
    agents = dict.fromkeys(score.agent for score in found)
    rows = {
        agent: [_login_value(results, agent, head) for head in login.COLUMNS]
        for agent in [name for name in REFERENCES if name not in agents] + list(agents)
    }
    rows["ceiling"] = [login.ceiling(results.values(), head) for head in login.COLUMNS]
    return [{"set": "", "name": head} for head in login.COLUMNS], rows


def _login_value(results: dict, agent: str, head: str) -> float | None:
    """From the agent's own score; of a reference policy, from another agent's, where it stands beside it."""
    kind, part, metric = login.COLUMNS[head]
    own = results.get((agent, kind))
    if own is not None:
        return own.get(part, {}).get(metric)
    of = [login.baseline(result, part, agent) for (_, k), result in results.items() if k == kind]
    return next((beside.get(metric) for beside in of if beside), None)


def _lengths(found: list[Score]) -> list[dict]:
    """Success by path length (GE-Lab), right answers by step (forms): one chart a set, one line an agent."""
    charts: dict[tuple[str, str], list[dict]] = {}
    for score in found:
        if points := _points(score):
            x = "clicks on the shortest path" if score.benchmark == "gelab" else "step of the script"
            title = f"Arrival, {score.set}" if score.benchmark == "gelab" else "Right answers, step by step"
            charts.setdefault((title, x), []).append({"agent": score.agent, "points": points})
    return [{"title": title, "x": x, "lines": lines} for (title, x), lines in sorted(charts.items(), reverse=True)]


def _points(score: Score) -> list[list[float]]:
    """Of a score's line in the charts by length; none for kinds that have no line."""
    lines = {"gelab-interactive": gelab.by_length, "login-steps": login.by_step}
    return lines[score.kind](score) if score.kind in lines and score.answers else []


def missing(found: list[Score], trainings: list, unread: list[Score], others: list[str]) -> list[str]:
    """What a whole run would have and this one has not, each in a sentence with the mend."""
    said = []
    if not trainings:
        said.append("No training log (logging.jsonl) is here, so there are no learning curves.")
    if not found:
        said.append("No score is here: run eval/gelab_static.py, eval/gelab_interactive.py or eval/login_eval.py.")
    for score in found:
        what = f"{score.agent}, {score.set} ({score.kind})"
        if not score.answers:
            said.append(f"{what}: started, no answer yet.")
        elif not score.finished:
            said.append(f"{what}: {len(score.answers)} answers so far, not finished; the same command goes on.")
    for score in unread:
        what = "world is" if score.benchmark == "gelab" else "rows are"
        lost = "neither walks nor failures can be shown"
        why = f"its {what} not below this folder, so {lost}; name their folder with --data."
        said.append(f"{score.agent}, {score.set} ({score.kind}): {why}")
    said += (
        [f"Runs of another kind ({', '.join(others)}) lie here too; this page does not show them."] if others else []
    )
    return said + _missing_partners(found)


def _missing_partners(found: list[Score]) -> list[str]:
    """Sets that some agents were scored on and others not, and references that no GE-Lab score stands beside."""
    said, every = [], {(score.set, score.kind) for score in found}
    agents = list(dict.fromkeys(score.agent for score in found))
    for agent in agents:
        lacks = sorted(every - {(score.set, score.kind) for score in found if score.agent == agent})
        if lacks and agent not in REFERENCES:
            said.append(f"{agent}: not scored on {', '.join(f'{name} ({kind})' for name, kind in lacks)}.")
    if any(score.benchmark == "gelab" for score in found):
        lacks = [name for name in ("oracle", "random", "blind") if name not in agents]
        if lacks:
            said.append(f"No score of {', '.join(lacks)} to compare with: --engine {lacks[0]} needs no model.")
    return said


def _source(score: Score) -> dict:
    result = score.result
    return {**_name(score), "commit": result.get("commit"), "command": result.get("command")}
