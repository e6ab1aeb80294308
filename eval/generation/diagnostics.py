"""What lies behind the generation table: the classes that images fall into, and how near they come to copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.fashion_mnist import CLASSES
from gan_denoise.data.images import ImagesU8
from gan_denoise.eval.generation.reference import ImageSet, RealImages
from gan_denoise.eval.metrics import class_balance
from gan_denoise.eval.metrics.nearest_neighbours import distance_summary, find_nearest
from gan_denoise.eval.metrics.prdc import overlap

BASELINE_SET = "test images"


def class_rows(sets: Mapping[str, ImageSet], real: RealImages) -> list[dict[str, Any]]:
    """Rows `set, class, share, real_share, recall`, one a set and class.

    Classes are those that the feature network sees, in the test images too, so that its mistakes are on both sides.
    `recall` is the share of the class's test images that lie among the set's images (prdc.py).
    """
    labels = real.test.labels
    expected = class_balance.class_fractions(labels)
    rows = []
    for name, images in sets.items():
        found = overlap(real.test.features, images.features, real_radii=real.radii)
        recalls = class_balance.recall_per_class(found.recalled, labels)
        for label, *numbers in zip(
            CLASSES, class_balance.class_fractions(images.labels), expected, recalls, strict=True
        ):
            share, real_share, recall = map(float, numbers)
            rows.append({"set": name, "class": label, "share": share, "real_share": real_share, "recall": recall})
    return rows


def class_summary(sets: Mapping[str, ImageSet], real: RealImages) -> dict[str, dict[str, float]]:
    """For each set the `total_variation` from the test images' classes, and how many of these are `missing`."""
    expected = class_balance.class_fractions(real.test.labels)
    found = {name: class_balance.class_fractions(images.labels) for name, images in sets.items()}
    return {
        name: {
            "total_variation": round(class_balance.total_variation(shares, expected), 4),
            "missing": class_balance.count_missing(shares),
        }
        for name, shares in found.items()
    }


def copy_rows(sets: Mapping[str, ImagesU8], data: Dataset, track: Track = untracked) -> list[dict[str, Any]]:
    """Rows `set, n, median_distance, closer` for images (N, 28, 28) uint8 by set, and for as many test images.

    Distances are to the nearest of all training images. Copies show as a median below, and a `near_copy_fraction` above, that of
    the test images, which nobody trained on.
    """
    count = max(len(images) for images in sets.values())
    everything = {**sets, BASELINE_SET: data.test.images[:count]}
    distances = {name: find_nearest(everything[name], data.train.images)[0] for name in track(list(everything))}
    return [
        {"set": name, "n": len(everything[name]), **distance_summary(found, distances[BASELINE_SET])}
        for name, found in distances.items()
    ]
