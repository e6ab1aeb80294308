"""Latent vectors z from seeds, and the class that they choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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


def latents_of_seeds(seeds: Sequence[int], size: int = 100) -> ArrayF32:
    """z (N, size) float32 of the first latent of each seed: row i is `latents(seeds[i], 0, 1)`."""
    return np.concatenate([latents(seed, 0, 1, size) for seed in seeds])


def another_seed(seed: int) -> int:
    """A seed with other latents than `seed`: use it to choose a setting that is then evaluated on `seed`."""
    return seed + 1 if seed < MAX_SEED else 0


def interpolate(keys: ArrayF32, frames: int, classes: int) -> ArrayF32:
    """A closed walk through z `keys` (N, size) float32: (N * frames, size), `frames` steps from each key to the next.

    Row i * frames is key i; after the last key the walk goes back to the first. The free entries turn at a constant
    angle (slerp: Shoemake 1985; for latents White, arXiv:1609.04468), since the middle of a straight line between
    two normal vectors is shorter than any vector that the generator saw. The entries that choose the class are those
    of the nearer key, so that no third class appears in between.
    """
    fractions = np.arange(frames)[:, None] / frames
    steps = [_turn(a, b, fractions, classes) for a, b in zip(keys, np.roll(keys, -1, axis=0), strict=True)]
    return np.concatenate(steps)


def _turn(a: ArrayF32, b: ArrayF32, fractions: NDArray[np.float64], classes: int) -> ArrayF32:
    """z (F, size) at `fractions` (F, 1), each from 0 to 1, of the way from a to b, both (size,)."""
    z = np.where(fractions < 0.5, a, b)
    (free, _), (start, _), (end, _) = (split_z(rows, classes) for rows in (z, a[None], b[None]))
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    angle = np.arccos(np.clip(np.vdot(start, end) / lengths, -1, 1)) if lengths else 0.0
    if np.sin(angle) < 1e-3:  # about the same direction, or the opposite one, where no way round is the shortest
        free[:] = (1 - fractions) * start + fractions * end
    else:
        free[:] = (np.sin((1 - fractions) * angle) * start + np.sin(fractions * angle) * end) / np.sin(angle)
    return z


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
