"""Measure methods on photographs, one image at a time, each read, made noisy, denoised and scored by one worker."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from skimage.restoration import estimate_sigma

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ImagesF32
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB, standard_error
from gan_denoise.eval.denoising.methods import Method
from gan_denoise.eval.denoising.parallel import map_in_pool, processes, timed
from gan_denoise.eval.denoising.photographs.files import PhotographFiles, count_pixels, read_photograph
from gan_denoise.eval.labels import NOISY
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim_of_large
from gan_denoise.eval.noise import NOISES, add_photograph_noise
from gan_denoise.export.denoise.tiling import to_unit
from gan_denoise.machine import usable_cores

MAX_PIXELS_AT_ONCE = 50_000_000  # of all images that are processed at a time; a pixel takes some 100 bytes
REAL, CLEAN = "real", "clean"  # kinds of noise of pairs: that of the noisy files, none


class Noise(NamedTuple):
    """A kind of noise and its sigma for pixels in [0, 1], None where it is the real noise of pairs."""

    kind: str
    sigma: float | None


class Score(NamedTuple):
    """The quality of one restored image, and what it took."""

    psnr_db: float
    ssim: float
    pixels: int
    seconds: float | None  # CPU time of one thread; None where nothing ran


REAL_NOISES = (Noise(REAL, None), Noise(CLEAN, 0.0))


def gaussian_noises(sigmas: Sequence[float]) -> tuple[Noise, ...]:
    """Both kinds of Gaussian noise at sigma 0 and each of `sigmas`."""
    return tuple(itertools.starmap(Noise, itertools.product(NOISES, (0.0, *sigmas))))


def evaluate_photographs(
    methods: Mapping[str, Method],
    photographs: Sequence[PhotographFiles],
    noises: Sequence[Noise],
    seed: int = 0,
    threads: int = 1,
    track: Track = untracked,
) -> Iterator[dict[str, Any]]:
    """A row for `noisy` and each method, for each of `noises`: means over the photographs, and the values of each.

    The columns: `method, noise, sigma, psnr_db, psnr_se, ssim`, for real noise `gain_db` and `worst_gain_db` over the
    noisy image, `ms_per_megapixel, parameters, multiply_adds_per_pixel, n, per_image`. Gaussian noise is that of
    `add_photograph_noise` with `seed` + i for photograph i. The result is clipped and rounded to the bits of the clean
    file, `noisy` is the input itself. PSNR is capped at 100 dB. Methods are told sigma, for real noise the
    `estimate_sigma` of scikit-image (Donoho and Johnstone 1994); at sigma 0 only blind ones run, since the others
    return their input. Times are CPU times of one thread, without reading and scoring. `threads` photographs are
    processed at a time, fewer if they are so large that they would take too much memory; 0 means one per available
    core. The times of networks on another provider are not measured.
    """
    fitting = MAX_PIXELS_AT_ONCE // max(map(count_pixels, photographs), default=1)
    workers = max(1, min(threads or usable_cores(), fitting))
    numbered = list(enumerate(photographs, seed))
    with processes(workers) as pool, ThreadPoolExecutor(workers) as threads_pool:
        noisy: list[Score] = []
        for noise, name in track(list(itertools.product(noises, (NOISY, *methods)))):
            method = methods.get(name)
            is_filter = method is not None and method.size is None  # Python code: two at once take two processes
            scores = map_in_pool(partial(_score, noise, method), numbered, pool if is_filter else threads_pool)
            noisy = scores if name == NOISY else noisy
            yield _row(name, noise, method, photographs, scores, noisy)


def _score(noise: Noise, method: Method | None, numbered: tuple[int, PhotographFiles]) -> Score:
    """Read photograph i, add the noise, denoise (without a method not) and measure."""
    i, photograph = numbered
    clean_pixels, noisy_pixels = read_photograph(photograph)
    clean = to_unit(clean_pixels)[None]  # (1, C, H, W)
    if noise.kind == REAL and noisy_pixels is not None:
        noisy = to_unit(noisy_pixels)[None]
    else:
        noisy = add_photograph_noise(clean, noise.sigma or 0.0, "8-bit" if noise.kind == "8-bit" else "float", i)
    sigma = _estimate(noisy) if noise.sigma is None else noise.sigma
    restored, seconds = noisy, None
    if method is not None and (sigma or method.blind):
        restored, taken = timed(method.prepare(noise.kind, sigma), noisy)
        seconds = taken if method.is_timed else None
        restored = _to_levels(restored, np.iinfo(clean_pixels.dtype).max)
    decibels = min(float(psnr(clean, restored)[0]), PSNR_CAP_DB)
    return Score(decibels, ssim_of_large(clean, restored), clean[0, 0].size, seconds)


def _to_levels(restored: ImagesF32, white: int) -> ImagesF32:
    """The image as a file of the clean one's type holds it: clipped, and rounded to 255 or 65535 levels."""
    levels: ImagesF32 = np.rint(restored.clip(0, 1) * np.float32(white))
    return levels / np.float32(white)


def _estimate(noisy: ImagesF32) -> float:
    """The estimated sigma, the mean over the channels; 0 for an image without fine details."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the median of no coefficients
        sigma = estimate_sigma(noisy[0], channel_axis=0, average_sigmas=True)  # type: ignore[no-untyped-call]
    return float(np.nan_to_num(sigma))


def _row(
    name: str,
    noise: Noise,
    method: Method | None,
    photographs: Sequence[PhotographFiles],
    scores: Sequence[Score],
    noisy: Sequence[Score],
) -> dict[str, Any]:
    decibels = np.array([score.psnr_db for score in scores])
    timed_scores = [(score.seconds, score.pixels) for score in scores if score.seconds is not None]
    seconds, pixels = (sum(values) for values in zip(*timed_scores, strict=True)) if timed_scores else (None, 0)
    size = method.size if method else None
    row: dict[str, Any] = {
        "method": name,
        "noise": noise.kind,
        "sigma": noise.sigma,
        "psnr_db": float(decibels.mean()),
        "psnr_se": standard_error(decibels),
        "ssim": float(np.mean([score.ssim for score in scores])),
    }
    if noise.kind == REAL:
        gains = decibels - [score.psnr_db for score in noisy]
        row |= {"gain_db": float(gains.mean()), "worst_gain_db": float(gains.min())} if name != NOISY else {}
    return row | {
        "ms_per_megapixel": 1e9 * seconds / pixels if seconds is not None else None,
        "parameters": size.parameters if size else None,
        "multiply_adds_per_pixel": size.multiply_adds if size else None,
        "n": len(scores),
        "per_image": [
            {"image": photograph.name, "psnr_db": score.psnr_db, "ssim": score.ssim}
            for photograph, score in zip(photographs, scores, strict=True)
        ],
    }
