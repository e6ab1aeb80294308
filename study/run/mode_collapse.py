"""Detect mode collapse: a generator that makes nearly the same image from all latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLLAPSE_FRACTION = 0.1  # of the standard deviation between real images


def inter_image_std(images: NDArray[np.float32]) -> float:
    """The standard deviation over images (N, C, H, W) of each pixel, averaged over pixels: 0 if all are equal."""
    return float(images.astype(np.float64).std(axis=0).mean())


def collapse_warning(generated: float | None, real: float | None) -> str:
    """A warning if the `inter_image_std` of generated images is far below that of real ones, else an empty string."""
    if generated is None or real is None or generated >= COLLAPSE_FRACTION * real:
        return ""
    limit = COLLAPSE_FRACTION * real
    return f"mode collapse, or nothing learned yet: inter_image_std: expected {limit:.3f} or more, got {generated:.3f}"
