"""Seeded batches: which images a step sees and which random numbers it draws depend on seed and step alone.

So nothing but the step's number has to be kept to go on after an interruption, in the middle of an epoch too.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor


def steps_per_epoch(count: int, batch: int) -> int:
    """Steps in which each of `count` images is seen once; the last one may be smaller than `batch`."""
    return math.ceil(count / batch)


def batch_indices(seed: int, step: int, count: int, batch: int) -> Tensor:
    """Indices, int64 (at most `batch`,), of the images of `step`, counted over all epochs from 0."""
    epoch, position = divmod(step, steps_per_epoch(count, batch))
    return _epoch_order(seed, epoch, count)[position * batch : (position + 1) * batch]


def pixels(images: Tensor) -> Tensor:
    """Images (B, C, H, W) in [0, 1] from bytes (B, H, W), or (B, C, H, W)."""
    return (images if images.ndim == 4 else images.unsqueeze(1)) / 255


def seed_step(seed: int, step: int) -> None:
    """Seed torch's global generators for one step: latents, noise and dropout all come from it."""
    torch.manual_seed(_mix(seed, step, 1))


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(_mix(seed, epoch, 0)))


def _mix(seed: int, counter: int, stream: int) -> int:
    """One 63-bit seed from three numbers, without the overlaps that seed + counter would have."""
    return int(np.random.SeedSequence((seed, counter, stream)).generate_state(1, np.uint64)[0]) >> 1
