"""Intervals worked by hand, and against the exact binomial. z = 1.96, z * z = 3.8416 throughout."""

import pytest

from data_engine.intervals import bootstrap, by_group, interval, wilson


def test_trials_by_their_groups():
    assert by_group([("a", 1.0), ("b", 0.0), ("a", 0.0)]) == [(1.0, 2), (0.0, 1)]


# 1. Single trials: Wilson


def test_wilson_by_hand():
    """8 of 10: (0.8 + 0.19208) / 1.38416 = 0.71674 +- 0.22665. All right: the lower end is n / (n + z * z)."""
    assert wilson(0.8, 10) == pytest.approx((0.4901, 0.9434), abs=1e-4)
    assert wilson(1, 10) == [pytest.approx(0.7225, abs=1e-4), 1.0] and wilson(0, 10)[0] == 0.0


@pytest.mark.parametrize("right, low, high", [(92, 0.850, 0.959), (97, 0.9155, 0.990), (50, 0.404, 0.596)])
def test_shares_of_a_hundred_episodes(right, low, high):
    assert interval([(1, 1)] * right + [(0, 1)] * (100 - right)) == pytest.approx([low, high], abs=5e-4)


def test_two_tasks():
    """0.5 +- 1.96 / 2.9208 * sqrt(0.125 + 0.2401)."""
    assert interval([(0, 1), (1, 1)]) == pytest.approx([0.0945, 0.9055], abs=1e-4)


def test_attempts_of_one_task_are_no_new_evidence():
    assert interval([(5, 5)] * 30 + [(0, 5)] * 70) == interval([(1, 1)] * 30 + [(0, 1)] * 70)


@pytest.mark.parametrize("value, ends", [(1.0, (0.7225, 1.0)), (0.0, (0.0, 0.2775))])
def test_nothing_wrong_in_a_few_is_no_certainty(value, ends):
    """10 of 10: 10 / 13.8416; also where the ten have different numbers of trials: a bootstrap makes nothing of it."""
    assert interval([(value, 1)] * 10) == pytest.approx(ends, abs=1e-4)
    assert interval([(value * n, n) for n in range(1, 11)]) == pytest.approx(ends, abs=1e-4)


# 2. Groups: the bootstrap


def test_a_ratio_of_sums_not_a_mean_of_ratios():
    # draws: 4 of 4; 0 of 1; 4 of 5 in half of all. Twenty tasks of each kind: the middle is 80 of 100, not a half
    low, high = interval([(4, 4), (0, 1)] * 20)
    assert low < 0.8 < high and low > 0.6


@pytest.mark.parametrize("hits, low, high", [(30, 0.21, 0.39), (50, 0.40, 0.60), (5, 0.01, 0.10)])
def test_like_the_binomial(hits, low, high):
    # 2.5 % and 97.5 % points of hits out of 100 draws, from the binomial's table
    assert bootstrap([(1, 1)] * hits + [(0, 1)] * (100 - hits)) == pytest.approx([low, high], abs=0.0101)


def test_a_group_counts_once():
    """Ten groups of ten trials, five of them all right but for one: nearer to ten trials than to a hundred."""
    parts = [(9, 10)] * 5 + [(0, 10)] * 5
    assert interval(parts) == pytest.approx(bootstrap([(0.9, 1)] * 5 + [(0, 1)] * 5))
    assert interval(parts) == pytest.approx([0.18, 0.72])  # 2 and 8 of ten draws, the binomial's 2.5 and 97.5 %


def test_two_groups_can_be_anything():
    # draws of two: both the first, one of each, both the second: 1/4, 1/2, 1/4, so more than 2.5 % at each end
    assert bootstrap([(0, 1), (1, 1)]) == [0.0, 1.0] and interval([(1, 5), (5, 5)]) == pytest.approx([0.2, 1.0])


# 3. No width: Wilson, one trial a group


def test_groups_that_are_alike_are_no_certainty():
    """0.4 of ten groups: (0.4 + 0.19208) / 1.38416 = 0.42775 +- 1.41602 * sqrt(0.024 + 0.009604)."""
    assert bootstrap([(2, 5)] * 10) == [0.4, 0.4]
    assert interval([(2, 5)] * 10) == pytest.approx([0.1682, 0.6873], abs=1e-4)


def test_one_group():
    """1 of 1: 1 / 4.8416. 0.6 of one: (0.6 + 1.9208) / 4.8416 = 0.52065 +- 0.40483 * sqrt(0.24 + 0.9604)."""
    assert interval([(1, 1)]) == [pytest.approx(0.2065, abs=1e-4), 1.0]
    assert interval([(3, 5)]) == pytest.approx([0.0771, 0.9642], abs=1e-4)


def test_a_mean_error_above_one_is_no_share():
    assert interval([(1.2, 1)] * 3) == [pytest.approx(1.2), pytest.approx(1.2)]


def test_nothing():
    assert interval([]) is None and interval([(0, 0)]) is None
    assert interval([(0, 0), (1, 1), (1, 1), (1, 1)]) == interval([(1, 1)] * 3)  # one without rows is none
