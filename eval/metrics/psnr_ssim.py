"""PSNR and SSIM of restored images."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from gan_denoise.data.images import ImagesF32, Vector
from gan_denoise.errors import InputError

DATA_RANGE = 1.0
SSIM_WINDOW = 7
STRIP_PIXELS = 2**18


def psnr(clean: ImagesF32, restored: ImagesF32) -> Vector:
    """Peak signal-to-noise ratio of each image in dB, (N,), for images (N, C, H, W) float32, clean in [0, 1].

    Identical images give inf. Raises InputError for another shape, dtype or range.
    """
    check_images(clean, restored)
    error = ((clean.astype(np.float64) - restored) ** 2).mean(axis=(1, 2, 3))  # (N,)
    with np.errstate(divide="ignore"):
        ratio: Vector = 10 * np.log10(DATA_RANGE**2 / error)
    return ratio


def ssim(clean: ImagesF32, restored: ImagesF32) -> Vector:
    """Structural similarity of each image, (N,), at most 1, for images (N, C, H, W) float32, clean in [0, 1].

    Wang et al. 2004 with a uniform 7x7 window, sample covariances and a data range of 1, for all images at once. The
    values are those of scikit-image's `structural_similarity(..., data_range=1)`, in colour with `channel_axis=0`.
    Raises InputError as `psnr`.
    """
    check_images(clean, restored)
    if min(clean.shape[2:]) < SSIM_WINDOW:
        raise InputError.expected("images", f"{SSIM_WINDOW} or more pixels a side", list(clean.shape[2:]))
    a, b = clean.astype(np.float64), restored.astype(np.float64)
    mean_a, mean_b = _windowed(a), _windowed(b)  # (N, C, H, W) each
    unbiased = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)
    variance_a = unbiased * (_windowed(a * a) - mean_a**2)
    variance_b = unbiased * (_windowed(b * b) - mean_b**2)
    covariance = unbiased * (_windowed(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    border = SSIM_WINDOW // 2  # where the window leaves the image
    inside = (luminance * structure)[:, :, border:-border, border:-border]
    means: Vector = inside.mean(axis=(1, 2, 3))
    return means


def ssim_of_large(clean: ImagesF32, restored: ImagesF32) -> float:
    """The `ssim` of one image (1, C, H, W) of any size, computed in strips: whole, it takes a dozen float64 copies."""
    overlap, height = SSIM_WINDOW - 1, clean.shape[2]
    rows = max(1, STRIP_PIXELS // clean.shape[3])  # whose windows are in one strip
    starts = range(0, max(height - overlap, 1), rows)
    strips = [(..., slice(start, min(start + rows + overlap, height)), slice(None)) for start in starts]
    weights = [strip[1].stop - strip[1].start - overlap for strip in strips]
    return float(np.average([ssim(clean[s], restored[s])[0] for s in strips], weights=weights))


def _windowed(images: Vector) -> Vector:
    means: Vector = ndimage.uniform_filter(images, size=(1, 1, SSIM_WINDOW, SSIM_WINDOW))
    return means


def check_images(clean: ImagesF32, restored: ImagesF32) -> None:
    """Raise InputError unless both are finite float32 (N, 1 or 3, H, W) of one shape, and clean is in [0, 1]."""
    for name, images in (("clean", clean), ("restored", restored)):
        if images.dtype != np.float32 or images.ndim != 4 or images.shape[1] not in (1, 3):
            got = f"{images.dtype} {list(images.shape)}"
            raise InputError.expected(f"{name} images", "float32 (N, 1, H, W) or (N, 3, H, W)", got)
        if not np.isfinite(images).all():
            raise InputError.expected(f"{name} images", "finite numbers", "NaN or infinity")
    if clean.shape != restored.shape:
        raise InputError.expected("images", "equal shapes", f"{list(clean.shape)} and {list(restored.shape)}")
    if clean.size and not (clean.min() >= 0 and clean.max() <= 1):
        raise InputError.expected("clean images", "values from 0 to 1", f"{clean.min():g} to {clean.max():g}")
