"""The baseline GAN of 2014, without convolutions (Goodfellow et al. 2014, arXiv:1406.2661)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from gan_denoise.models.dropout import Dropout


class FullyConnectedGenerator(nn.Module):
    """Latent vectors z (N, latent_size) to images (N, channels, size, size) in (0, 1): dense layers with ReLU."""

    def __init__(self, widths: tuple[int, ...], latent_size: int = 100, size: int = 28, channels: int = 1) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.shape = (channels, size, size)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((latent_size, *widths)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.to_image = nn.Linear(widths[-1], channels * size**2)

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.to_image(self.body(z)).unflatten(1, self.shape))


class FullyConnectedDiscriminator(nn.Module):
    """Images (N, channels, size, size) in [0, 1] to one logit each, (N,): dense maxout layers with dropout.

    Each unit is the maximum of `pieces` linear functions (Goodfellow et al. 2013, arXiv:1302.4389).
    """

    def __init__(
        self, widths: tuple[int, ...], dropout: float, pieces: int = 5, size: int = 28, channels: int = 1
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((channels * size**2, *widths)):
            layers += [Maxout(before, after, pieces), Dropout(dropout)]
        self.body = nn.Sequential(nn.Flatten(), *layers)
        self.to_logit = nn.Linear(widths[-1], 1)

    def forward(self, image: Tensor) -> Tensor:
        logit: Tensor = self.to_logit(self.body(image))
        return logit.squeeze(1)


class Maxout(nn.Module):
    """(N, before) to (N, after): each output is the maximum of `pieces` linear functions."""

    def __init__(self, before: int, after: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after * pieces)
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        pieces: Tensor = self.linear(x)
        return pieces.view(len(x), self.after, -1).amax(dim=2)
