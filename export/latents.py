"""Latent vectors z from seeds, and the entries of z that choose the class."""

from __future__ import annotations

import numpy as np

from gan_denoise.data.images import ArrayF32
from gan_denoise.options import MAX_SEED
from gan_denoise.rng import LATENTS, sample_rng


def latents(seed: int, start: int, count: int, size: int = 100) -> ArrayF32:
    """Standard normal z (count, size) float32. Row i depends on `seed` and `start + i` alone, bit for bit.

    Each row has a counter-based generator of its own (Philox, Salmon et al. 2011).
    """
    rows = [sample_rng(seed, start + i, LATENTS).standard_normal(size, dtype=np.float32) for i in range(count)]
    return np.stack(rows) if rows else np.zeros((0, size), np.float32)


def another_seed(seed: int) -> int:
    """A seed whose latents are not those of `seed`: for a choice that is then tried on `seed`."""
    return seed + 1 if seed < MAX_SEED else 0


def set_class(z: ArrayF32, label: int, classes: int) -> ArrayF32:
    """The same latents (N, size) with class `label` chosen by the last `classes` entries, of which the largest wins.

    The largest changes places with the label's own, so the rest of z, and with it the style, stays.
    """
    chosen = z.copy()
    entries = chosen[:, -classes:]  # a view
    rows = np.arange(len(z))
    largest = entries.argmax(axis=1)
    entries[rows, largest], entries[:, label] = entries[:, label].copy(), entries[rows, largest].copy()
    return chosen
