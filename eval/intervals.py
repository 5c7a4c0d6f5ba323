"""95 % intervals of rates whose trials come in groups, such as the steps of a task or the attempts at it."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable

from data_engine import bootstrap


def interval(trials: Iterable[tuple[Hashable, float]]) -> tuple[float, float] | None:
    """(low, high) of the mean of ``trials`` (group, value 0..1), None without any.

    A bootstrap over groups, because trials of a group go together. Where all values are 0 or all are 1 it has no
    width; then Wilson's interval, one trial a group. A single group tells nothing of others: Wilson's, of its trials.
    """
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for group, value in trials:
        groups[group].append(value)
    if not groups:
        return None
    parts = [(sum(values), len(values)) for values in groups.values()]
    right, count = map(sum, zip(*parts, strict=True))
    if right in (0, count):
        return wilson(len(groups) if right else 0, len(groups))
    found = bootstrap.interval(parts)
    return tuple(found) if found else wilson(right, count)


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of independent trials."""
    p, n = right / count, count
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))
