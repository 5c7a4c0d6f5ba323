"""A rows folder: manifest, hashes, counts, and every row of every file. A world folder: the world alone.

Folders of many worlds, and of rows over many worlds: many.py.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from ...dataset import MANIFEST, DataError
from ...faults import UNREADABLE, Report, Step, check_files
from ...shapes import retired
from ..graph import PageGraph, WorldError
from ..placements import SPLITS, names, shared_places, split_counts
from ..rows import ICON_COPIES
from ..tasks import subtree_pages
from ..world import KIND as WORLD_KIND
from ..write import EDGE_ROWS, recovery_rows
from ..write import KIND as ROWS_KIND
from .faults import Fault
from .files import Arguments, RowsManifest, load_manifest, stale
from .lines import RowLines
from .many import MANY_KINDS, check_many
from .pages import ProvenWorld, check_world
from .rows import RowChecker
from .text import EpisodeRow, StepRow, TaskRow

FILES = {
    "sft.jsonl": StepRow,
    "st_rl.jsonl": StepRow,
    "mt_rl.jsonl": EpisodeRow,
    "eval_id.jsonl": StepRow,
    "eval_ood.jsonl": StepRow,
    "tasks_id.jsonl": TaskRow,
    "tasks_ood.jsonl": TaskRow,
}
EVAL = {name for name in FILES if name.startswith(("eval_", "tasks_"))}
RL = {"st_rl.jsonl", "mt_rl.jsonl"}  # the gold does not stand in the messages


def verify(
    folder: Path,
    limit: int | None = None,
    done: Callable[[str, int], None] = lambda name, rows: None,
    step: Step = lambda: None,
) -> Report:
    """Prove a folder of rows (``limit``: the first of each file) or of worlds; calls ``done`` after each file.

    Raises DataError in one line if the folder is neither.
    """
    report = Report()
    kind = _kind(folder)
    if kind in MANY_KINDS:
        return check_many(folder, kind, limit, done, step)
    below = "world/" if kind == ROWS_KIND else ""
    world = check_world(folder / below, below, step)
    report.faults += world.faults
    if world.graph:
        report.checked[below + "pages"] = len(world.graph.pages)
        done(below + "pages", len(world.graph.pages))
    if kind == ROWS_KIND:
        _check_rows(folder, world, limit, report, done, step)
    report.faults = list(dict.fromkeys(report.faults))  # a page's hash stands in two manifests
    return report


def _kind(folder: Path) -> str:
    """What a folder says it is; a manifest that says nothing is a fault to find later, not wrong use."""
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder}: no {MANIFEST}; give a folder that data_engine.gelab.write or .build wrote")
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
        kind, fault = manifest["kind"], retired(manifest)
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return ROWS_KIND if (folder / "world").is_dir() else WORLD_KIND
    if fault:
        raise DataError(f"{folder / MANIFEST}: {fault}; make the folder again")
    if kind not in (ROWS_KIND, WORLD_KIND, *MANY_KINDS):
        raise DataError(f"{folder}: holds {kind!r}; give {', '.join((ROWS_KIND, WORLD_KIND, *MANY_KINDS))}")
    return kind


def _check_rows(
    folder: Path, world: ProvenWorld, limit: int | None, report: Report, done: Callable, step: Step
) -> None:
    manifest = load_manifest(folder, RowsManifest)
    if isinstance(manifest, Fault):
        report.faults.append(manifest)
        return
    own = frozenset(f"{below}/{MANIFEST}" for below in ("world", *manifest.placements))
    report.faults += check_files(folder, manifest.files, ignore=own, fault=Fault)
    report.faults += [Fault(MANIFEST, None, *fault) for fault in _manifest_faults(manifest, world)]
    if world.graph is None:
        report.faults.append(Fault("world", None, "broken world", "no row can be checked against it"))
        return
    try:
        plan = Plan(world.graph, manifest.arguments)
    except WorldError as error:
        report.faults.append(Fault(MANIFEST, None, "broken manifest", str(error)))
        return
    shown = {split: {"world": world.graph} for split in SPLITS}
    if manifest.arguments.protocol == "hard":
        shown, faults = _placements(folder, manifest, world, step)
        report.faults += faults
    for name in FILES:
        if (folder / name).is_file():
            graphs = shown["eval" if name in EVAL else "train"]
            if not graphs:
                report.faults.append(Fault(name, None, "other world", "none of its placements can be read"))
                continue
            file = RowFile(folder / name, graphs, manifest, plan, limit, step)
            report.faults += file.faults()
            report.checked[name] = file.checked
            done(name, file.checked)


def _placements(
    folder: Path, manifest: RowsManifest, world: ProvenWorld, step: Step
) -> tuple[dict[str, dict[str, PageGraph]], list[Fault]]:
    """(split -> path -> graph of each placement; what is wrong with them): worlds of the same pages, names and
    transitions, with no icon at one place in training and evaluation."""
    shown, faults = {split: {} for split in SPLITS}, []
    counts = split_counts(manifest.arguments.placements)
    for split in SPLITS:
        for below in names(split, counts[split]):
            made = check_world(folder / below, f"{below}/", step)
            faults += made.faults
            fault = partial(Fault, f"{below}/{MANIFEST}", None, "other world")
            if made.manifest and made.manifest.fingerprint != manifest.placements.get(below):
                faults.append(fault(f"is {made.manifest.fingerprint[:12]}, which the manifest above does not name"))
            elif made.graph and _links(made.graph) != _links(world.graph):
                faults.append(fault("has other pages, names or transitions than the world"))
            elif made.graph:
                shown[split][below] = made.graph
    graphs = {split: list(of_split.values()) for split, of_split in shown.items()}
    faults += [Fault("placements", None, "shared place", what) for what in shared_places(graphs)]
    return shown, faults


def _links(graph: PageGraph) -> dict[str, list[tuple[str, str | None]]]:
    """All of a graph but its places."""
    return {page.id: [(e.name, e.target) for e in page.elements] for page in graph.pages.values()}


def _manifest_faults(manifest: RowsManifest, world: ProvenWorld) -> Iterator[tuple[str, str]]:
    """The manifest fits the world beside it, this prompt builder, and the model's resize."""
    yield from stale(manifest)
    for name in FILES.keys() - (manifest.files.keys() & manifest.rows.keys()):
        yield "broken manifest", f"has no {name}"
    if world.manifest is None:
        return
    if {manifest.fingerprint, manifest.arguments.world} != {world.manifest.fingerprint}:
        there = world.manifest.fingerprint[:12]
        yield "other world", f"rows of world {manifest.fingerprint[:12]} lie with world {there}"
    if manifest.blank_of != world.manifest.blank_of:
        yield "other world", f"rows say blank_of {manifest.blank_of}, their world says {world.manifest.blank_of}"
    if manifest.page_size != world.manifest.page_size:
        yield "page size", f"rows are for {manifest.page_size}, the world has {world.manifest.page_size}"


