"""Denoise images larger than the denoiser's input in overlapping tiles, blended without visible seams."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ImagesF32
from gan_denoise.export.runtime import Graph


def denoise_tiled(graph: Graph, image: ImagesF32) -> ImagesF32:
    """The denoised image, (1, C, H, W) float32, for a denoiser `graph` of (n, C, h, w) and H >= h, W >= w.

    Each tile overlaps the next by half or more. Where tiles overlap, a pixel counts more the nearer it is to its
    tile's middle. One row of tiles is in memory at a time. Raises InputError as `graph` does.
    """
    _, height, width = graph.input_shape
    window = np.outer(_ramp(height), _ramp(width))  # (h, w)
    sums, weights = np.zeros_like(image), np.zeros(image.shape[-2:], np.float32)
    lefts = _tile_starts(image.shape[3], width)
    for top in _tile_starts(image.shape[2], height):
        row = image[0, :, top : top + height]
        (tiles,) = graph.batched(np.stack([row[:, :, left : left + width] for left in lefts]))
        for left, tile in zip(lefts, tiles, strict=True):
            region = (..., slice(top, top + height), slice(left, left + width))
            sums[region] += window * tile
            weights[region] += window
    blended: ImagesF32 = sums / weights
    return blended


def _tile_starts(length: int, side: int) -> list[int]:
    """Where tiles of `side` start that cover `length` evenly, each at most half a side after the one before."""
    count = 1 + math.ceil((length - side) / (side / 2))
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]


def _ramp(side: int) -> NDArray[np.float32]:
    """Weights (side,) that rise to the middle and fall again, always above 0."""
    return np.array([min(i + 1, side - i) for i in range(side)], np.float32)
