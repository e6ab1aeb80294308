from __future__ import annotations

import sys

import numpy as np
import pytest

from gan_denoise.data.dataset import Dataset
from gan_denoise.errors import InputError
from gan_denoise.eval.generation.gaussian_mixture import Mixture, fit, sample


def squares(level: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Images of 4 x 4 pixels about a level, each pixel with a standard deviation of 10 levels."""
    return np.rint(random.normal(level, 10, (count, 4, 4))).clip(0, 255).astype(np.uint8)


def test_two_groups_are_found_with_their_weights_and_spreads() -> None:
    random = np.random.default_rng(0)
    images = np.concatenate([squares(60, 3000, random), squares(180, 1000, random)])
    mixture = fit(images, components=2, width=16, seed=0)
    order = np.argsort(mixture.weights)
    np.testing.assert_allclose(mixture.weights[order], [0.25, 0.75], rtol=0, atol=0.01)
    centres = mixture.centre + mixture.means[order] @ mixture.directions
    np.testing.assert_allclose(centres, np.repeat([[180], [60]], 16, axis=1) / 255, rtol=0, atol=0.01)
    for factor in mixture.factors:
        np.testing.assert_allclose(np.diag(factor @ factor.T), (10 / 255) ** 2, rtol=0.25)


def test_samples_have_the_moments_of_the_mixture() -> None:
    factors = np.array([[[0.05, 0.0], [0.04, 0.03]], [[0.02, 0.0], [0.0, 0.06]]])
    directions = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0]])
    means, weights = np.array([[0.1, 0.0], [-0.2, 0.15]]), np.array([0.7, 0.3])
    mixture = Mixture(weights, means, factors, np.full(4, 0.5), directions, (2, 2))
    pixels = sample(mixture, 40_000, seed=3).reshape(-1, 4) / 255
    mean = weights @ means
    spread = sum(w * (f @ f.T + np.outer(m - mean, m - mean)) for w, m, f in zip(weights, means, factors, strict=True))
    np.testing.assert_allclose(pixels.mean(axis=0)[[0, 2]], 0.5 + mean, rtol=0, atol=0.003)
    np.testing.assert_allclose(np.cov(pixels[:, [0, 2]].T), spread, rtol=0, atol=4e-4)
    np.testing.assert_allclose(pixels[:, [1, 3]], 128 / 255, rtol=0, atol=1e-9)  # 127.5 rounded to even
    firsts = pixels[:2000, 0].mean(), pixels[-2000:, 0].mean()
    assert firsts[0] == pytest.approx(firsts[1], abs=0.02)  # in no order


def test_real_images_come_out_alike_and_the_seed_decides(excerpt: Dataset) -> None:
    images = excerpt.train.images
    mixture = fit(images, components=10, width=20, seed=0)
    drawn = sample(mixture, 500, seed=1)
    assert drawn.shape == (500, 28, 28)
    assert drawn.dtype == np.uint8
    np.testing.assert_allclose(drawn.mean(axis=0) / 255, images.mean(axis=0) / 255, rtol=0, atol=0.1)
    assert np.corrcoef(drawn.std(axis=0).ravel(), images.std(axis=0).ravel())[0, 1] > 0.9
    np.testing.assert_array_equal(drawn, sample(fit(images, components=10, width=20, seed=0), 500, seed=1))
    assert not np.array_equal(drawn, sample(mixture, 500, seed=2))


def test_a_wider_mixture_holds_more_of_the_images(excerpt: Dataset) -> None:
    spreads = [
        sample(fit(excerpt.train.images, 2, width, seed=0), 400, seed=1).astype(float).var(axis=0).sum()
        for width in (2, 100)
    ]
    assert 1.1 < spreads[1] / spreads[0] < 3


@pytest.mark.parametrize(("components", "width"), [(101, 2), (2, 101), (2, 785)])
def test_too_few_images_or_pixels_are_refused(components: int, width: int, excerpt: Dataset) -> None:
    images = excerpt.train.images[:100] if width < 785 else np.concatenate([excerpt.train.images] * 2)
    with pytest.raises(InputError, match=f"images: expected at least {max(components, width)} images"):
        fit(images, components, width)


def test_a_missing_scikit_learn_is_reported(excerpt: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.decomposition", None)
    with pytest.raises(InputError, match="scikit-learn: not installed") as raised:
        fit(excerpt.train.images, 2, 2)
    assert "gan-denoise[compare]" in raised.value.hint
