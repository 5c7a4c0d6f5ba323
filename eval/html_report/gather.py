"""A run directory as one JSON value: everything that the page shows, but for the pixels."""

from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path

from data_engine.benchmark import Benchmark
from data_engine.benchmarks import BENCHMARKS, PROTOCOLS
from data_engine.dataset import DataError
from data_engine.failures import KINDS, RIGHT

from . import lead
from .curves import stage
from .diagnosis import Walk, diagnosis, shown
from .library import Library
from .pictures import Pictures
from .reporters import REPORTERS, Reporter
from .scan import logs, other_kinds, scores
from .score import LEFT_OUT, REFERENCES, LeftOut, NotShown, Score


def gather(run: Path, elsewhere: list[Path]) -> tuple[dict, Callable[[int], dict], Pictures]:
    """(all but the walks, the walks and their maps for a number a score, their pictures).

    ``elsewhere``: folders that hold worlds and rows too. Raises DataError if there is nothing to report.
    """
    for folder in elsewhere:
        if not folder.is_dir():
            raise DataError(f"--data {folder}: no such folder; give one with worlds or rows")
    left = LeftOut()
    scores_found, stages = _drawn(scores(run, left), left), _stages(run, left)
    if not scores_found and not stages:
        raise DataError(_nothing(run, left))
    pictures, library = Pictures(left), Library([run, *elsewhere], left)
    unshown: list[str] = []
    read = [(score, *_read(score, library, pictures, left, unshown)) for score in scores_found if score.answers]
    data = {
        "title": run.resolve().name,
        "benchmarks": sorted({score.benchmark.title for score in scores_found}),
        "tables": [_table(benchmark, scores_found) for benchmark in _benchmarks(scores_found)],
        "lengths": _lengths(scores_found),
        "stages": stages,
        "diagnoses": [_diagnosed(score, made, maps) for score, made, maps in read if made],
        "kinds": {RIGHT: "the answer leads on", **KINDS},
        "left_out": left.sentences,  # pictures that cannot be read come to it while the page is made
        "missing": missing(scores_found, stages, unshown, other_kinds(run)),
        "sources": [_source(score) for score in scores_found],
    }
    data["lead"], data["first"] = lead.sentences(data), lead.first(data)
    return data, partial(_walks, read), pictures


def _benchmarks(scores_found: list[Score]) -> list[Benchmark]:
    """Those with answers, by name."""
    there = [score.benchmark for score in scores_found if score.answers]
    return sorted((benchmark for benchmark in BENCHMARKS if benchmark in there), key=lambda benchmark: benchmark.name)


def _reporter(score: Score) -> Reporter:
    return REPORTERS[score.benchmark.name]


def _drawn(scores_found: list[Score], left: LeftOut) -> list[Score]:
    """The scores of which all numbers of the page can be had."""
    drawn = []
    for score in scores_found:
        with left.part():
            _reporter(score).metrics(score)
            _chart(score)
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


def _read(
    score: Score, library: Library, pictures: Pictures, left: LeftOut, unshown: list[str]
) -> tuple[list[Walk], dict]:
    """(walks of a score, what its maps are made of); nothing where they cannot be read: ``left`` says why, or
    ``unshown``."""
    try:
        with left.part(f"walks of {score.agent}, {score.set}: "):
            return _reporter(score).walks(score, library, pictures)
    except NotShown as error:
        unshown.append(f"{score.agent}, {score.set} ({score.kind}): {error}")
    return [], {}


def _diagnosed(score: Score, walks: list[Walk], maps: dict) -> dict:
    reporter = _reporter(score)
    counts = diagnosis(walks, reporter.ASKED, reporter.DONE, score.protocol.whole_walks)
    return {**_name(score), **counts, **reporter.backdrop(maps)}


def _name(score: Score) -> dict:
    """How a score is called on the page."""
    forced = not (score.protocol.whole_walks or score.protocol.set_name)
    return {"agent": score.agent, "set": score.set + (", step by step" if forced else ""), "kind": score.kind}


