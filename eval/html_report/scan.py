"""What lies in a run directory: scores and training logs, found by their records, wherever they lie."""

from collections.abc import Iterator
from pathlib import Path

from results import Run

from data_engine.benchmarks import OF_RUNS, PROTOCOLS
from data_engine.foreign import check, read_object

from .library import Record
from .reporters import REPORTERS
from .score import AGENTS, ORDER, SETS, LeftOut, Score


def scores(run: Path, left: LeftOut) -> list[Score]:
    """Every score below ``run`` that can be read, by agent in the order of AGENTS, then by kind and set."""
    listed = []
    for path, record in _records(run, left):
        with left.part():
            if record["kind"] in PROTOCOLS:
                listed.append(_score(run, path, record))
    return sorted(listed, key=lambda s: (_place(s.agent), s.agent, ORDER.index(s.kind), s.set != "held out", s.set))


def _place(name: str) -> int:
    """Where an agent or stage stands in AGENTS; unknown ones come last."""
    return AGENTS.index(name) if name in AGENTS else len(AGENTS)


def other_kinds(run: Path) -> list[str]:
    """Kinds of runs below ``run`` that a report does not show."""
    return sorted({record["kind"] for _, record in _records(run, LeftOut())} - PROTOCOLS.keys())


def _records(run: Path, left: LeftOut) -> Iterator[tuple[Path, dict]]:
    """(folder, run.json) of every run below a folder."""
    records = []
    for path in sorted(run.rglob("run.json")):
        with left.part():
            fix = "this is no record of a run, remove it or give another RUN_DIR"
            records.append((path.parent, read_object(path, Record, fix)))
    yield from records


def _score(root: Path, folder: Path, run: dict) -> Score:
    """Raises DataError where its record, metrics or answers cannot be read."""
    check(run, Run, folder / "run.json", "remove the folder and run the evaluation again")
    shape = REPORTERS[OF_RUNS[run["kind"]].name].SHAPES[run["kind"]]
    finished = (folder / "metrics.json").is_file()
    score = Score(folder, run, agent_of(folder.relative_to(root), run), finished, shape)
    _ = score.result, score.answers
    return score


def agent_of(place: Path, run: dict) -> str:
    """Who was asked, from where the score lies: ``eval/sft/static_ood`` -> sft, ``runs/eval_qwen_ft`` -> qwen_ft."""
    asked = Path((run.get("model") or {}).get("name") or run["engine"]).name
    *parts, last = [part for part in place.parts if part not in ("eval", "runs")] or [asked]
    head, _, tail = last.rpartition("_")
    if head in ("static", "interactive", "steps") and tail in (*SETS, "loop"):
        last = ""
    name = "/".join([*parts, last.removeprefix("eval_").removesuffix("_closed_loop")]).strip("/")
    return name or asked


def logs(run: Path) -> list[tuple[str, Path]]:
    """(stage, logging.jsonl) of every training below ``run``, the stages in their order."""
    logs = [(path.parent.relative_to(run).as_posix(), path) for path in run.rglob("logging.jsonl")]
    return sorted(logs, key=lambda item: (_place(item[0].partition("/")[0]), item[0]))
