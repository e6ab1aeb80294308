from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.sign_flip import DRAWS, EXACT_PAIRS, pairs_needed, sign_flip_p, smallest_p


def differences(n: int, mean: float) -> list[float]:
    return list(np.random.default_rng(n).standard_normal(n) + mean)


@pytest.mark.parametrize("n", [2, 3, 6, 10])
def test_it_is_the_exact_permutation_test_of_scipy(n: int) -> None:
    values = differences(n, 0.4)

    def mean(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(x - y, axis=axis)

    zeros = np.zeros(n)
    expected = stats.permutation_test(
        (values, zeros), mean, permutation_type="samples", vectorized=True, n_resamples=np.inf
    ).pvalue
    assert sign_flip_p(values) == pytest.approx(min(expected, 1.0))
    assert sign_flip_p([-value for value in values]) == sign_flip_p(values)


def test_few_pairs_cannot_give_a_small_p() -> None:
    assert [sign_flip_p([1.0] * n) for n in (1, 2, 3, 4, 5, 6)] == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
    assert [smallest_p(n) for n in (1, 2, 3, 4, 5, 6)] == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
    assert (pairs_needed(0.05), pairs_needed(0.01), pairs_needed(0.3)) == (6, 8, 3)


def test_equal_pairs_show_nothing() -> None:
    assert sign_flip_p([0.0] * 8) == 1
    assert sign_flip_p([0.1, -0.1, 0.1, -0.1]) == 1  # 0.1 + 0.1 - 0.1 - 0.1 is not exactly 0


def test_above_twenty_pairs_random_patterns_agree_with_the_t_test() -> None:
    values = differences(EXACT_PAIRS + 20, 0.35)
    p = sign_flip_p(values)
    assert p == sign_flip_p(values)
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=0.3)
    assert sign_flip_p([1.0] * 60) == smallest_p(60) == 1 / (DRAWS + 1)


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [math.inf]])
def test_what_is_no_number_is_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="expected 1 or more finite differences"):
        sign_flip_p(values)
