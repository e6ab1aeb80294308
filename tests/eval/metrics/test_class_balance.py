from __future__ import annotations

import numpy as np
import pytest

from gan_denoise.errors import InputError
from gan_denoise.eval.metrics import class_balance


def test_fractions_count_each_class_and_sum_to_1() -> None:
    actual = class_balance.class_fractions(np.array([0, 0, 3, 9], np.uint8))
    assert actual.tolist() == [0.5, 0, 0, 0.25, 0, 0, 0, 0, 0, 0.25]
    assert class_balance.count_missing(actual) == 7
    assert class_balance.count_missing(class_balance.class_fractions(np.arange(10))) == 0


def test_total_variation_is_the_fraction_that_has_to_move() -> None:
    even, one = np.full(10, 0.1), np.eye(10)[0]
    assert class_balance.total_variation(even, even) == 0.0
    assert class_balance.total_variation(even, one) == pytest.approx(0.9, abs=1e-12)
    assert class_balance.total_variation(one, np.eye(10)[1]) == 1.0


def test_recall_of_each_class_shows_the_one_that_was_lost() -> None:
    labels = np.array([0, 0, 1, 1, 1, 1])
    recalled = np.array([True, True, True, False, False, False])
    actual = class_balance.recall_per_class(recalled, labels, classes=3)
    np.testing.assert_array_equal(actual, [1.0, 0.25, np.nan])


def test_agreement_is_the_fraction_of_equal_labels() -> None:
    assert class_balance.agreement(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])) == 0.75


def test_labels_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="labels: expected values from 0 to 9, got 0 to 10"):
        class_balance.class_fractions(np.array([0, 10]))
    with pytest.raises(InputError, match="got -1 to 0"):
        class_balance.class_fractions(np.array([0, -1]))
    with pytest.raises(InputError, match=r"expected \(N,\) with N of 1 or more, got \[0\]"):
        class_balance.class_fractions(np.array([], np.int64))
    with pytest.raises(InputError, match="labels: expected one or more pairs, got 2 and 3"):
        class_balance.agreement(np.zeros(2, np.int64), np.zeros(3, np.int64))
