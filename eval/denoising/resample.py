"""Stochastic denoising: noise is added to an image and removed in small random steps by a blind denoiser."""

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
    """The steps + 1 noise levels from `sigma` down to 0: sigma * (1 - i / steps)^2.

    Raises InputError for a negative or infinite sigma, or fewer than 1 step.
    """
    if not 0 <= sigma < math.inf:
        raise InputError.expected("sigma", "a finite number of 0 or more", sigma)
    if steps < 1:
        raise InputError.expected("steps", "1 or more", steps)
    return [sigma * (1 - i / steps) ** 2 for i in range(steps + 1)]


def stochastic_denoise(
    images: ImagesF32, denoise: Denoise, sigma: float, steps: int, seed: int, start: int = 0
) -> ImagesF32:
    """Sample denoised images (N, 1, H, W) float32 near the given images; sigma 0 returns a copy of them.

    Noise of `sigma` is added. Then each step mixes the noisy and the denoised image as the posterior of a diffusion
    model does; the last step returns the denoised image. `denoise` maps noisy images of unknown sigma to the expected
    clean images. The idea is that of ES-DDPM (Lyu et al. 2022, arXiv:2205.12524), which refines samples of another
    generator. `seed` and `start + i` determine the noise of image i. Raises InputError as `sigma_schedule`.
    """
    sigmas = sigma_schedule(sigma, steps)
    if not sigma:
        return images.copy()
    first, *units = _unit_noise(images, steps, seed, start)
    noisy = images + sigma * first
    for (before, after), unit in zip(itertools.pairwise(sigmas[:-1]), units, strict=True):
        mean = denoise(noisy)
        weight = (after / before) ** 2
        noisy = mean + weight * (noisy - mean) + after * math.sqrt(1 - weight) * unit
    return denoise(noisy)


def _unit_noise(images: ImagesF32, steps: int, seed: int, start: int) -> ImagesF32:
    """Standard normal noise (steps, N, 1, H, W)."""
    shape = (steps, *images.shape[1:])
    each = [
        sample_rng(seed, start + i, RESAMPLING).standard_normal(shape, dtype=np.float32) for i in range(len(images))
    ]
    return np.stack(each, axis=1) if each else np.zeros((steps, *images.shape), np.float32)
