"""The Fréchet distance between two sets of features, each fitted by a Gaussian (Heusel 2017, arXiv:1706.08500)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_denoise.errors import InputError

Matrix = NDArray[np.float64]
RANK_TOLERANCE = 1e-10  # of the largest eigenvalue: what is smaller counts as this


@dataclass(frozen=True, slots=True)
class Statistics:
    """The Gaussian that fits `count` features: mean (D,) and unbiased covariance (D, D), float64."""

    mean: Matrix
    covariance: Matrix
    count: int


class Moments:
    """Accumulates mean and covariance of features batch by batch in constant memory (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: Matrix = np.zeros(0)
        self._scatter: Matrix = np.zeros((0, 0))

    def add(self, features: NDArray[np.floating]) -> None:
        """Add features (N, D), N at least 1. Raises InputError when D changes or a value is not finite."""
        check_features(features)
        values = features.astype(np.float64)
        mean = values.mean(axis=0)  # (D,)
        scatter = (values - mean).T @ (values - mean)  # (D, D)
        if not self.count:
            self.count, self._mean, self._scatter = len(values), mean, scatter
            return
        check_widths(len(self._mean), len(mean))
        total, delta = self.count + len(values), mean - self._mean
        self._scatter = self._scatter + scatter + np.outer(delta, delta) * (self.count * len(values) / total)
        self._mean = self._mean + delta * (len(values) / total)
        self.count = total

    def statistics(self) -> Statistics:
        """Mean and covariance of all features. Raises InputError for fewer than D + 1 features."""
        width = len(self._mean)
        if self.count <= width:
            got, hint = f"{self.count} samples", "measure more images"
            raise InputError.expected("features", f"at least {width + 1} samples of width {width}", got, hint)
        return Statistics(self._mean, self._scatter / (self.count - 1), self.count)


def statistics(features: NDArray[np.floating]) -> Statistics:
    """Mean and covariance of features (N, D).

    Raises InputError when N is below D + 1 (the covariance would be singular) or a value is not finite.
    """
    moments = Moments()
    moments.add(features)
    return moments.statistics()


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2): 0 or more, in squared units of the features.

    Both square roots are computed by symmetric eigendecompositions, so the result is real, unlike sqrtm(C_a C_b).
    Raises InputError when the widths differ.
    """
    check_widths(len(a.mean), len(b.mean))
    root = _symmetric_root(a.covariance)  # (D, D)
    return _distance(a, b, np.linalg.eigvalsh(_product(root, b.covariance)))


def distance_and_influence(features: NDArray[np.floating], reference: Statistics) -> tuple[float, NDArray[np.float64]]:
    """The Fréchet distance of features (N, D) to the reference, and how it changes with the weight of each, (N,).

    The change is the distance's first derivative: 2 (m - m_r) . (x - m) + (x - m)^T (I - T) (x - m) less its mean, with
    T the map that transports the features' Gaussian to the reference's. Its standard deviation over sqrt(N) is the
    distance's standard error over samples (the infinitesimal jackknife, Efron 1982, chapter 6). A bootstrap repeats
    features, which shrinks the covariance and makes the distance larger. Raises InputError as `statistics` does, and
    when the widths differ.
    """
    fitted = statistics(features)
    check_widths(len(fitted.mean), len(reference.mean))
    root = _symmetric_root(reference.covariance)  # (D, D)
    values, vectors = np.linalg.eigh(_product(root, fitted.covariance))
    inverse_root = (vectors / np.sqrt(values.clip(min=RANK_TOLERANCE * values.max()))) @ vectors.T
    change = np.eye(len(root)) - root @ inverse_root @ root  # (D, D)
    centred = features.astype(np.float64) - fitted.mean
    quadratic = ((centred @ change) * centred).sum(axis=1)
    derivative: NDArray[np.float64] = 2 * centred @ (fitted.mean - reference.mean) + quadratic - quadratic.mean()
    return _distance(reference, fitted, values), derivative


def check_features(features: NDArray[np.floating], minimum: int = 1) -> None:
    """Raise InputError unless `features` are (N, D), finite, and N is at least `minimum`."""
    if features.ndim != 2 or len(features) < minimum:
        raise InputError.expected("features", f"(N, D) with N of {minimum} or more", list(features.shape))
    if not np.isfinite(features).all():
        raise InputError.expected("features", "finite numbers", "NaN or infinity")


def check_widths(a: int, b: int) -> None:
    """Raise InputError unless two widths of features are equal."""
    if a != b:
        raise InputError.expected("features", "equal widths", f"{a} and {b}")


def _product(root: Matrix, covariance: Matrix) -> Matrix:
    product = root @ covariance @ root  # (D, D), symmetric except for rounding
    return (product + product.T) / 2


def _distance(a: Statistics, b: Statistics, eigenvalues: NDArray[np.floating]) -> float:
    """The distance, from the eigenvalues (D,) of C_a^1/2 C_b C_a^1/2."""
    overlap = np.sqrt(eigenvalues.clip(min=0)).sum()
    offset = ((a.mean - b.mean) ** 2).sum()
    distance = offset + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return float(max(distance, 0.0))  # rounding can leave -1e-13 for a set against itself


def _symmetric_root(matrix: Matrix) -> Matrix:
    values, vectors = np.linalg.eigh(matrix)
    root: Matrix = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root
