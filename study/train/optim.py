"""Optimizer steps, learning-rate schedules and the exponential moving average (EMA) of weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_denoise.errors import DivergedError
from gan_denoise.study.run import ranks

STATISTICS_BATCHES, STATISTICS_BATCH = 20, 250  # batches of latents for the batch-norm statistics of EMA weights


def optimizer_step(optimizer: Optimizer, loss: Tensor, max_gradient_norm: float = math.inf) -> None:
    """One optimizer step on `loss`, its gradient scaled down to `max_gradient_norm` if the norm is larger.

    Of several ranks (see ranks.py) each gives the mean loss of its rows; the step is that of the whole batch.
    Raises DivergedError, in all ranks, instead of applying a gradient if it or the loss is not finite.
    """
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    loss = ranks.average_gradients(parameters, loss)
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm)
    if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
        got = f"{loss.item()} and {norm.item()}"
        raise DivergedError.expected("loss and gradient norm", "finite numbers", got)
    optimizer.step()


@torch.no_grad()
def update_ema(ema: nn.Module, network: nn.Module, images: int, half_life: int) -> None:
    """Update the EMA after a step on `images` images; a weight's contribution halves every `half_life` images.

    Source: Yazici et al. 2018, arXiv:1806.04498. Buffers, such as those of batch norm, stay unchanged.
    """
    fraction = 1 - 0.5 ** (images / half_life)
    for average, weight in zip(ema.parameters(), network.parameters(), strict=True):
        average.lerp_(weight, fraction)


@torch.no_grad()
def recalibrate_batch_norm(generator: nn.Module, latent_size: int, seed: int) -> None:
    """Recompute the generator's batch-norm statistics on 5,000 latents of `seed`; leaves it in evaluation mode.

    The running statistics belong to the trained weights and do not fit their EMA.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    device = next(generator.parameters()).device
    rng = torch.Generator().manual_seed(seed)
    momenta = [norm.momentum for norm in norms]
    generator.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    for _ in range(STATISTICS_BATCHES):
        generator(torch.randn(STATISTICS_BATCH, latent_size, generator=rng).to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.eval()


def lr_factor(step: int, total: int, warmup_steps: int, lr_decay_fraction: float) -> float:
    """The learning-rate factor in (0, 1] of `step` of `total`: linear warm-up, constant, linear decay towards 0.

    The decay takes the last `lr_decay_fraction` of the steps; the last step's factor is above 0.
    """
    up = min(1.0, (step + 1) / (warmup_steps + 1))
    down = min(1.0, (total - step) / (lr_decay_fraction * total)) if lr_decay_fraction else 1.0
    return up * down


def set_lr(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate
