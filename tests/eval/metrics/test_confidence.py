from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.confidence import (
    difference_interval,
    mean_interval,
    paired_ratio_interval,
    ratio_interval,
)

BEFORE, AFTER = [0.72, 0.69, 0.75, 0.70, 0.71], [0.78, 0.73, 0.80, 0.77, 0.74]


def test_the_mean_of_a_few_values_is_that_of_the_t_table() -> None:
    actual = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    reach = 2.776445 * np.sqrt(2.5 / 5)  # t of 4 degrees at 97.5 %
    assert (actual.value, actual.n) == (3.0, 5)
    assert (actual.low, actual.high) == pytest.approx((3 - reach, 3 + reach), abs=1e-6)


def test_the_difference_is_scipys_paired_t_test() -> None:
    actual = difference_interval(BEFORE, AFTER)
    expected = stats.ttest_rel(AFTER, BEFORE).confidence_interval(0.95)
    assert (actual.low, actual.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert actual.value == pytest.approx(np.mean(AFTER) - np.mean(BEFORE), rel=1e-12)


def test_the_ratio_is_a_paired_t_test_of_the_logarithms() -> None:
    actual = ratio_interval(BEFORE, AFTER)
    expected = stats.ttest_rel(np.log(AFTER), np.log(BEFORE)).confidence_interval(0.95)
    assert (actual.low, actual.high) == pytest.approx((np.exp(expected.low), np.exp(expected.high)), rel=1e-9)
    assert actual.value == pytest.approx(stats.gmean(np.divide(AFTER, BEFORE)), rel=1e-12)
    back = ratio_interval(AFTER, BEFORE)
    assert (back.value, back.low, back.high) == pytest.approx((1 / actual.value, 1 / actual.high, 1 / actual.low))


def test_pairs_that_all_change_alike_leave_no_doubt_however_the_seeds_differ() -> None:
    actual = ratio_interval([1.0, 10.0, 100.0], [2.0, 20.0, 200.0])
    assert (actual.value, actual.low, actual.high) == pytest.approx((2.0, 2.0, 2.0))


def test_19_of_20_intervals_hold_the_truth() -> None:
    draws = np.random.default_rng(0).normal(3.0, 1.0, (1000, 5))
    held = np.mean([(actual := mean_interval(list(row))).low < 3.0 < actual.high for row in draws])
    assert 0.93 < held < 0.97


def test_one_value_other_lengths_and_ratios_of_nothing_are_refused() -> None:
    assert mean_interval([1.0, 2.0]).n == 2
    for values in ([], [1.0], [1.0, float("nan")]):
        with pytest.raises(InputError, match="interval: expected 2 or more finite values, got"):
            mean_interval(values)
    with pytest.raises(InputError, match="pairs: expected as many values before as after, got 2 and 3"):
        difference_interval([1.0, 2.0], [1.0, 2.0, 3.0])
    for pair in (([1.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, 0.0])):
        with pytest.raises(InputError, match="ratio: expected values above 0, got 0"):
            ratio_interval(*pair)


def test_a_pair_on_the_same_samples_has_the_interval_of_a_linear_statistic() -> None:
    """For means of samples the influences are the samples less their mean, and the rest is the delta method."""
    rng, held = np.random.default_rng(1), []
    for _ in range(600):
        shared = rng.normal(4.0, 1.0, 400)
        before, after = shared + rng.normal(0, 0.1, 400), 0.8 * shared + rng.normal(0, 0.1, 400)
        changes = before - before.mean(), after - after.mean()
        interval = paired_ratio_interval(before.mean(), after.mean(), changes)
        held.append(interval.low < 0.8 < interval.high)
        assert interval.high / interval.low < 1.02  # what both share cancels: unpaired it would be 1.07
    assert 0.92 < np.mean(held) < 0.98
    with pytest.raises(InputError, match="ratio: expected values above 0, got 0"):
        paired_ratio_interval(0.0, 1.0, changes)
    with pytest.raises(InputError, match="pairs: expected as many values before as after"):
        paired_ratio_interval(1.0, 1.0, (changes[0], changes[1][1:]))
