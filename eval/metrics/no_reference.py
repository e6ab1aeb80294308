"""No-reference image statistics: sharpness, contrast and estimated noise."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import ndimage
from skimage.restoration import estimate_sigma

from gan_denoise.data.images import ImagesF32, Vector
from gan_denoise.errors import InputError

LAPLACIAN = np.array([[[[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]]])


def sharpness(images: ImagesF32) -> Vector:
    """The variance of each image's Laplacian, (N,), for images (N, C, H, W) float32 in [0, 1].

    In colour the mean over the channels, as in all of this module. Pech-Pacheco et al. 2000. Edges and noise both raise
    it. Raises InputError for another shape, dtype or range.
    """
    _check(images)
    laplacian = ndimage.convolve(images.astype(np.float64), LAPLACIAN, mode="reflect")  # (N, C, H, W)
    variances: Vector = laplacian.var(axis=(2, 3)).mean(axis=1)
    return variances


def contrast(images: ImagesF32) -> Vector:
    """The RMS contrast of each image, (N,): the standard deviation of its pixels (Peli 1990).

    Arguments as for `sharpness`.
    """
    _check(images)
    deviations: Vector = images.astype(np.float64).std(axis=(2, 3)).mean(axis=1)
    return deviations


def noise(images: ImagesF32) -> Vector:
    """The estimated standard deviation of each image's noise, (N,). Arguments as for `sharpness`.

    scikit-image's `estimate_sigma`: the median of the finest diagonal wavelet details that are not exactly zero
    (Donoho and Johnstone 1994). A black background is left out only where it is exactly black, so compare images of
    the same quantization. An image without any such detail has noise 0.
    """
    _check(images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # median of an empty array
        planes = images.reshape(-1, *images.shape[2:]).astype(np.float64)  # (N * C, H, W)
        sigmas = [estimate_sigma(plane) for plane in planes]  # type: ignore[no-untyped-call]
    means: Vector = np.nan_to_num(np.array(sigmas, np.float64), nan=0.0).reshape(images.shape[:2]).mean(axis=1)
    return means


def _check(images: ImagesF32) -> None:
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise InputError.expected(
            "images", "float32 (N, 1, H, W) or (N, 3, H, W)", f"{images.dtype} {list(images.shape)}"
        )
    if images.size and not (images.min() >= 0 and images.max() <= 1):  # a NaN fails both
        raise InputError.expected("images", "values from 0 to 1", f"{images.min():g} to {images.max():g}")