def _walks(read: list[tuple], most: int) -> dict:
    """At most ``most`` walks of each score, their maps, and how many are left out."""
    walks, maps = [], {}
    for score, made, known in read:
        some = shown(made, most)
        walks.append({**_name(score), "walks": some, "count": len(made)})
        maps |= {name: _reporter(score).page_map(known[name]) for name in dict.fromkeys(walk["map"] for walk in some)}
    return {"scores": [score for score in walks if score["count"]], "maps": maps}


def _table(benchmark: Benchmark, scores_found: list[Score]) -> dict:
    """Agents by metrics, fractions 0..1: ``{"benchmark", "columns", "groups", "rows"}``.

    Rows: ``{"agent", "reference", "values"}``. Columns and agents without a value are left out.
    """
    reporter = REPORTERS[benchmark.name]
    columns, rows = reporter.values([s for s in scores_found if s.answers and s.benchmark is benchmark])
    kept = [i for i in range(len(columns)) if any(values[i] is not None for values in rows.values())]
    filled = {agent: [values[i] for i in kept] for agent, values in rows.items()}
    columns = [columns[i] for i in kept]
    return {
        "benchmark": benchmark.title,
        "columns": columns,
        "groups": [[name, len(list(group))] for name, group in groupby(columns, key=lambda column: column["set"])],
        "rows": [
            {"agent": agent, "reference": agent in (*REFERENCES, "ceiling"), "values": values}
            for agent, values in filled.items()
            if any(value is not None for value in values)
        ],
        "headings": reporter.HEADINGS,
    }


def _lengths(scores_found: list[Score]) -> list[dict]:
    """One chart a set, one line an agent: success by path length, right answers by step, or the like."""
    charts: dict[tuple[str, str], list[dict]] = {}
    for score in scores_found:
        if drawn := _chart(score):
            title, x, points = drawn
            charts.setdefault((title, x), []).append({"agent": score.agent, "points": points})
    return [{"title": title, "x": x, "lines": lines} for (title, x), lines in sorted(charts.items(), reverse=True)]


def _chart(score: Score) -> tuple[str, str, list] | None:
    return _reporter(score).chart(score) if score.answers else None


def missing(scores_found: list[Score], trainings: list, unshown: list[str], others: list[str]) -> list[str]:
    """What a whole run would have and this one has not, each in a sentence with how to fix it."""
    sentences = []
    if not trainings:
        sentences.append("No training log (logging.jsonl) is here, so there are no learning curves.")
    if not scores_found:
        *scripts, last = dict.fromkeys(protocol.script for protocol in PROTOCOLS.values())
        sentences.append(f"No score is here: run {', '.join(scripts)} or {last}.")
    for score in scores_found:
        what = f"{score.agent}, {score.set} ({score.kind})"
        if not score.answers:
            sentences.append(f"{what}: started, no answer yet.")
        elif not score.finished:
            sentences.append(f"{what}: {len(score.answers)} answers so far, not finished; the same command goes on.")
    sentences += unshown
    sentences += (
        [f"Runs of another kind ({', '.join(others)}) lie here too; this page does not show them."] if others else []
    )
    return sentences + _missing_partners(scores_found)


def _missing_partners(scores_found: list[Score]) -> list[str]:
    """Sets that some agents were scored on and others not, and references that no score stands beside."""
    sentences, every = [], {(score.set, score.kind) for score in scores_found}
    agents = list(dict.fromkeys(score.agent for score in scores_found))
    for agent in agents:
        lacks = sorted(every - {(score.set, score.kind) for score in scores_found if score.agent == agent})
        if lacks and agent not in REFERENCES:
            sentences.append(f"{agent}: not scored on {', '.join(f'{name} ({kind})' for name, kind in lacks)}.")
    for benchmark in {score.benchmark.name: None for score in scores_found}:
        lacks = [name for name in REPORTERS[benchmark].PARTNERS if name not in agents]
        if lacks:
            sentences.append(f"No score of {', '.join(lacks)} to compare with: --engine {lacks[0]} needs no model.")
    return sentences


def _source(score: Score) -> dict:
    result = score.result
    return {**_name(score), "commit": result.get("commit"), "command": result.get("command")}
