"""The denoising table: the noisy image, the network and the classical filters on the same test images."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from gan_denoise.eval.baselines import FILTERS, Tuned, restore, tuned_for
from gan_denoise.eval.progress import Track, untracked
from gan_denoise.eval.restoration import NOISES, SIGMAS, Images, add_noise, psnr, ssim
from gan_denoise.export.runtime import BATCH, Graph

METHODS = ("noisy", "network", *FILTERS)
CHUNK = 500


def evaluate_denoising(
    denoiser: Graph,
    clean: Images,
    tuned: Tuned,
    seed: int = 0,
    sigmas: tuple[float, ...] = SIGMAS,
    track: Track = untracked,
) -> Iterator[dict[str, Any]]:
    """Rows `method, noise, sigma, psnr_db, ssim, ms_per_image, n` for clean images (N, 1, H, W) in [0, 1].

    PSNR and SSIM are means over the images. `noisy` is the input as it is, unclipped where the noise is; what a
    method gives is clipped. The filters take one image at a time on one thread, the network batches of 64 on the
    graph's threads. The noise comes from `seed`. Raises InputError when a filter was not tuned for a sigma.
    """
    for noise, sigma, method in track(list(itertools.product(NOISES, sigmas, METHODS))):
        noisy = add_noise(clean, sigma, noise, seed)
        restored, seconds = _restore(method, denoiser, tuned, noisy, noise, sigma)
        yield {
            "method": method,
            "noise": noise,
            "sigma": sigma,
            "psnr_db": float(psnr(clean, restored).mean()),
            "ssim": _mean_ssim(clean, restored),
            "ms_per_image": None if seconds is None else 1000 * seconds / len(clean),
            "n": len(clean),
        }


def _restore(
    method: str, denoiser: Graph, tuned: Tuned, noisy: Images, noise: str, sigma: float
) -> tuple[Images, float | None]:
    """What `method` makes of the noisy images, and the seconds that it took; None where nothing ran."""
    if method == "noisy":
        return noisy, None
    if method == "network":
        denoiser(noisy[:BATCH])  # the first call allocates
        start = time.perf_counter()
        restored = denoiser.batched(noisy)[0].clip(0, 1)
    else:
        parameters = tuned_for(tuned, method, noise, sigma)
        start = time.perf_counter()
        restored = restore(method, noisy, sigma, parameters)
    return restored, time.perf_counter() - start


def _mean_ssim(clean: Images, restored: Images) -> float:
    """The mean SSIM, worked out in chunks: it needs a dozen float64 copies of the images."""
    starts = range(0, len(clean), CHUNK)
    return float(np.concatenate([ssim(clean[s : s + CHUNK], restored[s : s + CHUNK]) for s in starts]).mean())
