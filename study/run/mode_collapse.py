"""Whether a generator draws one image for all latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLLAPSE_FRACTION = 0.1  # of the standard deviation between real images


def inter_image_std(images: NDArray[np.float32]) -> float:
    """The standard deviation between images (N, C, H, W), pixel by pixel, then averaged: 0 when all are equal."""
    return float(images.astype(np.float64).std(axis=0).mean())


def collapse_warning(between: float | None, real: float | None) -> str:
    """What to say when the variety of generated images, beside that of real ones, is a collapse's, else nothing."""
    if between is None or real is None or between >= COLLAPSE_FRACTION * real:
        return ""
    found = f"a standard deviation of {between:.3f} between images of different latents found"
    return f"the generator has collapsed, or has learnt nothing yet: {found}, {COLLAPSE_FRACTION * real:.3f} or more wanted"
