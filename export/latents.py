"""Latent vectors z from seeds, and the class that they choose."""

from __future__ import annotations

import numpy as np

from gan_denoise.data.images import ArrayF32
from gan_denoise.models.z_layout import split_z
from gan_denoise.options import MAX_SEED
from gan_denoise.rng import LATENTS, sample_rng


def latents(seed: int, start: int, count: int, size: int = 100) -> ArrayF32:
    """Standard normal z (count, size) float32. Row i depends on `seed` and `start + i` alone, bit for bit.

    Each row has a counter-based generator of its own (Philox, Salmon et al. 2011).
    """
    rows = [sample_rng(seed, start + i, LATENTS).standard_normal(size, dtype=np.float32) for i in range(count)]
    return np.stack(rows) if rows else np.zeros((0, size), np.float32)


def another_seed(seed: int) -> int:
    """A seed with other latents than `seed`: use it to choose a setting that is then evaluated on `seed`."""
    return seed + 1 if seed < MAX_SEED else 0


def set_class(z: ArrayF32, label: int, classes: int) -> ArrayF32:
    """A copy of z (N, size) float32 that chooses class `label`.

    Swaps the largest class entry with that of `label`, so all other entries, and with them the style, are unchanged.
    """
    chosen = z.copy()
    _, entries = split_z(chosen, classes)  # a view of the copy
    rows = np.arange(len(z))
    largest = entries.argmax(axis=1)
    entries[rows, largest], entries[:, label] = entries[:, label].copy(), entries[rows, largest].copy()
    return chosen
