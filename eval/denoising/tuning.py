"""Grid search of the classical filters' parameters: the best mean PSNR on held-out training images.

Those for Fashion-MNIST come with the package; those for other images are found at the first use and kept in the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

from gan_denoise.console import Track, print_status, untracked
from gan_denoise.data.dataset import Dataset, split_holdout
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.errors import InputError, OutputError
from gan_denoise.eval.denoising.filters import FILTERS, TunedParameters, load_tuned, parse_tuned, restore
from gan_denoise.eval.denoising.methods import not_installed
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import NOISES, SIGMAS, add_noise
from gan_denoise.files import write_atomic
from gan_denoise.paths import cache_base

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


QUICK_GRIDS: dict[str, Grid] = {  # for other images than Fashion-MNIST: a minute instead of half an hour
    "Gaussian": {"width": (0.4, 0.6, 0.8, 1.0, 1.3), "border": ("reflect",)},
    "median": {"footprint": ("cross of 5", "3x3", "diamond of 13"), "border": ("reflect",)},
    "total variation": {"weight": (0.4, 0.6, 0.8, 1.0)},
    "wavelet": {"wavelet": ("db1",), "levels": (2,), "method": ("BayesShrink",), "threshold": (0.6, 0.8, 1.0)},
    "non-local means": {"patch": (5,), "distance": (5,), "h": (0.4, 0.6, 0.8, 1.0), "noise": (0.5, 1.0)},
    "BM3D": {"block": (4, 8), "strength": (0.8, 1.0, 1.2)},
}
TUNING_PIXELS = 20 * 28**2  # of the images that other data sets are tuned on
TUNING_SEED = 1


def tuned_filters(dataset: Dataset, track: Track = untracked) -> TunedParameters:
    """The filters' parameters for the images of a data set, from the package or the cache, else tuned and kept there.

    Tuned on some held-out training images. BM3D is left out where its package is missing.
    """
    if dataset.is_fashion_mnist:
        return load_tuned()
    missing = not_installed(FILTERS)
    grids = {name: grid for name, grid in QUICK_GRIDS.items() if name not in missing}
    count = max(4, TUNING_PIXELS // math.prod(dataset.train.shape))
    identity = f"{dataset.sha256} {count} {sorted(grids)} {QUICK_GRIDS}"
    file = cache_base() / "filters" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(InputError):
        return load_tuned(file)
    print_status("filters: tuning on held-out training images, once for this data set")
    clean = to_float(split_holdout(dataset.train)[1].images[:count])
    rows = list(tune(clean, TUNING_SEED, grids=grids, track=track))
    content = json.dumps({"data_sha256": dataset.sha256, "n": len(clean), "seed": TUNING_SEED, "rows": rows}, indent=1)
    with contextlib.suppress(OutputError):  # a cache that cannot be written costs the search each time
        write_atomic(file, content + "\n")
    return parse_tuned({"rows": rows})


def tune(
    clean: ImagesF32,
    seed: int,
    sigmas: tuple[float, ...] = SIGMAS,
    grids: dict[str, Grid] = GRIDS,
    track: Track = untracked,
) -> Iterator[dict[str, Any]]:
    """The best parameters of each filter for each noise: rows `method, noise, sigma, parameters, psnr_db`.

    `clean` (N, C, H, W) float32 in [0, 1] are training images; `seed` determines the noise.
    """
    for method, noise, sigma in track(list(itertools.product(grids, NOISES, sigmas))):
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
