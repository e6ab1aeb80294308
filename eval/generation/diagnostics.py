"""Classes of generated images and their distance to the training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.fashion_mnist import CLASSES
from gan_denoise.data.images import ImagesU8
from gan_denoise.errors import InputError
from gan_denoise.eval.generation.reference import ImageSet, Reference
from gan_denoise.eval.labels import BASELINE_SET
from gan_denoise.eval.metrics import class_balance
from gan_denoise.eval.metrics.nearest_neighbours import distance_summary, find_nearest
from gan_denoise.eval.metrics.prdc import overlap


def class_rows(
    sets: Mapping[str, ImageSet], reference: Reference, classes: Sequence[str] = CLASSES
) -> list[dict[str, Any]]:
    """Rows `set, class, fraction, real_fraction, recall`, one per set and class.

    Classes are predicted by the feature network, for the reference too, so that its errors affect both sides.
    `recall` is that of prdc.py, over the reference images of the class. Raises InputError if the network assigns none.
    """
    real_labels, count = _labels(reference), len(classes)
    real_fractions = class_balance.class_fractions(real_labels, count)
    rows = []
    for name, images in sets.items():
        recalled = overlap(reference.features, images.features, real_radii=reference.radii).recalled
        columns = {
            "fraction": class_balance.class_fractions(_labels(images), count),
            "real_fraction": real_fractions,
            "recall": class_balance.recall_per_class(recalled, real_labels, count),
        }
        rows += [
            {"set": name, "class": label, **{key: float(values[i]) for key, values in columns.items()}}
            for i, label in enumerate(classes)
        ]
    return rows


def class_summary(
    sets: Mapping[str, ImageSet], reference: Reference, classes: Sequence[str] = CLASSES
) -> dict[str, dict[str, float]]:
    """For each set the `total_variation` distance to the reference's classes, and the number of `missing` classes."""
    real_fractions = class_balance.class_fractions(_labels(reference), len(classes))
    fractions = {name: class_balance.class_fractions(_labels(images), len(classes)) for name, images in sets.items()}
    return {
        name: {
            "total_variation": round(class_balance.total_variation(values, real_fractions), 4),
            "missing": class_balance.count_missing(values),
        }
        for name, values in fractions.items()
    }


def _labels(images: ImageSet | Reference) -> ImagesU8:
    if images.labels is None:
        hint = "gan-denoise train classifier, then export the run; or --features FILE.onnx of a classifier"
        raise InputError.expected("--features", "a network that assigns classes", "one without", hint)
    return images.labels


def copy_rows(sets: Mapping[str, ImagesU8], data: Dataset, track: Track = untracked) -> list[dict[str, Any]]:
    """Rows `set, n, median_distance, near_copy_fraction`: one for each set of images, one for as many test images.

    Images are uint8; distances are to the nearest of all training images. A set with copies has a smaller
    median and a larger `near_copy_fraction` than the test images, which were not trained on.
    """
    count = max(len(images) for images in sets.values())
    all_sets = {**sets, BASELINE_SET: data.test.images[:count]}
    distances = {name: find_nearest(all_sets[name], data.train.images)[0] for name in track(list(all_sets))}
    return [
        {"set": name, "n": len(values), **distance_summary(values, distances[BASELINE_SET])}
        for name, values in distances.items()
    ]
