"""Images larger than a denoiser takes them: denoised in overlapping squares, blended so that no seam shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ArrayF32
from gan_denoise.export.runtime import Graph


def denoise_tiled(graph: Graph, image: ArrayF32) -> ArrayF32:
    """The image (1, C, H, W) float32 as the denoiser `graph` (n, C, h, w) restores it, H and W at least h and w.

    Each tile overlaps the next by half or more; where several lie, the nearer a pixel to a tile's middle, the more
    that tile's counts. A row of tiles is held at a time. Raises InputError as `graph` does.
    """
    _, height, width = graph.input_shape
    window = np.outer(_ramp(height), _ramp(width))  # (h, w)
    sums, weights = np.zeros_like(image), np.zeros(image.shape[-2:], np.float32)
    lefts = _starts(image.shape[3], width)
    for top in _starts(image.shape[2], height):
        row = image[0, :, top : top + height]
        (tiles,) = graph.batched(np.stack([row[:, :, left : left + width] for left in lefts]))
        for left, tile in zip(lefts, tiles, strict=True):
            place = (..., slice(top, top + height), slice(left, left + width))
            sums[place] += window * tile
            weights[place] += window
    blended: ArrayF32 = sums / weights
    return blended


def _starts(length: int, side: int) -> list[int]:
    """Where tiles of `side` begin that cover `length` evenly, each half a side or less after the one before."""
    count = 1 + math.ceil((length - side) / (side / 2))
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]


def _ramp(side: int) -> NDArray[np.float32]:
    """Weights along a side that rise to its middle and fall again, never 0."""
    return np.array([min(i + 1, side - i) for i in range(side)], np.float32)
