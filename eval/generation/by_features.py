"""Compare images before and after denoising with real ones, by the features of any network."""

from __future__ import annotations

from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset, split_classifier_fit
from gan_denoise.data.images import ImagesU8
from gan_denoise.eval.generation.extractor import FeatureExtractor, Features
from gan_denoise.eval.generation.feature_cache import real_radii
from gan_denoise.eval.generation.reference import MAX_FEATURES
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.confidence import paired_ratio_interval
from gan_denoise.eval.metrics.frechet import Statistics, distance_and_influence, frechet_distance, statistics
from gan_denoise.eval.metrics.kid import kid
from gan_denoise.eval.metrics.prdc import overlap, prdc
from gan_denoise.options import FFD_1

CHUNK = 256  # images between two steps of the progress bar

Row = dict[str, Any]


def feature_row(
    raw: ImagesU8,
    denoised: ImagesU8,
    dataset: Dataset,
    extractor: FeatureExtractor,
    track: Track = untracked,
    alone: ImagesU8 | None = None,
) -> Row:
    """N images uint8 before and after denoising, compared with as many test images by these features.

    For FFD-1 the reference are all test images, as it is defined. The columns: `features, n`; the Fréchet distances
    `raw`, `denoised` and `real`, that of N training images that no feature network was trained on; `ratio`, denoised /
    raw, with `ratio_low, ratio_high`, its 95 % interval over the N latents; `excess_ratio`, the ratio of what lies
    above `real`; `kid`, `precision` and `recall` of the first 10,000 before and after, `kid_real`, and `kid_max_se`,
    the largest of the standard errors. With `alone`, the images of a generator that was trained without the denoiser,
    of the same latents: its distance, and `alone_ratio`, denoised / alone, with its interval. Distances are None unless
    N is above the width of the features. Raises InputError for fewer than 20 images.
    """
    reference = extractor.of_real(dataset.test.images[: len(raw)])[0]
    gaussian = _reference_statistics(extractor, reference)
    radii = real_radii(dataset.test.images[: min(len(raw), MAX_FEATURES)], extractor.label, reference[:MAX_FEATURES])
    real = extractor.of_real(split_classifier_fit(dataset.train)[1].images[: len(raw)])[0]
    sets = [raw, denoised, *([] if alone is None else [alone])]
    images = np.concatenate(sets)
    starts = track(range(0, len(images), CHUNK))
    features = np.concatenate([extractor.extract(images[start : start + CHUNK]) for start in starts])
    before, after, *others = np.split(features, np.cumsum([len(part) for part in sets])[:-1])
    kids = [kid(part[:MAX_FEATURES], reference[:MAX_FEATURES]) for part in (real, before, after)]
    shares = [
        prdc(overlap(reference[:MAX_FEATURES], part[:MAX_FEATURES], real_radii=radii)) for part in (before, after)
    ]
    return {
        "features": extractor.name,
        "n": len(raw),
        **distance_columns(real, before, after, gaussian),
        **(_alone_columns(others[0], after, gaussian) if others else {}),
        **{f"kid_{name}": value for name, (value, _) in zip(("real", "raw", "denoised"), kids, strict=True)},
        "kid_max_se": max(error for _, error in kids),
        **{
            f"{key}_{name}": share[key]
            for key in ("precision", "recall")
            for name, share in zip(("raw", "denoised"), shares, strict=True)
        },
    }


def _reference_statistics(extractor: FeatureExtractor, reference: Features) -> Statistics | None:
    if extractor.name == FFD_1:
        return ffd.load_pinned_metric().reference
    return statistics(reference) if len(reference) > reference.shape[1] else None


def distance_columns(real: Features, before: Features, after: Features, reference: Statistics | None) -> Row:
    """The columns of `feature_row` from `real` to `excess_ratio`; None for no more images than features."""
    names = ("real", "raw", "denoised", "ratio", "ratio_low", "ratio_high", "excess_ratio")
    if reference is None or min(len(before), len(real)) <= before.shape[1]:
        return dict.fromkeys(names)
    floor = frechet_distance(reference, statistics(real))
    raw, denoised, ratio = compare_distances(before, after, reference)
    excess = (denoised - floor) / (raw - floor) if raw > floor else None
    return dict(zip(names, (floor, raw, denoised, *ratio, excess), strict=True))


def _alone_columns(alone: Features, after: Features, reference: Statistics | None) -> Row:
    names = ("alone", "alone_ratio", "alone_ratio_low", "alone_ratio_high")
    if reference is None or len(alone) <= alone.shape[1]:
        return dict.fromkeys(names)
    distance, _, ratio = compare_distances(alone, after, reference)
    return dict(zip(names, (distance, *ratio), strict=True))


def compare_distances(
    before: Features, after: Features, reference: Statistics
) -> tuple[float, float, tuple[float | None, float | None, float | None]]:
    """Both distances, and their ratio with its interval, which is None where a distance is 0."""
    (first, change), (second, changed) = (distance_and_influence(part, reference) for part in (before, after))
    if not min(first, second) > 0:
        return first, second, (None, None, None)
    ratio = paired_ratio_interval(first, second, (change, changed))
    return first, second, (ratio.value, ratio.low, ratio.high)
