"""Which classes images fall into, by the labels that the feature network gives them: shares, and what is missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_denoise.errors import InputError

Labels = NDArray[np.integer]
Fractions = NDArray[np.float64]


def class_fractions(labels: Labels, classes: int = 10) -> Fractions:
    """The share of each class, (classes,), summing to 1, among labels (N,) from 0 to classes - 1.

    Raises InputError when there are no labels or one is another number.
    """
    if labels.ndim != 1 or not len(labels):
        raise InputError(f"labels: shape {list(labels.shape)} found, (N,) with N of 1 or more wanted")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"labels: {labels.min()} to {labels.max()} found, 0 to {classes - 1} wanted")
    return np.bincount(labels, minlength=classes) / len(labels)


def total_variation(a: Fractions, b: Fractions) -> float:
    """Half the sum of the absolute differences of two shares: 0 for equal ones, 1 when no class is in both."""
    return float(np.abs(a - b).sum() / 2)


def count_missing(a: Fractions) -> int:
    """The number of classes that hold not one image."""
    return int((a == 0).sum())


def recall_per_class(recalled: NDArray[np.bool_], labels: Labels, classes: int = 10) -> Fractions:
    """The share of each class's real images that lie among the generated ones, (classes,); NaN for no such image.

    `recalled` (N,) is that of `prdc.overlap`, `labels` (N,) are the real images'. A class that the generator has
    lost has a low share although the recall of all may be high.
    """
    counts = np.bincount(labels, minlength=classes)
    found = np.bincount(labels[recalled], minlength=classes)
    with np.errstate(invalid="ignore"):
        ratios: Fractions = found / counts
    return ratios


def agreement(a: Labels, b: Labels) -> float:
    """The share of pairs with the same label, 0 to 1. Raises InputError when the lengths differ."""
    if len(a) != len(b) or not len(a):
        raise InputError(f"labels: {len(a)} and {len(b)} found, as many, and 1 or more, wanted")
    return float((a == b).mean())
