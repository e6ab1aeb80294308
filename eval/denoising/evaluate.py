"""The denoising table: noisy images, networks and classical filters, measured on the same noise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ImagesF32, ImagesU8, Vector, to_uint8
from gan_denoise.eval.denoising.methods import Method
from gan_denoise.eval.denoising.parallel import in_batches, processes
from gan_denoise.eval.labels import NOISY
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim
from gan_denoise.eval.noise import NOISES, SIGMAS, add_noise
from gan_denoise.machine import usable_cores

Accuracy = Callable[[ImagesU8], float]  # the fraction of images that a classifier puts into their class
BENCHMARK_SIGMAS = (0.0, *SIGMAS)
PSNR_CAP_DB = 100.0  # images of 784 pixels that differ by one 8-bit level in one pixel have 77 dB
CHUNK = 500  # images of one SSIM computation


def evaluate_denoising(
    methods: Mapping[str, Method],
    clean: ImagesF32,
    seed: int = 0,
    sigmas: tuple[float, ...] = BENCHMARK_SIGMAS,
    threads: int = 1,
    track: Track = untracked,
    accuracy: Accuracy | None = None,
) -> Iterator[dict[str, Any]]:
    """A row for `noisy` and each method, for each kind of noise and each sigma.

    The columns: `method, noise, sigma, psnr_db, psnr_se, ssim, ms_per_image, parameters, multiply_adds, n`. `clean` are
    images (N, C, H, W) in [0, 1]; `seed` determines the noise. PSNR and SSIM are means over the images; the PSNR of an
    image is capped at 100 dB, the value for identical images; `psnr_se` is its standard error, None for one image.
    `noisy` is the input itself, unclipped for float noise; outputs of methods are clipped. At sigma 0 only blind
    methods run, since the others return their input. With `accuracy` there is `class_accuracy`, that of a classifier on
    the restored images, clipped and rounded to 8 bits. Times are CPU times on one thread, independent of the number of
    worker `threads`; 0 means one per available core. Those of networks on another provider are not measured.
    """
    workers = threads or usable_cores()
    with processes(workers) as pool, ThreadPoolExecutor(workers) as threads_pool:
        for noise, sigma, name in track(list(itertools.product(NOISES, sigmas, (NOISY, *methods)))):
            noisy = add_noise(clean, sigma, noise, seed)
            method = methods.get(name)
            restored, seconds = noisy, None
            if method is not None and (sigma or method.blind):
                restored, taken = _restore(method, noisy, noise, sigma, threads_pool if method.blind else pool)
                seconds = taken if method.is_timed else None
            decibels = psnr(clean, restored).clip(max=PSNR_CAP_DB)
            yield {
                "method": name,
                "noise": noise,
                "sigma": sigma,
                "psnr_db": float(decibels.mean()),
                "psnr_se": standard_error(decibels),
                "ssim": _mean_ssim(clean, restored),
                "ms_per_image": None if seconds is None else 1000 * seconds / len(clean),
                "parameters": method.size.parameters if method and method.size else None,
                "multiply_adds": method.size.multiply_adds if method and method.size else None,
                "n": len(clean),
                **({} if accuracy is None else {"class_accuracy": accuracy(to_uint8(restored.clip(0, 1)))}),
            }


def _restore(
    method: Method, noisy: ImagesF32, noise: str, sigma: float, pool: Executor | None
) -> tuple[ImagesF32, float]:
    return in_batches(method.prepare(noise, sigma), noisy, method.batch, pool)


def standard_error(values: Vector) -> float | None:
    """The standard error of the mean; None for one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _mean_ssim(clean: ImagesF32, restored: ImagesF32) -> float:
    """The mean SSIM, in chunks: the computation holds a dozen float64 copies of the images."""
    starts = range(0, len(clean), CHUNK)
    return float(np.concatenate([ssim(clean[s : s + CHUNK], restored[s : s + CHUNK]) for s in starts]).mean())
