"""The classical filters that denoisers are compared with, each for one image, grey (H, W) or colour (3, H, W).

tuning.py tunes the parameters for Fashion-MNIST; photographs/methods.py has those for photographs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import InputError

Parameters = Mapping[str, Any]
Filter = Callable[[ImagesF32, float, Parameters], ImagesF32]
TunedParameters = dict[tuple[str, str, float], Parameters]

TUNED = Path(__file__).parent / "tuned.json"
SHIFTS = 4  # of cycle spinning, along each axis
MODES = {"BayesShrink": "soft", "VisuShrink": "hard"}


def gaussian(noisy: ImagesF32, sigma: float, parameters: Parameters) -> ImagesF32:
    """Gaussian filter of standard deviation `width` in pixels, from scipy, with the `border` mode."""
    return _clipped(ndimage.gaussian_filter(noisy, parameters["width"], mode=parameters["border"]))


def median(noisy: ImagesF32, sigma: float, parameters: Parameters) -> ImagesF32:
    """Median filter from scipy, of each channel: `footprint` (a name of FOOTPRINTS) and the `border` mode."""
    footprint = FOOTPRINTS[parameters["footprint"]][(np.newaxis,) * (noisy.ndim - 2)]
    return _clipped(ndimage.median_filter(noisy, footprint=footprint, mode=parameters["border"]))


def bilateral(noisy: ImagesF32, sigma: float, parameters: Parameters) -> ImagesF32:
    """Bilateral filter (Tomasi and Manduchi 1998); colours differ by their Euclidean distance.

    `width` is the standard deviation over distance in pixels, `range` times sigma that over differences in value. Not
    scikit-image's: version 0.26 looks the weights of distances up in the wrong places (4 dB worse at sigma 50/255).
    """
    radius = math.ceil(2 * parameters["width"])
    sides = [(0, 0)] * (noisy.ndim - 2) + [(radius, radius)] * 2
    padded = np.pad(noisy, sides, "symmetric")
    height, width = noisy.shape[-2:]
    total, weights = np.zeros_like(noisy), np.zeros((height, width), np.float32)
    for y, x in np.ndindex(2 * radius + 1, 2 * radius + 1):
        shifted = padded[..., y : y + height, x : x + width]
        difference = ((shifted - noisy) ** 2).reshape(-1, height, width).sum(0) / (parameters["range"] * sigma) ** 2
        distance = ((y - radius) ** 2 + (x - radius) ** 2) / parameters["width"] ** 2
        weight = np.exp(-(difference + distance) / 2, dtype=np.float32)  # (H, W)
        total += weight * shifted
        weights += weight
    return _clipped(total / weights)


def total_variation(noisy: ImagesF32, sigma: float, parameters: Parameters) -> ImagesF32:
    """Total variation (Chambolle 2004), from scikit-image: the weight is `weight` times sigma.

    It runs more iterations than by default, which gains up to 0.1 dB here.
    """
    weight = parameters["weight"] * sigma
    options = {"eps": 1e-5, "max_num_iter": 200, "channel_axis": _channel_axis(noisy)}
    return _clipped(denoise_tv_chambolle(noisy, weight, **options))  # type: ignore[no-untyped-call]


def wavelet(noisy: ImagesF32, sigma: float, parameters: Parameters) -> ImagesF32:
    """Wavelet shrinkage from scikit-image, with cycle spinning; in colour, of luma and chroma (YCbCr).

    `method` is BayesShrink (Chang et al. 2000) or VisuShrink (Donoho and Johnstone 1994); `wavelet` and `levels`
    select the transform; the assumed noise level is `threshold` times sigma.
    BayesShrink uses soft and VisuShrink hard thresholds: on 20 training images at most 0.04 dB worse than the other
    assignment, and up to 1.5 dB better. The mean over 4 x 4 translations removes block artefacts (Coifman and Donoho
    1995), which gained 0.6 to 2 dB on 40 training images.
    """
    total = np.zeros_like(noisy, dtype=np.float64)
    channel_axis = _channel_axis(noisy)
    for offset in np.ndindex(SHIFTS, SHIFTS):
        restored = denoise_wavelet(
            np.roll(noisy, offset, axis=(-2, -1)),
            sigma=parameters["threshold"] * sigma,
            wavelet=parameters["wavelet"],
            wavelet_levels=parameters["levels"],
            method=parameters["method"],
            mode=MODES[parameters["method"]],
            rescale_sigma=channel_axis is not None,  # to YCbCr
            convert2ycbcr=channel_axis is not None,
            channel_axis=channel_axis,
        )
        total += np.roll(restored, (-offset[0], -offset[1]), axis=(-2, -1))
    return _clipped(total / SHIFTS**2)


def non_local_means(noisy: ImagesF32, sigma: float, parameters: Parameters) -> ImagesF32:
    """Non-local means (Buades et al. 2005), from scikit-image: `patch`, search `distance`, strength `h` times sigma.

    The expected contribution of the noise to patch distances is subtracted for a noise level of `noise` times sigma,
    because clipping makes the noise weaker than sigma. The fast mode (patch weights without a Gaussian) gives the same
    quality here in a tenth of the time.
    """
    restored = denoise_nl_means(
        noisy,
        patch_size=parameters["patch"],
        patch_distance=parameters["distance"],
        h=parameters["h"] * sigma,
        sigma=parameters["noise"] * sigma,
        fast_mode=True,
        channel_axis=_channel_axis(noisy),
    )
    return _clipped(restored)


def bm3d(noisy: ImagesF32, sigma: float, parameters: Parameters) -> ImagesF32:
    """BM3D, in colour CBM3D (Dabov et al. 2007, Mäkinen et al. 2020), from the authors' package `bm3d`.

    That package is for non-commercial use only. It is used for comparison alone; this one neither contains nor
    requires it. `block` is the side of the blocks in
    pixels (8 by default, which is large for an image of 28) and the assumed noise level is `strength` times sigma. The
    exact variances are computed with an FFT of 16 x 16 instead of 32 x 32: within 0.01 dB on 10 training images, in a
    quarter of the time. Images with a side of less than two blocks, at which the package can crash, are mirrored to
    that. A colour image with a constant chroma channel, for which it gives NaN, is denoised channel by channel.
    """
    from bm3d import BM3DProfile
    from bm3d import bm3d as denoise
    from bm3d import bm3d_rgb as denoise_colour

    profile = BM3DProfile()
    profile.num_threads, profile.nf = 1, 16  # with more threads the order of summation varies
    profile.bs_ht = profile.bs_wiener = parameters["block"]
    missing = [(0, max(2 * parameters["block"] - side, 0)) for side in noisy.shape[-2:]]
    padded = np.pad(noisy.astype(np.float64), [*[(0, 0)] * (noisy.ndim - 2), *missing], "symmetric")
    strength = parameters["strength"] * sigma
    if noisy.ndim == 2:
        restored = denoise(padded, strength, profile)
    else:
        with np.errstate(all="ignore"):
            restored = denoise_colour(padded.transpose(1, 2, 0), strength, profile).transpose(2, 0, 1)
        if not np.isfinite(restored).all():
            restored = np.stack([denoise(plane, strength, profile) for plane in padded])
    return _clipped(restored[..., : noisy.shape[-2], : noisy.shape[-1]])


FILTERS: dict[str, Filter] = {
    "Gaussian": gaussian,
    "median": median,
    "total variation": total_variation,
    "wavelet": wavelet,
    "non-local means": non_local_means,
    "BM3D": bm3d,
}


def restore(method: str, noisy: ImagesF32, sigma: float, parameters: Parameters) -> ImagesF32:
    """Denoise images with the filter `method`, one at a time: (N, C, H, W) float32 in [0, 1]."""
    images = noisy[:, 0] if noisy.shape[1] == 1 else noisy
    restored = [FILTERS[method](image, sigma, parameters) for image in images]
    return np.stack(restored).reshape(noisy.shape) if restored else noisy.copy()


def load_tuned(path: Path = TUNED) -> TunedParameters:
    """The tuned parameters by method, kind of noise and sigma. Raises InputError for a missing or damaged file."""
    try:
        return parse_tuned(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        got, hint = f"{type(error).__name__} ({error})", f"run gan-denoise eval tune --out {path} --force"
        raise InputError.expected(path, "tuned filter parameters", got, hint) from error


def parse_tuned(content: Mapping[str, Any]) -> TunedParameters:
    """The tuned parameters from the rows of `tuning.tune` under the key `rows`. Raises KeyError and TypeError."""
    return {(row["method"], row["noise"], round(row["sigma"], 6)): row["parameters"] for row in content["rows"]}


def tuned_for(tuned: TunedParameters, method: str, noise: str, sigma: float) -> Parameters:
    """The parameters of one filter for one kind of noise and sigma. Raises InputError where it was not tuned."""
    parameters = tuned.get((method, noise, round(sigma, 6)))
    if parameters is None:
        sigmas = sorted(known for name, kind, known in tuned if (name, kind) == (method, noise))
        expected = f"{noise} noise of a tuned sigma ({', '.join(f'{known:g}' for known in sigmas)})"
        raise InputError.expected(method, expected, f"sigma {sigma:g}")
    return parameters


def _cross(size: int) -> NDArray[np.bool_]:
    footprint = np.zeros((size, size), np.bool_)
    footprint[size // 2, :] = footprint[:, size // 2] = True
    return footprint


FOOTPRINTS: dict[str, NDArray[np.bool_]] = {
    "cross of 5": _cross(3),
    "cross of 9": _cross(5),
    "diamond of 13": ndimage.iterate_structure(_cross(3), 2),
    "3x3": np.ones((3, 3), np.bool_),
    "5x5": np.ones((5, 5), np.bool_),
}


def _channel_axis(image: ImagesF32) -> int | None:
    return 0 if image.ndim == 3 else None


def _clipped(image: NDArray[np.floating]) -> ImagesF32:
    return image.clip(0, 1).astype(np.float32)
