"""The radially averaged power spectrum of images."""

from __future__ import annotations

import numpy as np

from gan_denoise.data.images import ImagesF32, Vector
from gan_denoise.errors import InputError


def power_spectrum(images: ImagesF32) -> tuple[Vector, Vector]:
    """Frequencies in cycles per pixel, (K,), 0 to 0.5, and the mean power of images (N, C, H, W) at each, (K,).

    The power is |DFT|^2 / (H * W), of a colour image the mean over the channels: white noise of variance v has v at
    each frequency above 0. Rings are one cycle per image wide; the corners beyond 0.5 are left out. Durall et al. 2020
    (arXiv:2003.01826) compare the spectra of generated images in this way. Raises InputError for another shape or no
    images.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise InputError.expected("images", "(N, 1 or 3, H, W) with N of 1 or more", list(images.shape))
    height, width = images.shape[2:]
    side = min(height, width)
    power = np.zeros((height, width))
    planes = images.reshape(-1, height, width)  # (N * C, H, W)
    for plane in planes:
        power += np.abs(np.fft.fft2(plane.astype(np.float64))) ** 2
    power /= len(planes) * height * width
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))  # (H, W)
    ring = np.rint(radius * side).astype(np.int64).ravel()
    sums, counts = np.bincount(ring, power.ravel()), np.bincount(ring)
    rings = side // 2 + 1
    return np.arange(rings) / side, (sums / counts)[:rings]
