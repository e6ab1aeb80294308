"""Train the paper's denoiser: its first layer adds the noise to clean images; mean squared error, Adam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import Adam, Optimizer

from gan_denoise.data.dataset import Dataset
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim
from gan_denoise.export.convert import weights
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.models.autoencoder import Denoiser
from gan_denoise.study.config import DenoiserConfig, RunOptions
from gan_denoise.study.run import ranks
from gan_denoise.study.run.checkpoint import Modules
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import run_fingerprint
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.architecture import list_layers, write_architecture
from gan_denoise.study.train.batches import batch_indices, scale_pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.image_shape import channel_kwargs
from gan_denoise.study.train.optim import optimizer_step
from gan_denoise.study.train.validation import denoise_images, validation_images


def train_autoencoder(config: DenoiserConfig, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train in `run`/denoiser and write `denoiser.safetensors` there; resumes from the last checkpoint.

    After each epoch the log gets PSNR and SSIM on the first 500 held-out images, with the same noise each time. For
    Fashion-MNIST these are among the last 5,000 training images, so they are unseen only if `images` is at most 55,000.
    Raises what Stage.open raises, and DivergedError if a loss or a gradient is not finite.
    """
    folder = RunFolder(run).denoiser
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    noise = {"sigma_min": config.sigma_min, "sigma_max": config.sigma_max, "clip_probability": config.clip_probability}
    arguments: dict[str, Any] = {"widths": config.widths, **noise, **channel_kwargs(dataset)}
    denoiser = on_device(Denoiser(**arguments), device)
    adam = Adam(denoiser.parameters(), config.learning_rate, (config.beta1, 0.999))
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    held_out, noisy = validation_images(dataset)
    fingerprint = run_fingerprint(config, dataset, options)
    epoch_steps = steps_per_epoch(len(images), config.batch)
    modules: Modules = {"denoiser": denoiser, "adam": adam}

    with Stage.open(folder, fingerprint, modules, config.epochs, epoch_steps, len(images), options) as stage:
        write_architecture(folder, denoiser=list_layers(denoiser, dataset.train.shape))
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            indices = batch_indices(options.seed, step, len(images), config.batch).to(device)
            clean = scale_pixels(images[indices], dataset.flip)  # (B, C, H, W) in [0, 1]

            # step
            with training_precision(device, options):
                loss = denoiser_step(denoiser, adam, clean, config.max_gradient_norm)
            stage.accumulate(loss=loss)

            # log
            if stage.is_epoch_end(step):
                snapshot = StageFolder(folder.epoch(stage.epoch)).weights("denoiser")
                weights.save_weights(snapshot, denoiser, arguments, half=True)
                denoised = denoise_images(denoiser, noisy)
                quality = psnr(held_out, denoised).mean(), ssim(held_out, denoised).mean()
                stage.log_epoch(step, len(images), psnr_db=float(quality[0]), ssim=float(quality[1]))

            # save
            stage.end_step(step)
        if stage.is_first:
            weights.save_weights(folder.weights("denoiser"), denoiser, arguments)


def denoiser_step(denoiser: nn.Module, adam: Optimizer, clean: Tensor, max_gradient_norm: float) -> float:
    """One update from clean images (B, C, H, W) in [0, 1]; the network adds the noise. Returns the loss."""
    (clean,) = ranks.rows(clean)
    loss = mse_loss(denoiser(clean).float(), clean)
    optimizer_step(adam, loss, max_gradient_norm)
    return loss.item()
