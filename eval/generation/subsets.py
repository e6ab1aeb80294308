"""How far the comparison of raw and denoised images depends on their number, and on their class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset, split_classifier_fit
from gan_denoise.data.images import ImagesU8
from gan_denoise.eval.generation.by_features import distance_columns
from gan_denoise.eval.generation.evaluate import generate_sets, requested_classes
from gan_denoise.eval.generation.extractor import FeatureExtractor
from gan_denoise.eval.generation.reference import MAX_FEATURES, collect, make_test_reference
from gan_denoise.eval.labels import DENOISED, RAW
from gan_denoise.eval.metrics.frechet import statistics
from gan_denoise.export.runtime import Graph

SIZES = (500, 1_000, 2_000, 5_000)  # numbers of images, beside all
ALL_CLASSES = "all"

Row = dict[str, Any]


def subset_rows(
    fused: Graph, dataset: Dataset, network: FeatureExtractor, n: int, seed: int, track: Track = untracked
) -> list[Row]:
    """Rows for the first of n generated images, at most 10,000, compared with all test images; then one for each class.

    The columns: `class` ("all" in the rows of several numbers), `n`, the Fréchet distances `real`, `raw`, `denoised`,
    `ratio` with `ratio_low` and `ratio_high`, and `excess_ratio`, as in `feature_row`. The images of a class are those
    whose latents select it; where a generator has no classes, those that the network puts into it before denoising.
    They are compared with the test images of the class. Distances are None for no more images than features. There are
    no rows of classes where neither generator nor network has the classes of the data.
    """
    n = min(n, MAX_FEATURES)
    sets = collect(generate_sets(fused, n, seed, track), network)
    before, after = sets[RAW].features, sets[DENOISED].features
    reference = make_test_reference(dataset, network)
    unseen = split_classifier_fit(dataset.train)[1]
    real = network.of_real(unseen.images)[0]
    rows = [
        {"class": ALL_CLASSES, "n": m, **distance_columns(real[:m], before[:m], after[:m], reference.statistics)}
        for m in (*(size for size in SIZES if size < n), n)
    ]
    requested = requested_classes(fused, n, seed)
    labels = sets[RAW].labels if requested is None else requested
    if labels is None:
        return rows
    for name, generated, tested, held_out in _members(dataset, labels, unseen.labels):
        test = reference.features[tested]
        gaussian = statistics(test) if len(test) > test.shape[1] else None
        distances = distance_columns(real[held_out], before[generated], after[generated], gaussian)
        rows.append({"class": name, "n": int(generated.sum()), **distances})
    return rows


def _members(
    dataset: Dataset, generated: ImagesU8, held_out: ImagesU8
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """For each class its name and masks of the generated, the test and the held-out images."""
    for label, name in enumerate(dataset.classes):
        yield name, generated == label, dataset.test.labels == label, held_out == label
