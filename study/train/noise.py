"""Training noise: its level per image, and clipping to the range of image files."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_sigmas(clean: Tensor, sigma_max: float) -> Tensor:
    """Sigmas (B, 1, 1, 1) for images (B, C, H, W): sigma_max * u^2 with u uniform, so that weak noise is frequent."""
    return sigma_max * torch.rand(len(clean), 1, 1, 1, device=clean.device) ** 2


def clip_random_subset(noisy: Tensor, probability: float) -> Tensor:
    """Images (B, C, H, W), each clipped to [0, 1], as in image files, with that probability."""
    clip = torch.rand(len(noisy), 1, 1, 1, device=noisy.device) < probability
    return torch.where(clip, noisy.clamp(0, 1), noisy)


def clip_straight_through(images: Tensor) -> Tensor:
    """Images clipped to [0, 1] with the gradient of the identity, so that pixels outside still get a gradient."""
    return images + (images.clamp(0, 1) - images).detach()
