"""Training noise: its strength per image, and clipping to the range of image files."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_sigmas(clean: Tensor, sigma_max: float) -> Tensor:
    """Sigmas (B, 1, 1, 1) for images (B, C, H, W): sigma_max * u^2 with u uniform, so that weak noise is frequent."""
    return sigma_max * torch.rand(len(clean), 1, 1, 1, device=clean.device) ** 2


def clip_random_subset(noisy: Tensor, share: float) -> Tensor:
    """The images with a random share of them clipped to [0, 1], as files hold them."""
    chosen = torch.rand(len(noisy), 1, 1, 1, device=noisy.device) < share
    return torch.where(chosen, noisy.clamp(0, 1), noisy)


def clip_straight_through(images: Tensor) -> Tensor:
    """Images clipped to [0, 1]; their gradient passes as if they were not, or a pixel that leaves could not return."""
    return images + (images.clamp(0, 1) - images).detach()
