"""Precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020).

Each feature has a ball around it that just reaches its k-th neighbour in its own set. Two sets are alike where the
features of one lie in the balls of the other. Density and coverage: arXiv:2002.09797.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import Vector
from gan_denoise.eval.metrics.frechet import check_features, check_widths

K = 5
CHUNK = 500  # rows of a distance matrix at a time: 40 MB against 10,000 features

Features = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How N real and M generated features lie in each other's balls, feature by feature."""

    balls: NDArray[np.int64]  # (M,) how many real balls each generated feature lies in
    recalled: NDArray[np.bool_]  # (N,) whether each real feature lies in a generated ball
    covered: NDArray[np.bool_]  # (N,) whether each real ball holds a generated feature


def squared_radii(features: Features, k: int = K) -> Vector:
    """The squared distance of each feature to its k-th neighbour in its own set, (N,), for features (N, D).

    Raises InputError when there are not more than k features, or a value is not finite.
    """
    check_features(features, least=k + 1)
    radii = np.empty(len(features))
    for rows, distances in _squared_distances(features, features):
        distances.partition(k, axis=1)
        radii[rows] = distances[:, k]  # number 0 is the feature itself
    return radii


def overlap(real: Features, generated: Features, k: int = K, real_radii: Vector | None = None) -> Overlap:
    """The overlap of real (N, D) and generated (M, D) features; `real_radii` are `squared_radii(real, k)` if known.

    A feature on the edge of a ball is outside of it, as in Naeem's code. Raises InputError as `squared_radii`, and
    when the widths differ.
    """
    check_widths(real.shape[-1], generated.shape[-1])
    inner = squared_radii(real, k) if real_radii is None else real_radii  # (N,)
    outer = squared_radii(generated, k)  # (M,)
    balls, recalled, covered = np.zeros(len(generated), np.int64), [], []
    for rows, distances in _squared_distances(real, generated):  # (CHUNK, M)
        inside = distances < inner[rows, None]
        balls += inside.sum(axis=0)
        covered.append(inside.any(axis=1))
        recalled.append((distances < outer).any(axis=1))
    return Overlap(balls, np.concatenate(recalled), np.concatenate(covered))


def prdc(found: Overlap, k: int = K) -> dict[str, float]:
    """`precision, recall, density, coverage`: shares from 0 to 1, the density 0 or more and near 1 for equal sets."""
    return {
        "precision": float((found.balls > 0).mean()),
        "recall": float(found.recalled.mean()),
        "density": float(found.balls.mean() / k),
        "coverage": float(found.covered.mean()),
    }


def _squared_distances(a: Features, b: Features) -> Iterator[tuple[slice, Vector]]:
    """Rows of the (N, M) matrix of squared distances, some at a time, in float64 from centred features."""
    centre = b.mean(axis=0, dtype=np.float64)
    others = b - centre  # (M, D) float64: what the squares lose to cancellation is least near 0
    squares = (others**2).sum(axis=1)
    for start in range(0, len(a), CHUNK):
        rows = slice(start, start + CHUNK)
        some = a[rows] - centre
        distances = some @ others.T
        distances *= -2
        distances += squares
        distances += (some**2).sum(axis=1)[:, None]
        yield rows, distances.clip(min=0, out=distances)
