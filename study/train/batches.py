"""Seeded batches: the images and the random numbers of a step depend on the seed and the step number only.

So the step number is all that a checkpoint needs to resume, also in the middle of an epoch.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from gan_denoise.study.config import check_batch
from gan_denoise.study.run.ranks import check_divisible


def steps_per_epoch(count: int, batch: int) -> int:
    """The steps of an epoch of `count` images; the last batch may be smaller.

    Raises UsageError if it would be 1, or if several ranks (see ranks.py) cannot have equal parts of each batch.
    """
    check_batch(batch, count)
    check_divisible("--batch", batch, "--batch ")
    check_divisible("images", count, "--set images=")
    return math.ceil(count / batch)


def batch_indices(seed: int, step: int, count: int, batch: int) -> Tensor:
    """The indices of the images of `step`, int64 (at most `batch`,); steps count from 0 over all epochs."""
    epoch, position = divmod(step, steps_per_epoch(count, batch))
    return _epoch_order(seed, epoch, count)[position * batch : (position + 1) * batch]


def scale_pixels(images: Tensor, flip: bool = False) -> Tensor:
    """Images float32 (B, C, H, W) in [0, 1] from uint8 (B, H, W) or (B, C, H, W).

    With `flip` about half are mirrored, by torch's global generator.
    """
    scaled = (images if images.ndim == 4 else images.unsqueeze(1)) / 255
    return mirror_half(scaled) if flip else scaled


def mirror_half(images: Tensor) -> Tensor:
    """Images (B, C, H, W), about half of them mirrored, by torch's global generator."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(chosen, images.flip(-1), images)


def seed_step(seed: int, step: int) -> None:
    """Seed torch's global generators for one step: latents, noise and dropout draw from them."""
    torch.manual_seed(_mix(seed, step, 1))


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(_mix(seed, epoch, 0)))


def _mix(seed: int, counter: int, stream: int) -> int:
    """One 63-bit seed from three numbers; seed + counter would give equal seeds for different pairs."""
    return int(np.random.SeedSequence((seed, counter, stream)).generate_state(1, np.uint64)[0]) >> 1
