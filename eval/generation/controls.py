"""Controls of the generation table: filters of the raw images, a Gaussian mixture, and denoised real images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset, split_classifier_fit, split_holdout
from gan_denoise.data.images import ImagesF32, ImagesU8, to_float, to_uint8
from gan_denoise.eval.denoising.filters import Parameters, TunedParameters, restore, tuned_for
from gan_denoise.eval.generation import gaussian_mixture
from gan_denoise.eval.generation.evaluate import generate_sets, measure_sets, share_of_equal_classes
from gan_denoise.eval.generation.extractor import FeatureExtractor
from gan_denoise.eval.generation.reference import (
    RealImages,
    Reference,
    collect,
    extract_features,
    make_reference,
    score,
)
from gan_denoise.eval.labels import BLACK_LEVEL, GAUSSIAN, MIXTURE, NLM, RAW, REAL_DENOISED
from gan_denoise.export.latents import another_seed
from gan_denoise.export.runtime import Graph
from gan_denoise.options import BATCH

BLACK_THRESHOLD = 2 / 255  # as in models/unet.py: the filters end with the U-Net's last step
WIDTHS = (0.3, 0.35, 0.4, 0.5)  # of the Gaussian filter, in pixels; smaller ones change no 8-bit level
SIGMAS = (0.0025, 0.005, 0.01, 0.02, 0.04)  # noise levels that non-local means assumes
TUNING_SAMPLES = 10_000  # images that a strength is tuned on

ImageFilter = Callable[[ImagesU8], ImagesU8]


@dataclass(frozen=True, slots=True)
class TunedFilter:
    """A filter of images uint8, its strength, and the candidates that the strength was chosen from."""

    filter: ImageFilter
    strength: float
    candidates: tuple[float, ...]


def filtered_rows(
    fused: Graph, real: Reference, filters: Mapping[str, TunedFilter], n: int, seed: int, track: Track = untracked
) -> list[dict[str, Any]]:
    """Rows as of `measure_sets`: `raw`, `denoised`, and the same raw images after each filter."""

    def batches() -> Iterator[dict[str, ImagesU8]]:
        for batch in generate_sets(fused, n, seed, track):
            yield {**batch, **{name: tuned.filter(batch[RAW]) for name, tuned in filters.items()}}

    return list(measure_sets(collect(batches(), real.network), real))


def tune_filters(
    fused: Graph,
    network: FeatureExtractor,
    tuned_filters: TunedParameters,
    dataset: Dataset,
    n: int,
    seed: int,
    track: Track = untracked,
) -> dict[str, TunedFilter]:
    """The filters of raw images: a black-level threshold, alone and after a Gaussian filter or non-local means.

    The strength is the candidate with the smallest `score` between n raw images of another seed and the held-out
    training images. The other parameters are those of `tuned_filters` for the lowest noise level of the denoising
    table. Raises InputError when too few images are held out.
    """
    held_out = make_reference(split_holdout(dataset.train)[1].images, network)
    raw = np.concatenate([batch[RAW] for batch in generate_sets(fused, n, another_seed(seed))])
    gaussian, nlm = (tuned_for(tuned_filters, name, "float", 15 / 255) for name in ("Gaussian", "non-local means"))
    candidates: dict[str, dict[float, ImageFilter]] = {
        BLACK_LEVEL: {BLACK_THRESHOLD: _threshold_black(lambda images: images)},
        GAUSSIAN: {width: _make_filter("Gaussian", 0.0, {**gaussian, "width": width}) for width in WIDTHS},
        NLM: {sigma: _make_filter("non-local means", sigma, nlm) for sigma in SIGMAS},
    }
    tuned = {}
    for name, filters in candidates.items():
        distances = {
            strength: score(held_out, extract_features(to_float(image_filter(raw)), network))
            for strength, image_filter in track(list(filters.items()))
        }
        best = min(distances, key=distances.__getitem__)
        tuned[name] = TunedFilter(filters[best], best, tuple(filters))
    return tuned


def mixture_row(real: Reference, dataset: Dataset, n: int, seed: int) -> dict[str, Any]:
    """The row of n images from a Gaussian mixture, fitted and sampled with `seed`.

    Raises as `gaussian_mixture.fit`.
    """
    mixture = gaussian_mixture.fit(split_holdout(dataset.train)[0].images[: gaussian_mixture.FITTED], seed=seed)
    images = gaussian_mixture.sample(mixture, n, seed)
    (row,) = measure_sets(collect([{MIXTURE: images}], real.network), real)
    return {**row, "class_preserved": None}  # the samples correspond to no raw images


def real_denoised_row(denoiser: Graph, real: RealImages, dataset: Dataset, n: int) -> dict[str, Any]:
    """The row of the real baseline's n images after the denoiser, without added noise.

    The feature network was not trained on these images; a denoiser that was trained on all training images was.
    """
    images = split_classifier_fit(dataset.train)[1].images[:n]

    def batches() -> Iterator[dict[str, ImagesU8]]:
        for start in range(0, len(images), BATCH):
            clean = to_float(images[start : start + BATCH])
            yield {REAL_DENOISED: to_uint8(denoiser(clean)[0].clip(0, 1))}

    sets = collect(batches(), real.reference.network)
    (row,) = measure_sets(sets, real.reference)
    preserved = share_of_equal_classes(real.unseen.labels, sets[REAL_DENOISED].labels)
    return {**row, "class_preserved": preserved}


def _make_filter(method: str, sigma: float, parameters: Parameters) -> ImageFilter:
    return _threshold_black(lambda images: restore(method, images, sigma, parameters))


def _threshold_black(restore_images: Callable[[ImagesF32], ImagesF32]) -> ImageFilter:
    def apply(images: ImagesU8) -> ImagesU8:
        restored = restore_images(to_float(images))
        return to_uint8(np.minimum(restored, 2 * np.maximum(restored - np.float32(BLACK_THRESHOLD), 0)))

    return apply
