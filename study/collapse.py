"""Whether a generator draws one picture for all latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLLAPSED = 0.027  # standard deviation between pictures, a tenth of what 64 real ones show (0.27)


def variety(images: NDArray[np.float32]) -> float:
    """The standard deviation between pictures (N, C, H, W), pixel by pixel, then averaged: 0 when all are equal."""
    return float(images.astype(np.float64).std(axis=0).mean())


def warning(between: float | None) -> str:
    """What to say when the variety of an epoch's samples is that of a collapsed generator, else nothing."""
    if between is None or between >= COLLAPSED:
        return ""
    found = f"a standard deviation of {between:.3f} between pictures of different latents found"
    return f"the generator has collapsed, or has learnt nothing yet: {found}, {COLLAPSED} or more wanted"
