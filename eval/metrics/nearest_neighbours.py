"""Distances to the nearest training image: copies are closer than real images that were not trained on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ImagesU8, Vector
from gan_denoise.errors import InputError

TRAIN_CHUNK, CHUNK = 10_000, 1_000  # a block of distances is 40 MB
PERCENTILE = 1


def find_nearest(images: ImagesU8, train: ImagesU8) -> tuple[Vector, NDArray[np.int64]]:
    """The Euclidean distance of each image to its nearest training image, (N,), and the index of that image, (N,).

    Images are uint8 (N, H, W) or (N, 3, H, W); distances are those of pixels in [0, 1], at most the root of H * W. The
    search is in float32; the distance to the image it returns is exact. Raises InputError for other types or shapes.
    """
    queries, training = _flatten(images), _flatten(train)
    if not len(training) or queries.shape[1] != training.shape[1]:
        got = f"{list(images.shape)} and {list(train.shape)}"
        raise InputError.expected("images", "one or more training images of the same size", got)
    best = np.full(len(queries), np.inf, np.float32)
    index = np.zeros(len(queries), np.int64)
    for start in range(0, len(training), TRAIN_CHUNK):
        part = _centred(training[start : start + TRAIN_CHUNK])  # (T', pixels)
        squares = (part**2).sum(axis=1)
        for first in range(0, len(queries), CHUNK):
            rows = slice(first, first + CHUNK)
            # The square of the query is the same for all training images and left out.
            scores = squares - 2 * (_centred(queries[rows]) @ part.T)  # (CHUNK, T')
            nearest = scores.argmin(axis=1)
            lowest = scores[np.arange(len(nearest)), nearest]
            improved = lowest < best[rows]
            index[rows][improved] = start + nearest[improved]
            best[rows][improved] = lowest[improved]
    return _distances(queries, training, index), index


def distance_summary(distances: Vector, baseline: Vector) -> dict[str, float]:
    """`median_distance`, and `near_copy_fraction`: the fraction of distances below the baseline's 1st percentile.

    The baseline are the distances of real images that were not trained on; without copies the fraction is about 0.01.
    """
    limit = np.percentile(baseline, PERCENTILE)
    return {"median_distance": float(np.median(distances)), "near_copy_fraction": float((distances < limit).mean())}


def _flatten(images: ImagesU8) -> ImagesU8:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise InputError.expected("images", "uint8 (N, H, W) or (N, 3, H, W)", f"{images.dtype} {list(images.shape)}")
    return images.reshape(len(images), math.prod(images.shape[1:]))


def _centred(pixels: ImagesU8) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)


def _distances(queries: ImagesU8, training: ImagesU8, index: NDArray[np.int64]) -> Vector:
    distances = np.zeros(len(queries))
    for first in range(0, len(queries), CHUNK):
        rows = slice(first, first + CHUNK)
        difference = (queries[rows].astype(np.float64) - training[index[rows]]) / 255
        distances[rows] = np.sqrt((difference**2).sum(axis=1))
    return distances
