"""Optimizer steps, learning-rate schedules and averaged weights (EMA)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_denoise.errors import DivergedError

STATISTICS_BATCHES, STATISTICS_BATCH = 20, 250  # latents that the batch norm of averaged weights is measured on


def optimizer_step(optimizer: Optimizer, loss: Tensor, max_gradient_norm: float = math.inf) -> None:
    """Step down the gradient of `loss`, scaled to `max_gradient_norm` where it is longer.

    Raises DivergedError, the weights as they were, when the loss or the gradient is NaN or infinite.
    """
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm)
    if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
        raise DivergedError(f"loss {loss.item()}, gradient norm {norm.item()} found, finite numbers wanted")
    optimizer.step()


@torch.no_grad()
def update_ema(averaged: nn.Module, network: nn.Module, images: int, half_life: int) -> None:
    """Move the averaged weights towards the network's; after `half_life` images a weight counts half.

    Source: Yazici et al. 2018, arXiv:1806.04498. Buffers, such as batch norm's, are left alone.
    """
    share = 1 - 0.5 ** (images / half_life)
    for average, weight in zip(averaged.parameters(), network.parameters(), strict=True):
        average.lerp_(weight, share)


@torch.no_grad()
def recalibrate_batch_norm(generator: nn.Module, latent_size: int, seed: int) -> None:
    """Measure the generator's batch-norm statistics anew, on 5,000 latents of `seed`; leaves it in evaluation.

    Averaged weights never saw the statistics that running means of another network hold.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    device = next(generator.parameters()).device
    source = torch.Generator().manual_seed(seed)
    momenta = [norm.momentum for norm in norms]
    generator.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    for _ in range(STATISTICS_BATCHES):
        generator(torch.randn(STATISTICS_BATCH, latent_size, generator=source).to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.eval()


def lr_factor(step: int, total: int, warmup_steps: int, lr_decay_fraction: float) -> float:
    """A factor in (0, 1] for `step` of `total`: up over `warmup_steps` steps, flat, and down to 0 over the fraction `lr_decay_fraction`.

    Both slopes are straight, and the last step's factor is the smallest above 0.
    """
    up = min(1.0, (step + 1) / (warmup_steps + 1))
    down = min(1.0, (total - step) / (lr_decay_fraction * total)) if lr_decay_fraction else 1.0
    return up * down


def set_lr(optimizer: Optimizer, rate: float) -> None:
    """Give all of the optimizer's weights the learning rate `rate` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
