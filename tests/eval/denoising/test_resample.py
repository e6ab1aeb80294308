from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from gan_denoise.errors import InputError
from gan_denoise.eval.denoising.resample import sigma_schedule, stochastic_denoise

VARIANCE = 0.04  # of the data, which are normal pixels
SIGMA = 0.3


def pixels(count: int = 400) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((count, 1, 8, 8))
    return (math.sqrt(VARIANCE) * noise).astype(np.float32)


def ideal(steps: int, sigma: float = SIGMA) -> Callable[[np.ndarray], np.ndarray]:
    """The expected clean pixel of normal data, with the sigma given by the order of its calls."""
    sigmas = iter(sigma_schedule(sigma, steps))
    return lambda noisy: np.float32(VARIANCE / (VARIANCE + next(sigmas) ** 2)) * noisy


def variance_after(steps: int) -> float:
    """What the steps leave of the variance, worked out by hand: each is linear, and adds noise of its own."""
    variance = VARIANCE + SIGMA**2
    for before, after in itertools.pairwise(sigma_schedule(SIGMA, steps)):
        shrunk, kept = VARIANCE / (VARIANCE + before**2), after**2 / before**2
        variance = (kept + (1 - kept) * shrunk) ** 2 * variance + after**2 * (1 - kept)
    return variance


def test_the_sigmas_fall_as_squares_and_end_at_0() -> None:
    assert sigma_schedule(0.4, 4) == pytest.approx([0.4, 0.225, 0.1, 0.025, 0.0], abs=1e-12)


@pytest.mark.parametrize("steps", [1, 4, 100])
def test_normal_data_keep_the_variance_that_the_steps_should_leave(steps: int) -> None:
    actual = stochastic_denoise(pixels(), ideal(steps), SIGMA, steps, seed=1)
    assert actual.dtype == np.float32
    assert actual.var() == pytest.approx(variance_after(steps), rel=0.03)


def test_many_steps_give_the_datas_own_variance_where_one_step_takes_most_of_it() -> None:
    assert variance_after(1) == pytest.approx(VARIANCE * VARIANCE / (VARIANCE + SIGMA**2), rel=1e-9)
    assert stochastic_denoise(pixels(), ideal(200), SIGMA, 200, seed=1).var() == pytest.approx(VARIANCE, rel=0.05)


def test_what_is_drawn_stays_near_the_image() -> None:
    images = pixels()
    strong, weak = (stochastic_denoise(images, ideal(50, sigma), sigma, 50, seed=1) for sigma in (SIGMA, 0.05))
    near = [np.corrcoef(images.ravel(), actual.ravel())[0, 1] for actual in (strong, weak)]
    assert 0.1 < near[0] < 0.6 < near[1]


def test_sigma_0_is_the_identity_and_does_not_call_the_denoiser() -> None:
    images = pixels(3)
    np.testing.assert_array_equal(
        stochastic_denoise(images, lambda noisy: pytest.fail("denoised"), 0.0, 4, seed=1), images
    )


def test_the_noise_is_the_seeds_and_the_places_alone() -> None:
    images = pixels(5)
    whole, other = (stochastic_denoise(images, ideal(4), SIGMA, 4, seed) for seed in (1, 2))
    parts = [stochastic_denoise(images[i : i + 2], ideal(4), SIGMA, 4, 1, start=i) for i in (0, 2, 4)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    assert np.abs(whole - other).max() > 0.1


@pytest.mark.parametrize(
    ("sigma", "steps", "message"),
    [
        *((sigma, 4, "sigma: expected a finite number of 0 or more, got") for sigma in (-0.1, math.inf, math.nan)),
        (0.1, 0, "steps: expected 1 or more, got 0"),
    ],
)
def test_other_sigmas_and_steps_are_refused(sigma: float, steps: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stochastic_denoise(pixels(1), lambda noisy: noisy, sigma, steps, seed=0)
