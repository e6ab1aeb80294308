"""How close a restored image is to the clean one, and the noise that has to be removed."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from gan_denoise.data.images import ImagesF32, Vector
from gan_denoise.errors import InputError

DATA_RANGE = 1.0
SSIM_WINDOW = 7


def psnr(clean: ImagesF32, restored: ImagesF32) -> Vector:
    """Per-image peak signal-to-noise ratio in dB, (N,), for images (N, C, H, W) float32, clean in [0, 1].

    Identical images give inf. Raises InputError when shape, dtype or range is another.
    """
    check_images(clean, restored)
    error = ((clean.astype(np.float64) - restored) ** 2).mean(axis=(1, 2, 3))  # (N,)
    with np.errstate(divide="ignore"):
        ratio: Vector = 10 * np.log10(DATA_RANGE**2 / error)
    return ratio


def ssim(clean: ImagesF32, restored: ImagesF32) -> Vector:
    """Per-image structural similarity, (N,), at most 1, for images (N, C, H, W) float32, clean in [0, 1].

    Wang et al. 2004 with a uniform 7x7 window, sample covariances and a data range of 1: what scikit-image's
    `structural_similarity(..., data_range=1)`, in colour with `channel_axis=0`, gives image by image, for all at once.
    Raises InputError as `psnr`.
    """
    check_images(clean, restored)
    if min(clean.shape[2:]) < SSIM_WINDOW:
        raise InputError(f"images: {clean.shape[2:]} pixels found, {SSIM_WINDOW} or more on each side wanted")
    a, b = clean.astype(np.float64), restored.astype(np.float64)
    mean_a, mean_b = _windowed(a), _windowed(b)  # (N, C, H, W) each
    unbiased = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)
    variance_a = unbiased * (_windowed(a * a) - mean_a**2)
    variance_b = unbiased * (_windowed(b * b) - mean_b**2)
    covariance = unbiased * (_windowed(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    border = SSIM_WINDOW // 2  # there the window leaves the image
    inside = (luminance * structure)[:, :, border:-border, border:-border]
    means: Vector = inside.mean(axis=(1, 2, 3))
    return means


def _windowed(images: Vector) -> Vector:
    means: Vector = ndimage.uniform_filter(images, size=(1, 1, SSIM_WINDOW, SSIM_WINDOW))
    return means


def check_images(clean: ImagesF32, restored: ImagesF32) -> None:
    for name, images in (("clean", clean), ("restored", restored)):
        if images.dtype != np.float32 or images.ndim != 4 or images.shape[1] not in (1, 3):
            found = f"{images.dtype} {list(images.shape)}"
            raise InputError(f"{name} images: {found} found, float32 (N, 1, H, W) or (N, 3, H, W) wanted")
        if not np.isfinite(images).all():
            raise InputError(f"{name} images: NaN or infinity found, finite numbers wanted")
    if clean.shape != restored.shape:
        raise InputError(f"images: {list(clean.shape)} and {list(restored.shape)} found, equal shapes wanted")
    if clean.size and not (clean.min() >= 0 and clean.max() <= 1):
        raise InputError(f"clean images: values {clean.min():g} to {clean.max():g} found, 0 to 1 wanted")
