"""Measurements after each epoch: denoised held-out images and samples from fixed latents."""

from __future__ import annotations

import torch
from torch import nn

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.eval.noise import add_noise
from gan_denoise.export import latents

VALIDATION_IMAGES = 500
VALIDATION_SIGMA = 25 / 255

SAMPLES = 64  # images in the grid of each epoch, always from the same latents


def validation_images(dataset: Dataset) -> tuple[ImagesF32, ImagesF32]:
    """Held-out images (N, C, H, W) in [0, 1], at most 500, and their noisy versions: real noise if the data has it."""
    held_out = dataset.held_out
    clean = to_float(held_out.images[:VALIDATION_IMAGES])
    if held_out.noisy is not None:
        return clean, to_float(held_out.noisy[:VALIDATION_IMAGES])
    return clean, add_noise(clean, VALIDATION_SIGMA, "float", seed=0)


@torch.no_grad()
def denoise_images(denoiser: nn.Module, noisy: ImagesF32) -> ImagesF32:
    """The denoised images (N, C, H, W), with the denoiser in evaluation mode."""
    device = next(denoiser.parameters()).device
    denoiser.eval()
    denoised: ImagesF32 = denoiser(torch.from_numpy(noisy).to(device)).cpu().numpy()
    denoiser.train()
    return denoised


@torch.no_grad()
def generate_samples(generator: nn.Module, latent_size: int) -> ImagesF32:
    """Images (64, C, H, W) in [0, 1] from latents 0 to 63 of seed 0, with the generator in evaluation mode."""
    device = next(generator.parameters()).device
    generator.eval()
    z = torch.from_numpy(latents.latents(0, 0, SAMPLES, latent_size)).to(device)
    image: ImagesF32 = generator(z).cpu().numpy()
    generator.train()
    return image
