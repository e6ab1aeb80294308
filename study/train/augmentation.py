"""Differentiable augmentation: the discriminator sees real and generated images changed in the same random ways.

With few training images a discriminator soon knows them by heart; it learns them more slowly from changed copies. The
generator's gradient passes through the changes, so its images do not take them over.
Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", arXiv:2006.10738.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

FILL = 0.5  # grey, which moved and cut out pixels get
MAX_SHIFT = 1 / 8  # of the side
CUTOUT = 1 / 2  # of the side


def augment(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [0, 1], each with another colour, shift and grey square; values may leave [0, 1].

    Differentiable; draws from torch's global generator.
    """
    return cut_out(shift(change_colour(images)))


def change_colour(images: Tensor) -> Tensor:
    """Each image with a random brightness (-0.25 to 0.25 added), saturation (0 to 2) and contrast (0.5 to 1.5)."""
    images = images + 0.5 * (_uniform(images) - 0.5)
    grey = images.mean(dim=1, keepdim=True)  # (N, 1, H, W)
    images = grey + 2 * _uniform(images) * (images - grey)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
    return mean + (0.5 + _uniform(images)) * (images - mean)


def shift(images: Tensor) -> Tensor:
    """Each image moved by whole pixels, up to an eighth of the side each way."""
    count, channels, height, width = images.shape
    rows = _shifted_indices(height, count, images.device).view(count, 1, height, 1)
    columns = _shifted_indices(width, count, images.device).view(count, 1, 1, width)
    framed = pad(images, (1, 1, 1, 1), value=FILL)  # (N, C, H + 2, W + 2)
    moved = framed.gather(2, rows.expand(count, channels, height, width + 2))
    return moved.gather(3, columns.expand(count, channels, height, width))


def cut_out(images: Tensor) -> Tensor:
    """Each image with a grey square of half the side, anywhere, also partly outside."""
    count, _, height, width = images.shape
    rows = _is_cut(height, count, images.device).view(count, 1, height, 1)
    columns = _is_cut(width, count, images.device).view(count, 1, 1, width)
    return images.masked_fill(rows & columns, FILL)


def _uniform(images: Tensor) -> Tensor:
    """One number in [0, 1) for each image, (N, 1, 1, 1)."""
    return torch.rand(len(images), 1, 1, 1, device=images.device)


def _shifted_indices(side: int, count: int, device: torch.device) -> Tensor:
    """For each image the `side` pixels of a framed line that it is moved to, (count, side); 0 is the frame."""
    most = round(MAX_SHIFT * side)
    offsets = torch.randint(-most, most + 1, (count, 1), device=device)
    return (torch.arange(1, side + 1, device=device) + offsets).clamp(0, side + 1)


def _is_cut(side: int, count: int, device: torch.device) -> Tensor:
    """Which pixels of a line the square covers, bool (count, side)."""
    size = round(CUTOUT * side)
    first = torch.randint(-(size // 2), side - size // 2 + 1, (count, 1), device=device)
    pixels = torch.arange(side, device=device)
    return (pixels >= first) & (pixels < first + size)
