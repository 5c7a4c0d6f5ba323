"""95 % intervals of rates whose trials come in groups, such as the steps of a task or the attempts at it."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable

import numpy as np

from data_engine.seeds import rng

RESAMPLES = 1000


def interval(trials: Iterable[tuple[Hashable, float]]) -> tuple[float, float] | None:
    """(low, high) of the mean of ``trials`` (group, value 0..1), None without any.

    Percentiles of a bootstrap that draws groups, not trials, because trials of a group go together. Where all values
    are 0 or all are 1 it has no width; then Wilson's interval, one trial a group. Equal trials, equal interval.
    """
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for group, value in trials:
        groups[group].append(value)
    if not groups:
        return None
    sums = np.array([sum(values) for values in groups.values()], float)
    counts = np.array([len(values) for values in groups.values()], float)
    mean = sums.sum() / counts.sum()
    if mean in (0.0, 1.0):
        return wilson(int(mean) * len(groups), len(groups))
    drawn = rng(0, "bootstrap").multinomial(len(groups), np.full(len(groups), 1 / len(groups)), RESAMPLES)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.percentile(means, (2.5, 97.5)).tolist()
    return low, high


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of independent trials."""
    p, n = right / count, count
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))
