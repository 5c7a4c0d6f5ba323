"""Means, counts, and 95 % intervals of rates whose trials come in groups: one rule, for every score and page.

What was drawn independently is the group: a task with its steps or attempts, an episode, a question. Its trials go
together, so a group counts once, however many trials it has.

1. Groups of equal size that are each all right or all wrong are single trials: Wilson's interval, which keeps its level
   near 0 and 1 (Wilson, JASA 22, 1927). A bootstrap of 97 right episodes of 100 would end at 100.
2. Otherwise a percentile bootstrap over groups, 1,000 draws, always the same ones, so that equal results have equal
   intervals.
3. Where that has no width (all groups alike, or one group) it tells nothing of rarer outcomes: Wilson's, one trial a
   group.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

import numpy as np

from .seeds import rng

DRAWS = 1000
LEVEL = 0.95
Z = 1.96  # of the normal distribution, for LEVEL
Part = tuple[float, float]  # of a group: sum of its values, number of its trials


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are not None; None without one."""
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def counts(values: Iterable[str | None]) -> dict[str, int]:
    """How often each text occurs, in the order of the texts; None and empty texts do not count."""
    return dict(sorted(Counter(filter(None, values)).items()))


def by_group(trials: Iterable[tuple[Hashable, float]]) -> list[Part]:
    """The parts of (group, value) trials."""
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for group, value in trials:
        groups[group].append(value)
    return [(sum(values), len(values)) for values in groups.values()]


def interval(parts: Iterable[Part]) -> list[float] | None:
    """[low, high] of a rate, sum of values / number of trials; None without a trial."""
    parts = [(float(value), count) for value, count in parts if count]
    if not parts:
        return None
    rate = sum(value for value, _ in parts) / sum(count for _, count in parts)
    if len({count for _, count in parts}) == 1 and all(value in (0, count) for value, count in parts):
        return wilson(rate, len(parts))
    low, high = bootstrap(parts)
    return [low, high] if low < high or rate > 1 else wilson(rate, len(parts))  # above 1: a mean error, no share


def wilson(rate: float, count: int) -> list[float]:
    """Wilson's interval of a rate over ``count`` independent trials."""
    middle = (rate + Z * Z / (2 * count)) / (1 + Z * Z / count)
    half = Z / (1 + Z * Z / count) * math.sqrt(rate * (1 - rate) / count + Z * Z / (4 * count * count))
    return [max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half))]


def bootstrap(parts: Iterable[Part]) -> list[float]:
    """[low, high] of sum / number, groups drawn with replacement; values of any size, one group or more."""
    table = np.array(list(parts), float).reshape(-1, 2)
    drawn = table[rng(0, "bootstrap", len(table)).integers(0, len(table), (DRAWS, len(table)))].sum(1)
    rates = drawn[drawn[:, 1] > 0]
    low, high = np.quantile(rates[:, 0] / rates[:, 1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
