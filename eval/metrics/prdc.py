"""Precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020).

Each feature is the centre of a ball whose radius is the distance to its k-th neighbour in its own set. Two sets overlap
where features of one lie in balls of the other. Density and coverage: arXiv:2002.09797.
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

    n_containing_balls: NDArray[np.int64]  # (M,) number of real balls that contain each generated feature
    recalled: NDArray[np.bool_]  # (N,) whether a generated ball contains each real feature
    covered: NDArray[np.bool_]  # (N,) whether each real ball contains a generated feature


def squared_radii(features: Features, k: int = K) -> Vector:
    """The squared distance of each feature to its k-th neighbour in its own set, (N,), for features (N, D).

    Raises InputError for k features or fewer, or a value that is not finite.
    """
    check_features(features, minimum=k + 1)
    radii = np.empty(len(features))
    for rows, distances in _squared_distances(features, features):
        distances.partition(k, axis=1)
        radii[rows] = distances[:, k]  # column 0 is the feature itself
    return radii


def overlap(real: Features, generated: Features, k: int = K, real_radii: Vector | None = None) -> Overlap:
    """The overlap of real (N, D) and generated (M, D) features; `real_radii` are `squared_radii(real, k)` if known.

    A feature at exactly the radius is outside the ball, as in the code of Naeem et al. Raises InputError as
    `squared_radii`, and when the widths differ.
    """
    check_widths(real.shape[-1], generated.shape[-1])
    radii = squared_radii(real, k) if real_radii is None else real_radii  # (N,)
    generated_radii = squared_radii(generated, k)  # (M,)
    containing, recalled, covered = np.zeros(len(generated), np.int64), [], []
    for rows, distances in _squared_distances(real, generated):  # (CHUNK, M)
        inside = distances < radii[rows, None]
        containing += inside.sum(axis=0)
        covered.append(inside.any(axis=1))
        recalled.append((distances < generated_radii).any(axis=1))
    return Overlap(containing, np.concatenate(recalled), np.concatenate(covered))


def prdc(shared: Overlap, k: int = K) -> dict[str, float]:
    """`precision, recall, coverage` from 0 to 1, and `density`, 0 or more and about 1 for sets of one distribution."""
    return {
        "precision": float((shared.n_containing_balls > 0).mean()),
        "recall": float(shared.recalled.mean()),
        "density": float(shared.n_containing_balls.mean() / k),
        "coverage": float(shared.covered.mean()),
    }


def _squared_distances(a: Features, b: Features) -> Iterator[tuple[slice, Vector]]:
    """Chunks of rows of the (N, M) matrix of squared distances, in float64 from centred features."""
    centre = b.mean(axis=0, dtype=np.float64)
    centred = b - centre  # (M, D) float64: near 0 the squares lose least to cancellation
    squares = (centred**2).sum(axis=1)
    for start in range(0, len(a), CHUNK):
        rows = slice(start, start + CHUNK)
        chunk = a[rows] - centre
        distances = chunk @ centred.T
        distances *= -2
        distances += squares
        distances += (chunk**2).sum(axis=1)[:, None]
        yield rows, distances.clip(min=0, out=distances)
