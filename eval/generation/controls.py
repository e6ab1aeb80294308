"""What else could be done to generated images, or in their place: rows that the denoiser's are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset, split_classifier_fit, split_holdout
from gan_denoise.data.images import ImagesF32, ImagesU8, to_float, to_uint8
from gan_denoise.eval.denoising.filters import Parameters, load_tuned, restore, tuned_for
from gan_denoise.eval.generation import gaussian_mixture
from gan_denoise.eval.generation.evaluate import generate_sets, measure_sets
from gan_denoise.eval.generation.reference import RealImages, collect, extract_features
from gan_denoise.eval.labels import BLACK_LEVEL, GAUSSIAN, MIXTURE, NLM, RAW, REAL_DENOISED
from gan_denoise.eval.metrics import class_balance
from gan_denoise.eval.metrics.frechet import Statistics, frechet_distance, statistics
from gan_denoise.export.latents import another_seed
from gan_denoise.export.runtime import Graph
from gan_denoise.options import BATCH

BLACK_THRESHOLD = 2 / 255  # as in models/unet.py, whose last step the filters share
WIDTHS = (0.3, 0.35, 0.4, 0.5)  # of the Gaussian filter, in pixels; less changes no level of 255
SIGMAS = (0.0025, 0.005, 0.01, 0.02, 0.04)  # of the noise that non-local means are told of
TUNING_SAMPLES = 10_000  # images that a strength is chosen on

ImageFilter = Callable[[ImagesU8], ImagesU8]


@dataclass(frozen=True, slots=True)
class TunedFilter:
    """A filter of images (N, H, W) uint8, its strength, and the strengths that it was chosen from."""

    filter: ImageFilter
    strength: float
    offered: tuple[float, ...]


def filtered_rows(
    fused: Graph, real: RealImages, filters: Mapping[str, TunedFilter], n: int, seed: int, track: Track = untracked
) -> list[dict[str, Any]]:
    """Rows as of `evaluate_sets`: `raw`, `denoised`, and what each filter makes of the same raw images."""

    def batches() -> Iterator[dict[str, ImagesU8]]:
        for batch in generate_sets(fused, n, seed, track):
            yield {**batch, **{name: chosen.filter(batch[RAW]) for name, chosen in filters.items()}}

    return list(measure_sets(collect(batches(), real.network), real))


def chosen_filters(
    fused: Graph, network: Graph, dataset: Dataset, n: int, seed: int, track: Track = untracked
) -> dict[str, TunedFilter]:
    """What is done to raw images: haze removed; before that a Gaussian filter, or non-local means, of best strength.

    That strength takes n images of another seed nearest to the held-out training images, by the Fréchet distance on
    the features of `network`. Otherwise the filters are as tuned for the weakest noise of the denoising table. Raises
    InputError when fewer than 97 images are held out.
    """
    held_out = _seen(split_holdout(dataset.train)[1].images, network)
    trial = np.concatenate([batch[RAW] for batch in generate_sets(fused, n, another_seed(seed))])
    gaussian, means = (tuned_for(load_tuned(), name, "float", 15 / 255) for name in ("Gaussian", "non-local means"))
    offered: dict[str, dict[float, ImageFilter]] = {
        BLACK_LEVEL: {BLACK_THRESHOLD: _threshold_black(lambda images: images)},
        GAUSSIAN: {width: _filter("Gaussian", 0.0, {**gaussian, "width": width}) for width in WIDTHS},
        NLM: {sigma: _filter("non-local means", sigma, means) for sigma in SIGMAS},
    }
    chosen = {}
    for name, strengths in offered.items():
        distances = {
            strength: frechet_distance(_seen(take(trial), network), held_out)
            for strength, take in track(list(strengths.items()))
        }
        best = min(distances, key=distances.__getitem__)
        chosen[name] = TunedFilter(strengths[best], best, tuple(strengths))
    return chosen


def mixture_row(real: RealImages, dataset: Dataset, n: int, seed: int) -> dict[str, Any]:
    """The row of n images from a Gaussian mixture, fitted and drawn with `seed`. Raises as `mixture.fit`."""
    fitted = gaussian_mixture.fit(split_holdout(dataset.train)[0].images[: gaussian_mixture.FITTED], seed=seed)
    (row,) = measure_sets(collect([{MIXTURE: gaussian_mixture.sample(fitted, n, seed)}], real.network), real)
    return {**row, "class_preserved": None}  # there is no image to agree with


def real_denoised_row(denoiser: Graph, real: RealImages, dataset: Dataset, n: int) -> dict[str, Any]:
    """The row of the floor's n images after the denoiser, without any noise.

    The feature network has not seen them; a denoiser that was trained on all training images has.
    """
    images = split_classifier_fit(dataset.train)[1].images[:n]

    def batches() -> Iterator[dict[str, ImagesU8]]:
        for start in range(0, len(images), BATCH):
            noisy = to_float(images[start : start + BATCH])
            yield {REAL_DENOISED: to_uint8(denoiser(noisy)[0].clip(0, 1))}

    sets = collect(batches(), real.network)
    (row,) = measure_sets(sets, real)
    return {**row, "class_preserved": class_balance.agreement(real.unseen.labels, sets[REAL_DENOISED].labels)}


def _filter(method: str, sigma: float, parameters: Parameters) -> ImageFilter:
    return _threshold_black(lambda images: restore(method, images, sigma, parameters))


def _threshold_black(filtered: Callable[[ImagesF32], ImagesF32]) -> ImageFilter:
    def take(images: ImagesU8) -> ImagesU8:
        floats = filtered(to_float(images))
        return to_uint8(np.minimum(floats, 2 * np.maximum(floats - np.float32(BLACK_THRESHOLD), 0)))

    return take


def _seen(images: ImagesU8, network: Graph) -> Statistics:
    return statistics(extract_features(to_float(images), network).features)
