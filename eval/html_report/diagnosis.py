"""What all benchmarks share: one score as counts of failures, a table of actions, clicks, and some walks to look at."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from data_engine.failures import RIGHT, first_wrong, main_failure, shares

CLICKS = 1200  # drawn of a score; more are thinned evenly
TEXT = 2000  # characters of an answer that are shown


@dataclass(frozen=True, slots=True)
class Step:
    """One answer: its kind, what was due and done (words of the benchmark's table), and where it clicked.

    ``point`` and ``box`` (of the element that was due) are in 0..1000 of the page, None where there is none.
    """

    kind: str
    asked: str
    done: str
    point: Sequence[float] | None = None
    box: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """An episode: whether it succeeded, and whether its last answer ended it (``fatal``) or the steps ran out.

    ``order`` sorts walks; ``show`` gives what the viewer needs.
    """

    ok: bool
    fatal: bool
    steps: list[Step]
    order: tuple
    show: Callable[[], dict] = field(repr=False)

    @property
    def kinds(self) -> list[str]:
        return [step.kind for step in self.steps]

    @property
    def failure(self) -> str | None:
        return None if self.ok else main_failure(self.kinds, self.fatal)


def diagnosis(walks: Sequence[Walk], asked: Sequence[str], done: Sequence[str], whole: bool) -> dict:
    """The counts behind the charts of one score. ``whole``: walks fail, else single answers do (teacher-forced)."""
    steps = [step for walk in walks for step in walk.steps]
    kinds = [walk.failure for walk in walks if not walk.ok] if whole else [s.kind for s in steps if s.kind != RIGHT]
    firsts = [(at, walk.kinds[at]) for walk in walks if not walk.ok and (at := first_wrong(walk.kinds)) is not None]
    return {
        "unit": "walks" if whole else "answers",
        "count": len(walks) if whole else len(steps),
        "failures": shares(kinds),
        "first_steps": {str(at + 1): n for at, n in sorted(Counter(at for at, _ in firsts).items())},
        "first_kinds": shares(kind for _, kind in firsts),
        "actions": table(steps, asked, done),
        "clicks": clicks(steps),
    }


def table(steps: Sequence[Step], asked: Sequence[str], done: Sequence[str]) -> dict:
    """What was done where something was due: counts, and how many of them were right; nothing empty."""
    counts = Counter((step.asked, step.done) for step in steps)
    right = Counter((step.asked, step.done) for step in steps if step.kind == RIGHT)
    rows = [row for row in asked if any(counts[row, column] for column in done)]
    columns = [column for column in done if any(counts[row, column] for row in asked)]
    return {
        "rows": rows,
        "columns": columns,
        "counts": [[counts[row, column] for column in columns] for row in rows],
        "right": [[right[row, column] for column in columns] for row in rows],
    }


def clicks(steps: Sequence[Step]) -> dict:
    """Where clicks land: on the page (0..1000), and from the middle of the due element, in half sides of it."""
    clicked = [step for step in steps if step.point is not None]
    inside = [step for step in clicked if all(0 <= value <= 1000 for value in step.point)]
    aimed = [step for step in inside if step.box]
    return {
        "count": len(clicked),
        "outside": len(clicked) - len(inside),
        "page": [[*(round(value) for value in step.point), step.kind] for step in evenly(inside, CLICKS)],
        "aim": [[*offset(step.point, step.box), step.kind] for step in evenly(aimed, CLICKS)],
    }


def offset(point: Sequence[float], box: Sequence[float]) -> tuple[float, float]:
    """From the middle of a box in half sides: within -1..1 on both axes is inside."""
    x1, y1, x2, y2 = box
    return tuple(
        round((2 * value - low - high) / max(high - low, 1e-9), 2)
        for value, low, high in ((point[0], x1, x2), (point[1], y1, y2))
    )


def evenly(items: Sequence, most: int) -> Sequence:
    """At most ``most`` of the items, spread evenly over them."""
    if len(items) <= most:
        return items
    return [items[i * len(items) // most] for i in range(most)]


def picked(walks: Sequence[Walk], most: int) -> list[Walk]:
    """At most ``most`` walks, in turn one of each outcome; failures come first, and of each the first by order."""
    groups: dict[str, list[Walk]] = {}
    for walk in sorted(walks, key=lambda walk: walk.order):
        groups.setdefault(walk.failure or "", []).append(walk)
    queues = [groups[name] for name in sorted(groups, key=lambda name: (not name, -len(groups[name])))]
    return [walk for walk, _ in zip(_in_turn(queues), range(most), strict=False)]


def _in_turn(queues: Sequence[Sequence]) -> Iterator:
    for i in range(max(map(len, queues), default=0)):
        yield from (queue[i] for queue in queues if i < len(queue))


def shown(walks: Sequence[Walk], most: int) -> list[dict]:
    """The picked walks as the viewer needs them, in the order of the walks."""
    some = sorted(picked(walks, most), key=lambda walk: walk.order)
    return [{"ok": walk.ok, "fatal": walk.fatal, "failure": walk.failure, **walk.show()} for walk in some]


def cut(text: str) -> str:
    """An answer as it is shown; a long one ends with how much is left out."""
    return text if len(text) <= TEXT else f"{text[:TEXT]} … and {len(text) - TEXT:,} more characters"
