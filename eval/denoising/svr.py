"""Denoising by support-vector regression: from a patch of noisy pixels to the noise of its central pixel."""

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
    """Fit a scikit-learn SVR (Drucker et al. 1997) for one kind of noise and one sigma above 0.

    It is fitted on 4,000 pixels of the training images (N, C, H, W) in [0, 1], or on all where there are fewer;
    `seed` selects them and generates the noise. Patches and noise are divided by sigma, so that one kernel width suits
    all noise levels.
    """
    from sklearn.svm import SVR

    noisy = add_noise(clean, sigma, noise, seed)
    pixels = np.random.default_rng(seed).permutation(clean.size)[:SAMPLES]
    targets = (clean - noisy).reshape(-1)[pixels] / sigma
    return SVR(C=C, epsilon=EPSILON, gamma=GAMMA).fit(patches(noisy, pixels) / sigma, targets)


def restore(regression: Any, noisy: ImagesF32, sigma: float) -> ImagesF32:
    """Denoise images with a regression of `fit` for the same sigma: (N, C, H, W) float32 in [0, 1]."""
    residual = sigma * regression.predict(patches(noisy) / sigma).reshape(noisy.shape)
    restored: ImagesF32 = (noisy + residual).clip(0, 1).astype(np.float32)
    return restored


def patches(images: ImagesF32, pixels: NDArray[np.integer] | None = None) -> Patches:
    """The neighbourhoods of pixels, (P, 25) float64, in images (N, C, H, W) that are mirrored at the border.

    `pixels` (P,) are indices into the flattened images; without them all pixels of all channels, in order. Only the
    selected neighbourhoods are copied: those of 1,000 images of 28x28 would take 157 MB.
    """
    border = PATCH // 2
    planes = images.reshape(-1, *images.shape[2:])  # (N * C, H, W)
    padded = np.pad(planes, ((0, 0), (border, border), (border, border)), mode="reflect")
    windows = sliding_window_view(padded, (PATCH, PATCH), axis=(1, 2))  # (N, H, W, 5, 5), a view
    chosen = windows if pixels is None else windows[np.unravel_index(pixels, windows.shape[:3])]
    return chosen.reshape(-1, PATCH**2).astype(np.float64)
