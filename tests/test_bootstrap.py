"""Intervals worked by hand, and against the exact binomial."""

import pytest

from data_engine.bootstrap import interval


def test_two_tasks_can_be_anything():
    # draws of two: both the miss, one of each, both the hit, with chances 1/4, 1/2, 1/4: more than 2.5 % at each end
    assert interval([(0, 1), (1, 1)]) == [0.0, 1.0]


def test_a_ratio_of_sums_not_a_mean_of_ratios():
    # draws: 4 of 4; 0 of 1; 4 of 5 in half of all. Twenty tasks of each kind: the middle is 80 of 100, not a half
    low, high = interval([(4, 4), (0, 1)] * 20)
    assert low < 0.8 < high and low > 0.6


@pytest.mark.parametrize("hits, low, high", [(30, 0.21, 0.39), (50, 0.40, 0.60), (5, 0.01, 0.10)])
def test_like_the_binomial(hits, low, high):
    # 2.5 % and 97.5 % points of hits out of 100 draws, from the binomial's table
    assert interval([(1, 1)] * hits + [(0, 1)] * (100 - hits)) == pytest.approx([low, high], abs=0.0101)


def test_attempts_of_one_task_are_no_new_evidence():
    assert interval([(5, 5)] * 30 + [(0, 5)] * 70) == interval([(1, 1)] * 30 + [(0, 1)] * 70)


def test_no_width_without_difference():
    assert interval([(2, 5)] * 10) == [0.4, 0.4]


def test_too_few_tasks():
    assert interval([]) is None and interval([(1, 1)]) is None


def test_a_task_without_rows_counts_for_nothing():
    assert interval([(0, 0), (1, 1), (1, 1), (1, 1)]) == [1.0, 1.0]
