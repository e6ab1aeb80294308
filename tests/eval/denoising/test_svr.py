from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.eval.denoising import svr
from gan_denoise.eval.denoising.svr import GAMMA, SAMPLES, fit, patches, restore
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import NOISES, add_noise


@pytest.fixture(scope="module")
def clean(excerpt: Dataset) -> np.ndarray:
    return to_float(excerpt.test.images[:8])


@pytest.fixture(scope="module")
def training(excerpt: Dataset) -> np.ndarray:
    return to_float(excerpt.train.images)


def test_patches_are_the_mirrored_neighbourhoods_in_the_pixels_order(clean: np.ndarray) -> None:
    actual = patches(clean).reshape(8, 28, 28, 5, 5)
    np.testing.assert_array_equal(actual[3, 10, 20], clean[3, 0, 8:13, 18:23])
    np.testing.assert_array_equal(actual[..., 2, 2], clean[:, 0])
    np.testing.assert_array_equal(actual[1, 0, 0, :, 2], clean[1, 0, [2, 1, 0, 1, 2], 0])


def test_only_the_selected_pixels_are_copied() -> None:
    images = np.random.default_rng(0).random((1000, 1, 28, 28), dtype=np.float32)
    pixels = np.random.default_rng(1).permutation(images.size)[:SAMPLES]
    tracemalloc.start()
    selected = patches(images, pixels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert selected.shape == (SAMPLES, 25)
    assert selected.dtype == np.float64
    padded = 1000 * 32 * 32 * 4  # bytes of the images with their border; all patches would take 157 MB
    assert padded < peak < 3 * padded
    np.testing.assert_array_equal(selected, patches(images)[pixels])


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("sigma", "least", "most"), [(25 / 255, 3, 7), (0.5, 5, 11)])
def test_it_removes_noise(
    noise: str, sigma: float, least: float, most: float, clean: np.ndarray, training: np.ndarray
) -> None:
    noisy = add_noise(clean, sigma, noise, seed=9)
    restored = restore(fit(training, sigma, noise, seed=1), noisy, sigma)
    assert restored.shape == clean.shape
    assert restored.dtype == np.float32
    assert 0 <= restored.min() <= restored.max() <= 1
    assert least < psnr(clean, restored).mean() - psnr(clean, noisy).mean() < most  # dB


def test_a_regression_is_its_kernels_sum(clean: np.ndarray, training: np.ndarray) -> None:
    learned = fit(training, 0.2, "float", seed=1)
    noisy = add_noise(clean[:1], 0.2, "float", seed=9)
    inputs = patches(noisy) / 0.2
    squares = ((inputs[:, None] - learned.support_vectors_) ** 2).sum(axis=2)  # (784, vectors)
    residual = 0.2 * (np.exp(-GAMMA * squares) @ learned.dual_coef_[0] + learned.intercept_[0])
    expected = (noisy[0, 0] + residual.reshape(28, 28)).clip(0, 1)
    np.testing.assert_allclose(restore(learned, noisy, 0.2)[0, 0], expected, rtol=0, atol=1e-6)


def test_it_is_fitted_on_4000_pixels_that_the_seed_selects(
    training: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0.2 * SAMPLES < len(fit(training, 0.2, "float", seed=1).support_) <= SAMPLES
    monkeypatch.setattr(svr, "SAMPLES", 50)
    first, again, other = (fit(training, 0.2, "float", seed=seed).support_vectors_ for seed in (1, 1, 2))
    assert 5 < len(first) <= 50
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], other[0])
