"""The denoising table: noisy images, networks and classical filters side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ImagesF32, Vector
from gan_denoise.eval.denoising.methods import Method
from gan_denoise.eval.denoising.parallel import in_batches, processes
from gan_denoise.eval.labels import NOISY
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim
from gan_denoise.eval.noise import NOISES, SIGMAS, add_noise
from gan_denoise.machine import usable_cores

BENCHMARK_SIGMAS = (0.0, *SIGMAS)
PSNR_CAP_DB = 100.0  # 8-bit images that differ in one level of one pixel of 784 have 77 dB
CHUNK = 500


def evaluate_denoising(
    methods: Mapping[str, Method],
    clean: ImagesF32,
    seed: int = 0,
    sigmas: tuple[float, ...] = BENCHMARK_SIGMAS,
    threads: int = 1,
    track: Track = untracked,
) -> Iterator[dict[str, Any]]:
    """A row for `noisy` and each method at each noise.

    The columns: `method, noise, sigma, psnr_db, psnr_se, ssim, ms_per_image, parameters, multiply_adds, n`. `clean` are
    images (N, 1, H, W) in [0, 1]; the noise comes from `seed`. PSNR and SSIM are means over the images, a PSNR counted
    as 100 dB where it is more, as that of identical images is; `psnr_se` is its standard error, None for one image.
    `noisy` is the input as it is, unclipped where the noise is; what a method gives is clipped. At sigma 0 a method
    that is told so is not run: it would return its input. Times are the processor's on one thread, whatever number of
    `threads` work at once; 0 means one a usable core.
    """
    workers = threads or usable_cores()
    with processes(workers) as pool, ThreadPoolExecutor(workers) as beside:
        for noise, sigma, name in track(list(itertools.product(NOISES, sigmas, (NOISY, *methods)))):
            noisy = add_noise(clean, sigma, noise, seed)
            method = methods.get(name)
            restored, seconds = noisy, None
            if method is not None and (sigma or method.blind):
                restored, seconds = _restore(method, noisy, noise, sigma, beside if method.blind else pool)
            decibels = psnr(clean, restored).clip(max=PSNR_CAP_DB)
            yield {
                "method": name,
                "noise": noise,
                "sigma": sigma,
                "psnr_db": float(decibels.mean()),
                "psnr_se": _standard_error(decibels),
                "ssim": _mean_ssim(clean, restored),
                "ms_per_image": None if seconds is None else 1000 * seconds / len(clean),
                "parameters": method.size.parameters if method and method.size else None,
                "multiply_adds": method.size.multiply_adds if method and method.size else None,
                "n": len(clean),
            }


def _restore(
    method: Method, noisy: ImagesF32, noise: str, sigma: float, pool: Executor | None
) -> tuple[ImagesF32, float]:
    return in_batches(method.prepare(noise, sigma), noisy, method.batch, pool)


def _standard_error(values: Vector) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _mean_ssim(clean: ImagesF32, restored: ImagesF32) -> float:
    """The mean SSIM, worked out in chunks: it needs a dozen float64 copies of the images."""
    starts = range(0, len(clean), CHUNK)
    return float(np.concatenate([ssim(clean[s : s + CHUNK], restored[s : s + CHUNK]) for s in starts]).mean())
