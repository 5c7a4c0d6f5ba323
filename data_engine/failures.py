"""What can be wrong with an answer, each kind defined once; the benchmarks say which one an answer is.

An answer has one kind. A failed episode has one too (``main_failure``): that of the answer that ended it, or, where
the steps ran out, that of most of its wrong answers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

RIGHT = "right"
PARSE, MISSED, WRONG, LOOP = "parse failure", "missed click", "wrong element", "loop"
EARLY, LATE = "premature complete", "late complete"
NAME, ACTION, TEXT = "wrong name", "wrong action", "wrong text"
STEPS = "out of steps"

KINDS = {
    PARSE: "the answer cannot be read as one action",
    MISSED: "a click where there is nothing",
    WRONG: "a click on something else than what leads on",
    LOOP: "a wrong step done before in the same place: one element of one page, one action on one state of a form",
    EARLY: "the claim that the goal is reached (complete, DONE) where it is not",
    LATE: "anything but that claim where the goal is reached",
    NAME: "the right element is hit and another one named; counts in teacher-forced rows only",
    ACTION: "another action than is due, such as typing where a click is due; of forms only",
    TEXT: "another text than the goal states; of forms only",
    STEPS: "no answer was wrong, but the steps ran out; of episodes only",
}


def main_failure(kinds: Sequence[str], fatal: bool) -> str:
    """The kind of a failed episode, from those of its answers.

    ``fatal``: the last answer ended it, and gives the kind. Else the steps ran out: the kind of most wrong answers, the
    earliest of equals; STEPS if none is wrong.
    """
    if fatal:
        return kinds[-1]
    wrong = Counter(kind for kind in kinds if kind != RIGHT)
    return max(wrong, key=wrong.__getitem__) if wrong else STEPS  # a Counter keeps the order of first occurrence


def first_wrong(kinds: Sequence[str]) -> int | None:
    """Position, from 0, of the first wrong answer of an episode; None if all are right."""
    return next((i for i, kind in enumerate(kinds) if kind != RIGHT), None)


def shares(kinds: Iterable[str]) -> dict[str, int]:
    """How often each kind occurs, the most frequent first and equals in the order of KINDS."""
    counts = Counter(kinds)
    order = [RIGHT, *KINDS]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], order.index(item[0]))))
