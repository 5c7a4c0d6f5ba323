"""How sure a rate is: percentile bootstrap over tasks, because the steps and attempts of one task go together."""

from collections.abc import Iterable

import numpy as np

from .seeds import rng

DRAWS = 1000
LEVEL = 0.95


def interval(parts: Iterable[tuple[float, float]]) -> list[float] | None:
    """[low, high] at 95 % of sum(numerators) / sum(denominators); ``parts`` has one (numerator, denominator) a task.

    Tasks are drawn with replacement, 1,000 times, always with the same draws, so that equal results have equal
    intervals. None for fewer than two tasks. Tasks whose outcomes are all the same give an interval without width:
    nothing in them tells of rarer outcomes (for 0 of n read 3 / n as the upper end).
    """
    table = np.array(list(parts), float).reshape(-1, 2)
    if len(table) < 2:
        return None
    drawn = table[rng(0, "bootstrap", len(table)).integers(0, len(table), (DRAWS, len(table)))].sum(1)
    rates = drawn[drawn[:, 1] > 0]
    low, high = np.quantile(rates[:, 0] / rates[:, 1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
