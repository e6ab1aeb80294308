from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.frechet import Moments, Statistics, distance_and_influence, frechet_distance, statistics


def samples(count: int, width: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((width, width))
    return (scale * rng.standard_normal((count, width)) @ mixing + shift).astype(np.float32)


def test_distance_agrees_with_the_matrix_square_root_of_scipy() -> None:
    a, b = statistics(samples(200, 12, 1)), statistics(samples(150, 12, 2, scale=1.5, shift=0.7))
    root = linalg.sqrtm(a.covariance @ b.covariance).real
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_distance_of_diagonal_gaussians_is_their_closed_form() -> None:
    a = Statistics(np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]), 10)
    b = Statistics(np.array([1.0, 1.0, 0.0]), np.diag([4.0, 4.0, 1.0]), 10)
    # |m|^2 = 1 + 0 + 4; (1 - 2)^2 + (2 - 2)^2 + (3 - 1)^2 = 5
    assert frechet_distance(a, b) == pytest.approx(10.0, abs=1e-10)
    assert frechet_distance(b, a) == pytest.approx(10.0, abs=1e-10)


def test_a_set_against_itself_is_0_and_a_shift_adds_its_square() -> None:
    features = samples(100, 8, 3).astype(np.float64)
    here, there = statistics(features), statistics(features + 0.5)
    assert frechet_distance(here, here) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(here, there) == pytest.approx(8 * 0.25, abs=1e-9)


def test_a_constant_feature_is_accepted() -> None:
    features = samples(50, 6, 4)
    features[:, 2] = 0.25
    other = samples(60, 6, 5)
    other[:, 2] = 1.25
    rest = [0, 1, 3, 4, 5]
    without = frechet_distance(statistics(features[:, rest]), statistics(other[:, rest]))
    assert frechet_distance(statistics(features), statistics(other)) == pytest.approx(without + 1.0, rel=1e-6)


def test_statistics_are_those_of_numpy() -> None:
    features = samples(40, 5, 6, shift=100.0)
    actual = statistics(features)
    np.testing.assert_allclose(actual.mean, features.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(actual.covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-9)
    assert actual.mean.dtype == actual.covariance.dtype == np.float64
    assert actual.count == 40


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_do_not_change_the_statistics(batch: int) -> None:
    features, moments = samples(100, 6, 7, shift=30.0), Moments()
    for start in range(0, 100, batch):
        moments.add(features[start : start + batch])
    whole, parts = statistics(features), moments.statistics()
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=1e-9, atol=1e-9)


def test_one_sample_more_than_the_width_is_enough_and_the_width_is_refused() -> None:
    assert statistics(samples(7, 6, 8)).count == 7
    with pytest.raises(InputError, match="features: expected at least 7 samples of width 6, got 6"):
        statistics(samples(6, 6, 8))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_refused(bad: float) -> None:
    features = samples(20, 3, 9)
    features[4, 1] = bad
    with pytest.raises(InputError, match="finite"):
        statistics(features)


def test_widths_that_differ_and_shapes_that_are_no_features_are_refused() -> None:
    with pytest.raises(InputError, match="features: expected equal widths, got 3 and 4"):
        frechet_distance(statistics(samples(20, 3, 10)), statistics(samples(20, 4, 10)))
    moments = Moments()
    moments.add(samples(20, 3, 10))
    with pytest.raises(InputError, match="features: expected equal widths, got 3 and 4"):
        moments.add(samples(20, 4, 10))
    with pytest.raises(InputError, match=r"got \[2, 3, 4\]"):
        statistics(np.zeros((2, 3, 4)))
    with pytest.raises(InputError, match=r"expected \(N, D\) with N of 1 or more, got \[0, 4\]"):
        statistics(np.zeros((0, 4)))


def test_the_influence_of_a_sample_is_what_leaving_it_out_changes() -> None:
    features, reference = samples(2_000, 6, 11), statistics(samples(500, 6, 12))
    distance, changes = distance_and_influence(features, reference)
    assert distance == pytest.approx(frechet_distance(statistics(features), reference), rel=1e-9)
    assert changes.mean() == pytest.approx(0, abs=1e-9 * changes.std())
    left_out = [frechet_distance(statistics(np.delete(features, i, axis=0)), reference) for i in range(40)]
    expected = (distance - np.array(left_out)) * (len(features) - 1)
    np.testing.assert_allclose(changes[:40], expected, atol=0.02 * changes.std())


def test_the_spread_of_the_influence_is_the_spread_over_other_samples() -> None:
    rng = np.random.default_rng(13)
    reference = statistics(rng.normal(0.5, 1.2, (5_000, 6)))
    sets = rng.normal(size=(300, 500, 6))
    distances = [frechet_distance(statistics(features), reference) for features in sets]
    errors = [distance_and_influence(features, reference)[1].std(ddof=1) / np.sqrt(500) for features in sets[:20]]
    assert np.mean(errors) == pytest.approx(np.std(distances, ddof=1), rel=0.15)
