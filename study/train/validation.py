"""What is measured and drawn after each epoch: restored held-out images and fixed samples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.eval.noise import add_noise
from gan_denoise.export import latents

VALIDATION_IMAGES = 500
VALIDATION_SIGMA = 25 / 255

SAMPLES = 64  # images in the grid of each epoch, from latents that never change


def validation(dataset: Dataset) -> tuple[ImagesF32, ImagesF32]:
    """Held-out images (N, C, H, W) in [0, 1], at most 500, and the same with noise: the real one, if it is known."""
    held_out = dataset.held_out
    clean = to_float(held_out.images[:VALIDATION_IMAGES])
    if held_out.noisy is not None:
        return clean, to_float(held_out.noisy[:VALIDATION_IMAGES])
    return clean, add_noise(clean, VALIDATION_SIGMA, "float", seed=0)


@torch.no_grad()
def restore(denoiser: nn.Module, noisy: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the denoiser in evaluation makes of noisy images (N, C, H, W)."""
    device = next(denoiser.parameters()).device
    denoiser.eval()
    restored: NDArray[np.float32] = denoiser(torch.from_numpy(noisy).to(device)).cpu().numpy()
    denoiser.train()
    return restored


@torch.no_grad()
def sample(generator: nn.Module, latent_size: int) -> NDArray[np.float32]:
    """Images (64, C, H, W) in [0, 1] from the fixed latents 0 to 63 of seed 0, batch norm in evaluation."""
    device = next(generator.parameters()).device
    generator.eval()
    z = torch.from_numpy(latents.latents(0, 0, SAMPLES, latent_size)).to(device)
    image: NDArray[np.float32] = generator(z).cpu().numpy()
    generator.train()
    return image
