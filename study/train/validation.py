"""Measurements after each epoch: denoised held-out images and samples from fixed latents."""

from __future__ import annotations

import torch
from torch import nn

from gan_denoise.data.dataset import VALIDATION_IMAGES, Dataset, split_holdout
from gan_denoise.data.images import ImagesF32, to_float, to_uint8
from gan_denoise.eval.generation.features import list_features, load_extractor
from gan_denoise.eval.generation.reference import ImageSet, Reference, make_reference, score
from gan_denoise.eval.noise import add_noise
from gan_denoise.export import latents
from gan_denoise.study.config import RunOptions
from gan_denoise.study.rows import HELD_OUT_DISTANCE
from gan_denoise.study.run import ranks

VALIDATION_SIGMA = 25 / 255

MEASURED = 1_000  # generated images of a measurement on held-out images, and at most as many of these
MEASURED_BATCH = 250

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


def held_out_reference(dataset: Dataset, options: RunOptions) -> Reference | None:
    """The held-out training images that a generator is measured on while it trains; None without --measure-every.

    Unless the configuration's `images` leaves them out, they are trained on too. Raises InputError as `make_reference`.
    """
    if not options.measure_every or not ranks.is_first():
        return None
    network = load_extractor(list_features(dataset, None)[0], options.threads, dataset.train.shape)
    return make_reference(split_holdout(dataset.train)[1].images[:MEASURED], network)


@torch.no_grad()
def measure_held_out(
    generator: nn.Module, latent_size: int, reference: Reference | None, epoch: int, options: RunOptions
) -> dict[str, float]:
    """`held_out_distance` after every N-th epoch: Fréchet, or KID where there are too few images; else nothing."""
    if reference is None or epoch % options.measure_every:
        return {}
    device, image_set = next(generator.parameters()).device, ImageSet()
    generator.eval()
    for start in range(0, MEASURED, MEASURED_BATCH):
        z = torch.from_numpy(latents.latents(0, start, MEASURED_BATCH, latent_size)).to(device)
        image_set.add_features(*reference.network.outputs(to_uint8(generator(z).clamp(0, 1).cpu().numpy())))
    generator.train()
    return {HELD_OUT_DISTANCE: score(reference, image_set)}
