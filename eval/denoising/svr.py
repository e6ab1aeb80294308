"""Denoising by support-vector regression: from a patch of noisy pixels to the noise of the one in its middle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gan_denoise.data.images import ImagesF32
from gan_denoise.eval.noise import add_noise

Patches = NDArray[np.float64]

PATCH = 5  # pixels on a side
SAMPLES = 4000
C, EPSILON, GAMMA = 2.0, 0.3, 0.006  # all in units of sigma


def fit(clean: ImagesF32, sigma: float, noise: str, seed: int) -> Any:
    """A scikit-learn SVR (Drucker et al. 1997) for one kind and strength of noise, sigma above 0.

    It learns from 4,000 pixels of training images (N, 1, H, W) in [0, 1], fewer where there are not as many; `seed`
    chooses them and makes the noise. Patches and noise are divided by sigma, so that one kernel fits all strengths.
    """
    from sklearn.svm import SVR

    noisy = add_noise(clean, sigma, noise, seed)
    chosen = np.random.default_rng(seed).permutation(clean.size)[:SAMPLES]
    targets = (clean - noisy).reshape(-1)[chosen] / sigma
    return SVR(C=C, epsilon=EPSILON, gamma=GAMMA).fit(patches(noisy)[chosen] / sigma, targets)


def restore(regression: Any, noisy: ImagesF32, sigma: float) -> ImagesF32:
    """Images (N, 1, H, W) float32 in [0, 1] that a regression of `fit` for the same sigma makes of noisy ones."""
    residual = sigma * regression.predict(patches(noisy) / sigma).reshape(noisy.shape)
    restored: ImagesF32 = (noisy + residual).clip(0, 1).astype(np.float32)
    return restored


def patches(images: ImagesF32) -> Patches:
    """The neighbourhood of each pixel, (N * H * W, 25) float64, of images (N, 1, H, W) mirrored at the border."""
    side = PATCH // 2
    padded = np.pad(images[:, 0], ((0, 0), (side, side), (side, side)), mode="reflect").astype(np.float64)
    return sliding_window_view(padded, (PATCH, PATCH), axis=(1, 2)).reshape(-1, PATCH**2)
