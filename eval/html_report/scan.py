"""What lies in a run directory: scores, training logs, rows and worlds, found by their records, wherever they lie."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec
from results import SHAPES, Run, read_score
from results import Score as Scored

from data_engine.dataset import MANIFEST, DataError, read_manifest
from data_engine.foreign import check, placed, read_growing, read_object
from data_engine.gelab import metrics as gelab
from data_engine.gelab.world import KIND as WORLD_KIND
from data_engine.gelab.world import World
from data_engine.gelab.write import KIND as GELAB_ROWS
from data_engine.login import metrics as login
from data_engine.login.write import KIND as LOGIN_ROWS

ANSWERS = {  # kind of a score -> the file with its answers, what reads a line of it
    "gelab-static": ("predictions.jsonl", gelab.answered),
    "gelab-interactive": ("trajectories.jsonl", gelab.read_trajectory),
    "login-steps": ("predictions.jsonl", login.answered),
    "login-closed-loop": ("trajectories.jsonl", login.read_trajectory),
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
        """The lines that are whole. Raises DataError at a broken one before the last."""
        name, read = ANSWERS[self.kind]
        return read_growing(self.folder / name, read)

    def read(self, read: Callable[[dict], dict]) -> list[dict]:
        """The answers, as ``read`` gives them. Raises DataError."""
        path = self.folder / ANSWERS[self.kind][0]
        return [placed(f"{path}:{number}", read, row) for number, row in enumerate(self.answers, 1)]

    @cached_property
    def result(self) -> dict:
        """metrics.json; empty while the evaluation runs. Raises DataError."""
        return read_score(self.folder / "metrics.json", SHAPES.get(self.kind, Scored)) if self.finished else {}


LEFT_OUT = "Left out: "


@dataclass
class LeftOut:
    """The parts of a run that cannot be read, each in a sentence that names it."""

    sentences: list[str] = field(default_factory=list)

    @contextmanager
    def part(self, name: str = "") -> Iterator[None]:
        """A part ends at its first DataError or OSError, and is noted; all others go on."""
        try:
            yield
        except (DataError, OSError) as error:
            self.sentences.append(f"{LEFT_OUT}{name}{error}.")


def scores(run: Path, left: LeftOut) -> list[Score]:
    """Every score below ``run`` that can be read, by agent in the order of AGENTS, then by kind and set."""
    found = []
    for path, record in _records(run, left):
        with left.part():
            if record["kind"] in ANSWERS:
                found.append(_score(run, path, record))
    return sorted(found, key=lambda s: (_place(s.agent), s.agent, ORDER.index(s.kind), s.set != "held out", s.set))


def _place(name: str) -> int:
    """Where an agent or stage stands in AGENTS; unknown ones come last."""
    return AGENTS.index(name) if name in AGENTS else len(AGENTS)


def other_kinds(run: Path) -> list[str]:
    """Kinds of runs below ``run`` that a report does not show."""
    return sorted({record["kind"] for _, record in _records(run, LeftOut())} - ANSWERS.keys())


class Record(msgspec.Struct):
    """A run.json, of whatever kind."""

    kind: str


def _records(run: Path, left: LeftOut) -> Iterator[tuple[Path, dict]]:
    """(folder, run.json) of every run below a folder."""
    records = []
    for path in sorted(run.rglob("run.json")):
        with left.part():
            mend = "this is no record of a run, remove it or give another RUN_DIR"
            records.append((path.parent, read_object(path, Record, mend)))
    yield from records


def _score(root: Path, folder: Path, run: dict) -> Score:
    """Raises DataError where its record, metrics or answers cannot be read."""
    check(run, Run, folder / "run.json", "remove the folder and run the evaluation again")
    score = Score(folder, run, agent_of(folder.relative_to(root), run), (folder / "metrics.json").is_file())
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
    found = [(path.parent.relative_to(run).as_posix(), path) for path in run.rglob("logging.jsonl")]
    return sorted(found, key=lambda item: (_place(item[0].partition("/")[0]), item[0]))


class Library:
    """Worlds and rows below some folders, by the fingerprint that scores carry."""

    def __init__(self, folders: list[Path], left: LeftOut):
        self._worlds: dict[str, Path] = {}
        self._rows: dict[tuple[str, str], tuple[Path, dict]] = {}
        self._open: dict[str, World] = {}
        for path, manifest in (item for folder in folders for item in _manifests(folder, left)):
            if manifest["kind"] == WORLD_KIND:
                self._worlds.setdefault(manifest["fingerprint"], path.parent)
                continue
            for name, digest in manifest["files"].items():
                if name.endswith(".jsonl"):
                    self._rows.setdefault((name, digest), (path.parent, manifest))

    def world(self, score: Score) -> World | None:
        """The world that a score was made in."""
        fingerprint = score.run["data"].get("fingerprint")
        if fingerprint not in self._open and fingerprint in self._worlds:
            self._open[fingerprint] = World(self._worlds[fingerprint])
        return self._open.get(fingerprint)

    def rows(self, score: Score) -> tuple[Path, dict] | None:
        """(folder, manifest) of the very data file that a score names, by its hash."""
        return self._rows.get((score.run["data"]["name"], score.run["data"].get("sha256")))


def _manifests(folder: Path, left: LeftOut) -> Iterator[tuple[Path, dict]]:
    """Manifests of worlds and rows; those of other programs are passed over."""
    for path in sorted(folder.rglob(MANIFEST)):
        try:
            kind = read_object(path, Record)["kind"]
        except DataError:
            continue  # ours are written whole
        if kind in (WORLD_KIND, GELAB_ROWS, LOGIN_ROWS):
            manifests = []
            with left.part():
                manifests.append((path, read_manifest(path.parent, kind)))
            yield from manifests
