"""What lies in a run directory: scores, training logs, rows and worlds, found by their records, wherever they lie."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from data_engine.dataset import MANIFEST, DataError, read_json
from data_engine.gelab.world import KIND as WORLD_KIND
from data_engine.gelab.world import World
from data_engine.gelab.write import KIND as GELAB_ROWS
from data_engine.login.write import KIND as LOGIN_ROWS

ANSWERS = {  # kind of a score -> the file with its answers
    "gelab-static": "predictions.jsonl",
    "gelab-interactive": "trajectories.jsonl",
    "login-steps": "predictions.jsonl",
    "login-closed-loop": "trajectories.jsonl",
}
ORDER = ("gelab-interactive", "login-closed-loop", "login-steps", "gelab-static")  # what to look at first
SETS = {"id": "held in", "ood": "held out"}  # end of a data file's name -> what it is called
REFERENCES = ("oracle", "random", "blind", "text_only")
AGENTS = (*REFERENCES, "base", "qwen_base", "sft", "qwen_ft", "st_rl", "mt_rl")  # reference policies, then the stages


@dataclass(frozen=True)
class Score:
    """One folder that an evaluation wrote: who was asked, on which set, and every whole answer so far."""

    folder: Path
    run: dict
    agent: str
    finished: bool

    @property
    def kind(self) -> str:
        return self.run["kind"]

    @property
    def benchmark(self) -> str:
        return self.kind.partition("-")[0]

    @property
    def set(self) -> str:
        """``held in``, ``held out``, or the name of the data file; of forms: how they were asked."""
        if self.benchmark == "login":
            return "closed loop" if self.kind == "login-closed-loop" else "step by step"
        stem = Path(self.run["data"]["name"]).stem
        return SETS.get(stem.rpartition("_")[2], stem)

    @cached_property
    def answers(self) -> list[dict]:
        """The lines that are whole; raises DataError at a broken one before the last."""
        return whole_lines(self.folder / ANSWERS[self.kind])

    @cached_property
    def result(self) -> dict:
        """metrics.json; empty while the evaluation runs."""
        return read_json(self.folder / "metrics.json") if self.finished else {}


def whole_lines(path: Path) -> list[dict]:
    """Rows of a file that may still be written: what follows the last line end is left out."""
    if not path.is_file():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    try:
        return [msgspec.json.decode(line, type=dict) for line in lines if line.strip()]
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: broken line ({error}); remove the file and run the evaluation again") from None


def scores(run: Path) -> list[Score]:
    """Every score below ``run``, by agent in the order of AGENTS, then by kind and set."""
    found = [_score(run, path, record) for path, record in _records(run) if record["kind"] in ANSWERS]
    return sorted(found, key=lambda s: (_place(s.agent), s.agent, ORDER.index(s.kind), s.set != "held out", s.set))


def _place(name: str) -> int:
    """Where an agent or stage stands in AGENTS; unknown ones come last."""
    return AGENTS.index(name) if name in AGENTS else len(AGENTS)


def other_kinds(run: Path) -> list[str]:
    """Kinds of runs below ``run`` that a report does not show."""
    return sorted({record["kind"] for _, record in _records(run)} - ANSWERS.keys())


def _records(run: Path) -> Iterator[tuple[Path, dict]]:
    """(folder, run.json) of every run below a folder."""
    for path in sorted(run.rglob("run.json")):
        record = read_json(path)
        if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
            raise DataError(f"{path}: no record of a run; remove it or give another RUN_DIR")
        yield path.parent, record


def _score(root: Path, folder: Path, run: dict) -> Score:
    return Score(folder, run, agent_of(folder.relative_to(root), run), (folder / "metrics.json").is_file())


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
    found = [(path.parent.relative_to(run).as_posix(), path) for path in run.rglob("logging.jsonl")]
    return sorted(found, key=lambda item: (_place(item[0].partition("/")[0]), item[0]))


class Library:
    """Worlds and rows below some folders, by the fingerprint that scores carry."""

    def __init__(self, folders: list[Path]):
        self._worlds: dict[str, Path] = {}
        self._rows: dict[tuple[str, str], tuple[Path, dict]] = {}
        self._open: dict[str, World] = {}
        for path, manifest in (item for folder in folders for item in _manifests(folder)):
            if manifest["kind"] == WORLD_KIND:
                self._worlds.setdefault(manifest["fingerprint"], path.parent)
            for name, digest in manifest["files"].items():
                if manifest["kind"] in (GELAB_ROWS, LOGIN_ROWS) and name.endswith(".jsonl"):
                    self._rows.setdefault((name, digest), (path.parent, manifest))

    def world(self, score: Score) -> World | None:
        """The world that a score was made in."""
        fingerprint = score.run["data"]["fingerprint"]
        if fingerprint not in self._open and fingerprint in self._worlds:
            self._open[fingerprint] = World(self._worlds[fingerprint])
        return self._open.get(fingerprint)

    def rows(self, score: Score) -> tuple[Path, dict] | None:
        """(folder, manifest) of the very data file that a score names, by its hash."""
        return self._rows.get((score.run["data"]["name"], score.run["data"]["sha256"]))


def _manifests(folder: Path) -> Iterator[tuple[Path, dict]]:
    for path in sorted(folder.rglob(MANIFEST)):
        try:
            manifest = read_json(path)
        except DataError:
            continue  # another program's; ours are written whole
        if isinstance(manifest, dict) and {"kind", "fingerprint", "files"} <= manifest.keys():
            yield path, manifest


def log_rows(path: Path) -> list[dict]:
    """The rows of an ms-swift log that stand for a step, by step; the last of a step counts, as after a resumed run.

    Python's JSON reader, because diverged runs log NaN. Raises DataError at a broken line before the last.
    """
    *lines, _ = path.read_bytes().split(b"\n")
    by_step: dict[int, dict] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if line.strip() else {}
        except ValueError:
            raise DataError(f"{path}:{number}: not JSON; remove the line") from None
        if isinstance(row, dict) and "global_step/max_steps" in row and "train_runtime" not in row:
            step = int(str(row["global_step/max_steps"]).partition("/")[0])
            by_step[step] = by_step.get(step, {}) | row
    return [{**by_step[step], "step": step} for step in sorted(by_step)]
