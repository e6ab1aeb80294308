"""Seeded Gaussian noise for the denoising benchmark."""

from __future__ import annotations

import numpy as np

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.psnr_ssim import check_images
from gan_denoise.rng import NOISE, sample_rng

SIGMAS = (15 / 255, 25 / 255, 50 / 255, 0.3, 0.5)
NOISES = ("float", "8-bit")


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


def to_8_bit(images: ImagesF32) -> ImagesF32:
    """Images clipped to [0, 1] and rounded to multiples of 1/255, float32."""
    levels = np.rint(images.clip(0, 1) * np.float32(255))
    return (levels / np.float32(255)).astype(np.float32)
