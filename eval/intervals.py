"""95 % intervals of rates whose trials come in groups, such as the steps of a task or the attempts at it."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable

import numpy as np

from data_engine.seeds import rng

RESAMPLES = 1000
Z = 1.959964  # of the normal distribution, two-sided 95 %


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
        return wilson(mean, len(groups))
    drawn = rng(0, "bootstrap").multinomial(len(groups), np.full(len(groups), 1 / len(groups)), RESAMPLES)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.percentile(means, (2.5, 97.5)).tolist()
    return low, high


def wilson(mean: float, trials: int) -> tuple[float, float]:
    """Wilson's score interval of a rate of independent trials."""
    centre = mean + Z**2 / (2 * trials)
    half = Z * math.sqrt(mean * (1 - mean) / trials + Z**2 / (4 * trials**2))
    scale = 1 + Z**2 / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
