from __future__ import annotations

import numpy as np
import pytest
from torch_fidelity.metric_kid import kernel_mmd

from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.kid import BLOCKS, kid, squared_mmd


def samples(count: int, seed: int, shift: float = 0.0, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32) + np.float32(shift)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_discrepancy_is_that_of_torch_fidelity(shift: float) -> None:
    a, b = samples(80, 1).astype(np.float64), samples(80, 2, shift).astype(np.float64)
    options = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    expected = kernel_mmd(a, b, kid_kernel_poly_coef0=1, **options)
    assert squared_mmd(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_discrepancy_of_a_few_points_is_its_closed_form() -> None:
    a, b = np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    # k(x, y) = (x.y / 2 + 1)^3; within a: x.y = 0, k = 1; within b: three pairs with x.y = 0, k = 1
    # between: x.y = 2, 0, 2 and 2, 0, -2, so k = 8, 1, 8, 8, 1, 0
    assert squared_mmd(a, b) == pytest.approx(1 + 1 - 2 * 26 / 6, abs=1e-12)


def test_equal_distributions_are_near_0_and_a_shift_is_far() -> None:
    value, error = kid(samples(600, 3), samples(400, 4))
    assert abs(value) < 4 * error
    far, error = kid(samples(600, 3), samples(400, 4, shift=0.5))
    assert far > 5 * error
    assert far > 20 * abs(value)


def test_the_estimate_does_not_fall_with_the_number_of_samples() -> None:
    small = [kid(samples(40, seed), samples(40, seed + 500, shift=0.3))[0] for seed in range(100)]
    large, error = kid(samples(4000, 1000), samples(4000, 1001, shift=0.3))
    spread = np.std(small, ddof=1) / np.sqrt(len(small))
    assert abs(np.mean(small) - large) < 4 * np.hypot(spread, error)


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    actual = np.array([kid(samples(200, seed), samples(200, seed + 500, shift=0.3)) for seed in range(100)])
    ratio = np.sqrt((actual[:, 1] ** 2).mean()) / actual[:, 0].std(ddof=1)
    assert 0.75 < ratio < 1.35


def test_samples_in_order_of_class_give_the_same_as_shuffled_ones() -> None:
    ordered = np.concatenate([samples(100, seed, shift=seed / 10) for seed in range(10)])
    others = np.concatenate([samples(100, seed + 50, shift=seed / 10) for seed in reversed(range(10))])
    value, error = kid(ordered, others)  # blocks of neighbours would each compare two classes
    assert abs(value) < 4 * error
    apart = squared_mmd(ordered[:100].astype(np.float64), others[:100].astype(np.float64))
    assert apart > 20 * error


def test_the_seed_assigns_the_blocks() -> None:
    a, b = samples(100, 5), samples(100, 6)
    assert kid(a, b, seed=1) == kid(a, b, seed=1) != kid(a, b, seed=2)


def test_too_few_samples_other_widths_and_nan_are_refused() -> None:
    enough, few = samples(2 * BLOCKS, 7), samples(2 * BLOCKS - 1, 8)
    assert np.isfinite(kid(enough, enough)).all()
    for pair in ((enough, few), (few, enough)):
        with pytest.raises(InputError, match=r"expected \(N, D\) with N of 20 or more, got \[19, 6\]"):
            kid(*pair)
    with pytest.raises(InputError, match="expected equal widths, got 6 and 5"):
        kid(enough, samples(40, 9, width=5))
    broken = enough.copy()
    broken[3, 1] = np.nan
    with pytest.raises(InputError, match="finite"):
        kid(enough, broken)
