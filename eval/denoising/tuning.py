"""Grid search of the classical filters' parameters: the best mean PSNR on held-out training images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ImagesF32
from gan_denoise.eval.denoising.filters import FILTERS, restore
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import NOISES, SIGMAS, add_noise

Grid = dict[str, tuple[Any, ...]]

GRIDS: dict[str, Grid] = {
    "Gaussian": {
        "width": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6),
        "border": ("reflect", "constant"),
    },
    "median": {
        "footprint": ("cross of 5", "cross of 9", "diamond of 13", "3x3", "5x5"),
        "border": ("reflect", "constant"),
    },
    "total variation": {
        "weight": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    },
    "wavelet": {
        "wavelet": ("db1", "db2"),
        "levels": (2, 3),
        "method": ("BayesShrink", "VisuShrink"),
        "threshold": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2),
    },
    "non-local means": {
        "patch": (5, 7),
        "distance": (3, 5, 7),
        "h": (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2),
        "noise": (0.0, 0.5, 1.0),
    },
    "BM3D": {
        "block": (4, 8),
        "strength": (0.6, 0.8, 1.0, 1.2, 1.4),
    },
}


def tune(
    clean: ImagesF32,
    seed: int,
    sigmas: tuple[float, ...] = SIGMAS,
    grids: dict[str, Grid] = GRIDS,
    track: Track = untracked,
) -> Iterator[dict[str, Any]]:
    """The best parameters of each filter for each noise: rows `method, noise, sigma, parameters, psnr_db`.

    `clean` (N, 1, H, W) float32 in [0, 1] are training images; `seed` determines the noise.
    """
    for method, noise, sigma in track(list(itertools.product(FILTERS, NOISES, sigmas))):
        noisy = add_noise(clean, sigma, noise, seed)
        scores = [(_mean_psnr(method, clean, noisy, sigma, p), p) for p in combinations(grids[method])]
        best, parameters = max(scores, key=lambda pair: pair[0])
        yield {"method": method, "noise": noise, "sigma": sigma, "parameters": parameters, "psnr_db": round(best, 3)}


def combinations(grid: Grid) -> Iterator[dict[str, Any]]:
    """All combinations of one value for each parameter, in the order of the grid."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _mean_psnr(method: str, clean: ImagesF32, noisy: ImagesF32, sigma: float, parameters: dict[str, Any]) -> float:
    return float(psnr(clean, restore(method, noisy, sigma, parameters)).mean())