class Plan:
    """Which rows each file must have, counted in the graph from the arguments alone."""

    def __init__(self, graph: PageGraph, arguments: Arguments):
        """Raises WorldError if a subtree does not exist."""
        sft = [set(subtree_pages(graph, root)) for root in arguments.sft_subtrees]
        st_rl, mt_rl, test = (
            [set(subtree_pages(graph, root))]
            for root in (arguments.st_rl_subtree, arguments.mt_rl_subtree, arguments.test_subtree)
        )
        trained = [set.union(*sft)] if arguments.scope == "union" else sft
        self.pages = {"sft.jsonl": trained, "st_rl.jsonl": st_rl, "mt_rl.jsonl": mt_rl}
        self.pages |= {"eval_id.jsonl": sft, "tasks_id.jsonl": sft, "eval_ood.jsonl": test, "tasks_ood.jsonl": test}
        self.steps = {name: _steps(graph, pages) for name, pages in self.pages.items() if FILES[name] is StepRow}
        tasks = {name: sum(len(p) * (len(p) - 1) for p in pages) for name, pages in self.pages.items()}
        trained = self.steps.keys() - EVAL
        edges = EDGE_ROWS[arguments.scope] * len(graph.edges)
        edges = edges // 2 if arguments.edges == "pairs" else edges  # clicks of edges in one pass
        self.steps |= {name: arguments.passes * self.steps[name] for name in trained}
        self.rows = tasks | self.steps
        self.rows["mt_rl.jsonl"] *= arguments.passes
        for name in trained:
            clicks = self.steps[name] - arguments.passes * tasks[name]
            clicks += arguments.passes * edges if name == "sft.jsonl" else 0
            self.rows[name] += recovery_rows(clicks, arguments.recovery)
        single = EDGE_ROWS[arguments.scope] * len(graph.edges) + 2 * ICON_COPIES * len(graph.places)
        single += arguments.page_questions * (2 * len(graph.pages) - 1)
        self.rows["sft.jsonl"] += arguments.passes * single


def _steps(graph: PageGraph, pages: list[set[str]]) -> int:
    """Rows of all tasks among some pages: one per click, and the final ``complete``."""
    return sum(graph.distances_to(b)[a] + 1 for some in pages for b in some for a in some if a != b)


class RowFile(RowLines):
    """One file of rows over one world."""

    def __init__(
        self,
        path: Path,
        graphs: dict[str, PageGraph],
        manifest: RowsManifest,
        plan: Plan,
        limit: int | None,
        step: Step,
    ):
        super().__init__(path, FILES[path.name], manifest, limit, step)
        self.plan, made = plan, manifest.arguments
        pages, rl = plan.pages[path.name], path.name in RL
        self.checker = RowChecker(
            graphs, made.clicks, pages, rl, made.explain, made.edges == "pairs", made.test_subtree
        )

    def faults(self) -> list[Fault]:
        faults = list(self.lines())
        return faults + list(self._counts(clean=not faults))

    def check(self, row: StepRow | EpisodeRow | TaskRow) -> Iterator[Fault]:
        return self.against(self.checker, row)

    def _counts(self, clean: bool) -> Iterator[Fault]:
        """Lines, manifest and plan agree; and where each row is right, no step of a task is lacking."""
        yield from self.counts(self.plan.rows[self.name], "the world gives")
        wanted, there = self.plan.steps.get(self.name), len(self.checker.steps)
        if wanted is not None and clean and self.whole and there != wanted:
            yield self.count(f"{there:,} steps of tasks, the world gives {wanted:,}")
