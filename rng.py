"""Seeded random streams: each sample has a generator of its own, so batch size and order change nothing."""

from __future__ import annotations

from numpy.random import Generator, Philox  # early: its import loses a signal handler's exception

LATENTS, NOISE, RESAMPLING = 0, 1, 2  # streams that are independent of each other for the same seed


def sample_rng(seed: int, index: int, stream: int) -> Generator:
    """The generator of sample `index` in one of the streams above; it depends on these three numbers alone.

    Counter-based (Philox, Salmon et al. 2011), so making one costs no draws. `seed` is from 0 to 2**63 - 1.
    """
    return Generator(Philox(key=seed, counter=[0, 0, index, stream]))
