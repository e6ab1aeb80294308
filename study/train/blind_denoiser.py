"""Train a blind denoiser, U-Net or DnCNN, on noise of all levels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import Adam, Optimizer

from gan_denoise.data.dataset import Dataset
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim
from gan_denoise.export.convert import weights
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.models.dncnn import DnCNN
from gan_denoise.models.unet import UNet
from gan_denoise.study.config import BlindDenoiserConfig, DnCNNShape, RunOptions, UNetShape
from gan_denoise.study.run import ranks
from gan_denoise.study.run.checkpoint import Modules
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import run_fingerprint
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.architecture import list_layers, write_architecture
from gan_denoise.study.train.batches import batch_indices, scale_pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.image_shape import channel_kwargs
from gan_denoise.study.train.losses import log_squared_error
from gan_denoise.study.train.noise import clip_random_subset, sample_sigmas
from gan_denoise.study.train.optim import lr_factor, optimizer_step, set_lr
from gan_denoise.study.train.validation import denoise_images, validation_images


def train_blind_denoiser(config: BlindDenoiserConfig, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train in `run`/denoiser and write `denoiser.safetensors` there; resumes from the last checkpoint.

    Trains on the data set's real noise if it has some, else on Gaussian noise. Logs PSNR and SSIM as
    `train_autoencoder` does. Raises what Stage.open raises, and DivergedError if a loss or a gradient is not finite.
    """
    folder = RunFolder(run).denoiser
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    denoiser = on_device(build_denoiser(config.network, **channel_kwargs(dataset)), device)
    arguments = {**dataclasses.asdict(config.network), **channel_kwargs(dataset)}
    adam = Adam(denoiser.parameters(), config.learning_rate, (0.9, 0.99))
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    real_noisy = dataset.train.noisy
    noisy_images = None if real_noisy is None else torch.from_numpy(real_noisy[: config.images]).to(device)
    held_out, noisy = validation_images(dataset)
    baseline = {}
    if real_noisy is not None:
        baseline = {"noisy_psnr_db": psnr(held_out, noisy), "noisy_ssim": ssim(held_out, noisy)}
    fingerprint = run_fingerprint(config, dataset, options)
    epoch_steps = steps_per_epoch(len(images), config.batch)
    total = config.epochs * epoch_steps
    modules: Modules = {"denoiser": denoiser, "adam": adam}

    with Stage.open(folder, fingerprint, modules, config.epochs, epoch_steps, len(images), options) as stage:
        write_architecture(folder, denoiser=list_layers(denoiser, dataset.train.shape))
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            indices = batch_indices(options.seed, step, len(images), config.batch).to(device)
            clean = scale_pixels(images[indices], dataset.flip)  # (B, C, H, W) in [0, 1]
            real = None if noisy_images is None else scale_pixels(noisy_images[indices])

            # step
            set_lr(adam, config.learning_rate * lr_factor(step, total, config.warmup_steps, config.lr_decay_fraction))
            with training_precision(device, options):
                loss = blind_step(denoiser, adam, clean, config, real)
            stage.accumulate(loss=loss)

            # log
            if stage.is_epoch_end(step):
                denoised = denoise_images(denoiser, noisy)
                quality = {"psnr_db": psnr(held_out, denoised), "ssim": ssim(held_out, denoised), **baseline}
                snapshot = StageFolder(folder.epoch(stage.epoch)).weights("denoiser")
                weights.save_weights(snapshot, denoiser, arguments, half=True)
                stage.log_epoch(step, len(images), **{name: float(values.mean()) for name, values in quality.items()})

            # save
            stage.end_step(step)
        if stage.is_first:
            weights.save_weights(folder.weights("denoiser"), denoiser, arguments)


def build_denoiser(shape: UNetShape | DnCNNShape, channels: int = 1) -> UNet | DnCNN:
    """The untrained denoiser of that size, for images (N, channels, H, W)."""
    match shape:
        case UNetShape():
            return UNet(shape.widths, shape.blocks, channels)
        case DnCNNShape():
            return DnCNN(shape.width, shape.depth, channels)
        case _:
            assert_never(shape)


def blind_step(
    denoiser: nn.Module, adam: Optimizer, clean: Tensor, config: BlindDenoiserConfig, real: Tensor | None = None
) -> float:
    """One update from clean images (B, C, H, W) in [0, 1] and their `real` noisy versions; returns the loss.

    Without `real` the noise is Gaussian, from torch's global generator.
    """
    sigma = sample_sigmas(clean, config.sigma_max)
    noisy = clean + sigma * torch.randn_like(clean)
    target = clean
    if config.noisy_targets:  # no clipping and no logarithm: both would bias the mean that Noise2Noise relies on
        target = clean + sigma * torch.randn_like(clean)
    else:
        noisy = clip_random_subset(noisy, config.clip_probability) if real is None else real
    noisy, target = ranks.rows(noisy, target)
    # The paper of DnCNN has no logarithm; with it the network learns the identity.
    is_squared = config.noisy_targets or isinstance(config.network, DnCNNShape)
    loss = (mse_loss if is_squared else log_squared_error)(denoiser(noisy), target)
    optimizer_step(adam, loss, config.max_gradient_norm)
    return loss.item()
