"""Denoising by drawing: noise is added to an image and taken away in small random steps by a blind denoiser."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import InputError
from gan_denoise.rng import RESAMPLING, sample_rng

Denoise = Callable[[ImagesF32], ImagesF32]


def sigma_schedule(sigma: float, steps: int) -> list[float]:
    """The strengths of noise on the way from `sigma` to 0, steps + 1 of them: sigma * (1 - i / steps)^2.

    Raises InputError for a sigma that is negative or infinite, or fewer than 1 step.
    """
    if not 0 <= sigma < math.inf or steps < 1:
        raise InputError(f"sigma, steps: {sigma}, {steps} found, a finite number of 0 or more and 1 or more wanted")
    return [sigma * (1 - i / steps) ** 2 for i in range(steps + 1)]


def stochastic_denoise(
    images: ImagesF32, denoise: Denoise, sigma: float, steps: int, seed: int, start: int = 0
) -> ImagesF32:
    """Images (N, 1, H, W) float32 near the given ones that the denoiser takes for clean; sigma 0 changes nothing.

    Noise of `sigma` is added; then each step mixes image and denoised image as the posterior of a diffusion does,
    the last one gives the denoised image alone. `denoise` gives the expected clean image and is not told sigma.
    In the spirit of ES-DDPM (Lyu et al. 2022, arXiv:2205.12524), which so mends what another generator drew. The noise
    of image i comes from `seed` and `start + i` alone. Raises InputError as `falling`.
    """
    strengths = sigma_schedule(sigma, steps)
    if not sigma:
        return images.copy()
    first, *others = _unit_noise(images, steps, seed, start)
    noisy = images + sigma * first
    for (before, after), unit in zip(itertools.pairwise(strengths[:-1]), others, strict=True):
        mean = denoise(noisy)
        kept = (after / before) ** 2
        noisy = mean + kept * (noisy - mean) + after * math.sqrt(1 - kept) * unit
    return denoise(noisy)


def _unit_noise(images: ImagesF32, steps: int, seed: int, start: int) -> ImagesF32:
    """Standard normal noise (steps, N, 1, H, W)."""
    shape = (steps, *images.shape[1:])
    each = [
        sample_rng(seed, start + i, RESAMPLING).standard_normal(shape, dtype=np.float32) for i in range(len(images))
    ]
    return np.stack(each, axis=1) if each else np.zeros((steps, *images.shape), np.float32)
