"""Train a blind denoiser, ours or DnCNN, on noise of all strengths."""

from __future__ import annotations

import dataclasses
from pathlib import Path

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
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import run_fingerprint
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.architecture import describe, layers_of
from gan_denoise.study.train.batches import batch_indices, pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.image_shape import channel_kwargs
from gan_denoise.study.train.losses import log_squared_error
from gan_denoise.study.train.noise import clip_random_subset, sample_sigmas
from gan_denoise.study.train.optim import lr_factor, optimizer_step, set_lr
from gan_denoise.study.train.validation import restore, validation


def train_blind_denoiser(config: BlindDenoiserConfig, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train in `run`/denoiser and leave `denoiser.safetensors` there; goes on where an earlier run stopped.

    Logs PSNR and SSIM as `train_denoiser` does. Raises what Stage.open raises, and DivergedError when a loss or a
    gradient is not finite.
    """
    folder = RunFolder(run).denoiser
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    denoiser = on_device(network(config.network, **channel_kwargs(dataset)), device)
    arguments = {**dataclasses.asdict(config.network), **channel_kwargs(dataset)}
    adam = Adam(denoiser.parameters(), config.learning_rate, (0.9, 0.99))
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    known = dataset.train.noisy
    taken = None if known is None else torch.from_numpy(known[: config.images]).to(device)
    held_out, noisy = validation(dataset)
    before = {} if known is None else {"noisy_psnr_db": psnr(held_out, noisy), "noisy_ssim": ssim(held_out, noisy)}
    fingerprint = run_fingerprint(config, dataset, options)
    epoch_steps = steps_per_epoch(len(images), config.batch)
    total = config.epochs * epoch_steps

    with Stage.open(
        folder, fingerprint, {"denoiser": denoiser, "adam": adam}, config.epochs, epoch_steps, len(images), options
    ) as stage:
        describe(folder, denoiser=layers_of(denoiser, dataset.train.shape))
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            chosen = batch_indices(options.seed, step, len(images), config.batch).to(device)
            clean = pixels(images[chosen])  # (B, C, H, W) in [0, 1]
            real = None if taken is None else pixels(taken[chosen])

            # step
            set_lr(adam, config.learning_rate * lr_factor(step, total, config.warmup_steps, config.lr_decay_fraction))
            with training_precision(device, options):
                loss = blind_step(denoiser, adam, clean, config, real)
            stage.accumulate(loss=loss)

            # log
            if stage.is_epoch_end(step):
                restored = restore(denoiser, noisy)
                quality = {"psnr_db": psnr(held_out, restored), "ssim": ssim(held_out, restored), **before}
                weights.save_weights(StageFolder(folder.epoch(stage.epoch)).weights("denoiser"), denoiser, arguments)
                stage.log_epoch(step, len(images), **{name: float(each.mean()) for name, each in quality.items()})

            # save
            stage.end_step(step)
        weights.save_weights(folder.weights("denoiser"), denoiser, arguments)


def network(shape: UNetShape | DnCNNShape, channels: int = 1) -> UNet | DnCNN:
    """The untrained network of that shape."""
    match shape:
        case UNetShape():
            return UNet(shape.widths, shape.blocks, channels)
        case DnCNNShape():
            return DnCNN(shape.width, shape.depth, channels)


def blind_step(
    denoiser: nn.Module, adam: Optimizer, clean: Tensor, config: BlindDenoiserConfig, real: Tensor | None = None
) -> float:
    """One update from clean images (B, C, H, W) in [0, 1] and the `real` noisy ones, or else with Gaussian noise.

    That comes from torch's global generator. Returns the loss.
    """
    sigma = sample_sigmas(clean, config.sigma_max)
    noisy = clean + sigma * torch.randn_like(clean)
    if config.noisy_targets:  # clipped noise or a logarithm would move the mean that makes them as good as clean ones
        loss = mse_loss(denoiser(noisy), clean + sigma * torch.randn_like(clean))
    elif isinstance(config.network, DnCNNShape):  # as in its paper; from the logarithm it learns the identity alone
        loss = mse_loss(denoiser(clip_random_subset(noisy, config.clip_probability) if real is None else real), clean)
    else:
        loss = log_squared_error(
            denoiser(clip_random_subset(noisy, config.clip_probability) if real is None else real), clean
        )
    optimizer_step(adam, loss, config.max_gradient_norm)
    return loss.item()
