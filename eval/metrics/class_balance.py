"""Class distribution of images by the labels of the feature network: fractions, missing classes, agreement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_denoise.errors import InputError

Labels = NDArray[np.integer]
Fractions = NDArray[np.float64]


def class_fractions(labels: Labels, classes: int = 10) -> Fractions:
    """The fraction of each class, (classes,), summing to 1, among labels (N,) from 0 to classes - 1.

    Raises InputError for no labels or a label out of range.
    """
    if labels.ndim != 1 or not len(labels):
        raise InputError.expected("labels", "(N,) with N of 1 or more", list(labels.shape))
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError.expected("labels", f"values from 0 to {classes - 1}", f"{labels.min()} to {labels.max()}")
    return np.bincount(labels, minlength=classes) / len(labels)


def total_variation(a: Fractions, b: Fractions) -> float:
    """Half the sum of absolute differences of two distributions: 0 for equal ones, 1 when no class is in both."""
    return float(np.abs(a - b).sum() / 2)


def count_missing(a: Fractions) -> int:
    """The number of classes without an image."""
    return int((a == 0).sum())


def recall_per_class(recalled: NDArray[np.bool_], labels: Labels, classes: int = 10) -> Fractions:
    """The recall of each class's real images, (classes,); NaN for a class without real images.

    `recalled` (N,) is that of `prdc.overlap`, `labels` (N,) are those of the real images. A class that the generator
    lost has a low recall even if the recall of all images is high.
    """
    counts = np.bincount(labels, minlength=classes)
    n_recalled = np.bincount(labels[recalled], minlength=classes)
    with np.errstate(invalid="ignore"):
        fractions: Fractions = n_recalled / counts
    return fractions


def agreement(a: Labels, b: Labels) -> float:
    """The fraction of pairs with the same label, 0 to 1. Raises InputError when the lengths differ."""
    if len(a) != len(b) or not len(a):
        raise InputError.expected("labels", "one or more pairs", f"{len(a)} and {len(b)} labels")
    return float((a == b).mean())
