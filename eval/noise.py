"""Seeded Gaussian noise for the denoising benchmarks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import InputError, UsageError
from gan_denoise.eval.metrics.psnr_ssim import check_images
from gan_denoise.rng import NOISE, sample_rng

SIGMAS = (15 / 255, 25 / 255, 50 / 255, 0.3, 0.5)
NOISES = ("float", "8-bit")
SIGMA_HINT = "15 of 255 levels are 15/255: --sigma 15/255,25/255,50/255"


def add_noise(clean: ImagesF32, sigma: float, noise: str, seed: int, start: int = 0) -> ImagesF32:
    """Noisy images of the same shape, float32: clean + sigma * normal, sigma in units of the [0, 1] range.

    `noise` "float" is unclipped; "8-bit" is clipped to [0, 1] and rounded to multiples of 1/255, as in files. Image i
    has its own random stream from `seed` and `start + i`, so neither batch nor count changes its noise; the unit noise
    is the same at every sigma. Raises InputError for an unknown kind or a negative sigma.
    """
    if noise not in NOISES:
        raise InputError.expected("noise", f"one of {', '.join(NOISES)}", repr(noise))
    if not 0 <= sigma < np.inf:
        raise InputError.expected("sigma", "a finite number of 0 or more", sigma)
    check_images(clean, clean)
    shape = clean.shape[1:]
    unit = [sample_rng(seed, start + i, NOISE).standard_normal(shape, dtype=np.float32) for i in range(len(clean))]
    noisy: ImagesF32 = clean + np.float32(sigma) * np.stack(unit) if unit else clean.copy()
    return noisy if noise == "float" else to_8_bit(noisy)


def add_photograph_noise(clean: ImagesF32, sigma: float, noise: str, seed: int) -> ImagesF32:
    """One noisy photograph (1, C, H, W); sigma and the kinds of noise are those of `add_noise`.

    The noise is sigma times the normal numbers of numpy's default generator for `seed`, row by row, in colour the three
    channels of a pixel one after the other: `default_rng(seed).normal(0, sigma, (H, W))` or `(H, W, 3)`.
    """
    check_images(clean, clean)
    _, channels, height, width = clean.shape
    unit = np.random.default_rng(seed).standard_normal((height, width, channels))
    noisy = (clean + sigma * unit.transpose(2, 0, 1)[None]).astype(np.float32)
    return noisy if noise == "float" else to_8_bit(noisy)


def parse_sigmas(text: str) -> tuple[float, ...]:
    """Noise levels above 0 and up to 1 from a text as `15/255,0.1`, sorted. Raises UsageError for any other text."""
    try:
        levels = {float(Fraction(part.strip())) for part in text.split(",")}
    except (ValueError, ZeroDivisionError, OverflowError):
        levels = set()
    if not levels or not all(0 < level <= 1 for level in levels):
        raise UsageError.expected("--sigma", "numbers above 0 and up to 1, with commas", repr(text), SIGMA_HINT)
    return tuple(sorted(levels))


def to_8_bit(images: ImagesF32) -> ImagesF32:
    """Images clipped to [0, 1] and rounded to multiples of 1/255, float32."""
    levels = np.rint(images.clip(0, 1) * np.float32(255))
    return (levels / np.float32(255)).astype(np.float32)
