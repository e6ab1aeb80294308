"""Train the paper's denoiser: clean images in, noise added by its first layer, mean squared error, Adam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import Adam, Optimizer

from gan_denoise.data.fashion_mnist import Dataset, Floats, to_float
from gan_denoise.eval.restoration import add_noise, psnr, ssim
from gan_denoise.export import weights
from gan_denoise.models.denoiser import Denoiser
from gan_denoise.study.architecture import describe, layers_of
from gan_denoise.study.batches import batch_indices, pixels, seed_step, steps_per_epoch
from gan_denoise.study.config import DenoiserConfig
from gan_denoise.study.identity import Options, identity_of
from gan_denoise.study.sizes import channels
from gan_denoise.study.stage import Stage, on_device, prepare_torch
from gan_denoise.study.update import update

VALIDATION_IMAGES = 500
VALIDATION_SIGMA = 25 / 255


def train_denoiser(config: DenoiserConfig, dataset: Dataset, run: Path, options: Options) -> None:
    """Train in `run`/denoiser and leave `denoiser.safetensors` there; goes on where an earlier run stopped.

    After each epoch PSNR and SSIM are measured on the first 500 held-out images, with the same noise each time. Those
    of Fashion-MNIST are the last 5,000 training images, so they are unseen only when `images` is 55,000 or less.
    Raises what Stage.open raises, and DivergedError when a loss or a gradient is not finite.
    """
    folder = run / "denoiser"
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    noise = {"sigma_min": config.sigma_min, "sigma_max": config.sigma_max, "clipped": config.clipped}
    arguments: dict[str, Any] = {"widths": config.widths, **noise, **channels(dataset)}
    denoiser = on_device(Denoiser(**arguments), device)
    adam = Adam(denoiser.parameters(), config.learning_rate, (config.beta1, 0.999))
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    held_out, noisy = validation(dataset)
    identity = identity_of(config, dataset, options)
    epoch_steps = steps_per_epoch(len(images), config.batch)

    with Stage.open(
        folder, identity, {"denoiser": denoiser, "adam": adam}, config.epochs, epoch_steps, len(images), options
    ) as stage:
        describe(folder, denoiser=layers_of(denoiser, dataset.train.shape))
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            clean = images[batch_indices(options.seed, step, len(images), config.batch).to(device)]
            clean = pixels(clean)  # (B, C, H, W) in [0, 1]

            # step
            stage.count(loss=denoiser_step(denoiser, adam, clean, config.max_gradient_norm))

            # log
            if stage.epoch_ends(step):
                restored = restore(denoiser, noisy)
                quality = psnr(held_out, restored).mean(), ssim(held_out, restored).mean()
                stage.log_epoch(step, len(images), psnr_db=float(quality[0]), ssim=float(quality[1]))

            # save
            stage.step_done(step)
        weights.save(folder / "denoiser.safetensors", denoiser, arguments)


def validation(dataset: Dataset) -> tuple[Floats, Floats]:
    """Held-out pictures (N, C, H, W) in [0, 1], at most 500, and the same with noise: the real one, if it is known."""
    held_out = dataset.held_out
    clean = to_float(held_out.images[:VALIDATION_IMAGES])
    if held_out.noisy is not None:
        return clean, to_float(held_out.noisy[:VALIDATION_IMAGES])
    return clean, add_noise(clean, VALIDATION_SIGMA, "float", seed=0)


def denoiser_step(denoiser: nn.Module, adam: Optimizer, clean: Tensor, max_gradient_norm: float) -> float:
    """One update from clean images (B, C, H, W) in [0, 1]; the network adds the noise. Returns the loss."""
    loss = mse_loss(denoiser(clean), clean)
    update(adam, loss, max_gradient_norm)
    return loss.item()


@torch.no_grad()
def restore(denoiser: nn.Module, noisy: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the denoiser in evaluation makes of noisy images (N, C, H, W)."""
    device = next(denoiser.parameters()).device
    denoiser.eval()
    restored: NDArray[np.float32] = denoiser(torch.from_numpy(noisy).to(device)).cpu().numpy()
    denoiser.train()
    return restored
