"""What lies behind the generation table: the classes that pictures fall into, and how near they come to copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_denoise.data.fashion_mnist import CLASSES, Bytes, Dataset
from gan_denoise.eval import classes
from gan_denoise.eval.generation import PictureSet, Real
from gan_denoise.eval.neighbours import nearest, summary
from gan_denoise.eval.prdc import overlap
from gan_denoise.progress import Track, untracked

YARDSTICK = "test images"


def class_rows(sets: Mapping[str, PictureSet], real: Real) -> list[dict[str, Any]]:
    """Rows `set, class, share, real_share, recall`, one a set and class.

    Classes are those that the feature network sees, in the test images too, so that its mistakes are on both sides.
    `recall` is the share of the class's test images that lie among the set's pictures (prdc.py).
    """
    labels = real.test.labels
    expected = classes.shares(labels)
    rows = []
    for name, pictures in sets.items():
        found = overlap(real.test.features, pictures.features, real_radii=real.radii)
        recalls = classes.recall_per_class(found.recalled, labels)
        for label, *numbers in zip(CLASSES, classes.shares(pictures.labels), expected, recalls, strict=True):
            share, real_share, recall = map(float, numbers)
            rows.append({"set": name, "class": label, "share": share, "real_share": real_share, "recall": recall})
    return rows


def class_summary(sets: Mapping[str, PictureSet], real: Real) -> dict[str, dict[str, float]]:
    """For each set the `total_variation` from the test images' classes, and how many of these are `missing`."""
    expected = classes.shares(real.test.labels)
    found = {name: classes.shares(pictures.labels) for name, pictures in sets.items()}
    return {
        name: {
            "total_variation": round(classes.total_variation(shares, expected), 4),
            "missing": classes.missing(shares),
        }
        for name, shares in found.items()
    }


def copy_rows(sets: Mapping[str, Bytes], data: Dataset, track: Track = untracked) -> list[dict[str, Any]]:
    """Rows `set, n, median_distance, closer` for pictures (N, 28, 28) uint8 by set, and for as many test images.

    Distances are to the nearest of all training images. Copies show as a median below, and a `closer` above, that of
    the test images, which nobody trained on.
    """
    count = max(len(pictures) for pictures in sets.values())
    everything = {**sets, YARDSTICK: data.test.images[:count]}
    distances = {name: nearest(everything[name], data.train.images)[0] for name in track(list(everything))}
    return [
        {"set": name, "n": len(everything[name]), **summary(found, distances[YARDSTICK])}
        for name, found in distances.items()
    ]
