"""The averaged generator: an exponential moving average of weights with batch-norm statistics of its own."""

from __future__ import annotations

import torch
from torch import nn

STATISTICS_BATCHES, STATISTICS_BATCH = 20, 250  # latents that the batch norm of averaged weights is measured on


@torch.no_grad()
def average_into(averaged: nn.Module, network: nn.Module, images: int, half_life: int) -> None:
    """Move the averaged weights towards the network's; after `half_life` images a weight counts half.

    Source: Yazici et al. 2018, arXiv:1806.04498. Buffers, such as batch norm's, are left alone.
    """
    share = 1 - 0.5 ** (images / half_life)
    for average, weight in zip(averaged.parameters(), network.parameters(), strict=True):
        average.lerp_(weight, share)


@torch.no_grad()
def renew_batch_norm(generator: nn.Module, latent_size: int, seed: int) -> None:
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
