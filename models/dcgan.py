"""The paper's generator and discriminator: a DCGAN for small images (Radford et al. 2015, arXiv:1511.06434)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from gan_denoise.models.dropout import Dropout

LEAKY_SLOPE = 0.2


class Generator(nn.Module):
    """Latent vectors z (N, latent_size) to images (N, channels, size, size) in (0, 1).

    Dense, reshape, then transposed convolutions with batch norm and LeakyReLU (paper, section 3.1.1).
    `widths` are the channels after the dense layer and after each doubling. The last transposed convolution has stride
    1: it mixes neighbouring pixels, which a doubling computes separately, and outputs `channels`.
    """

    def __init__(self, widths: tuple[int, ...], latent_size: int = 100, size: int = 28, channels: int = 1) -> None:
        super().__init__()
        self.base = base_size(size, len(widths) - 1)
        self.latent_size = latent_size
        self.dense = nn.Linear(latent_size, widths[0] * self.base**2, bias=False)
        self.dense_norm = nn.Sequential(nn.BatchNorm2d(widths[0]), nn.LeakyReLU(LEAKY_SLOPE))
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(LEAKY_SLOPE),
            ]
        self.upsample = nn.Sequential(*layers)
        self.to_image = nn.ConvTranspose2d(widths[-1], channels, kernel_size=3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.dense(z)  # (N, widths[0] * base * base)
        hidden = hidden.unflatten(1, (-1, self.base, self.base))  # (N, widths[0], base, base)
        hidden = self.upsample(self.dense_norm(hidden))  # (N, widths[-1], size, size)
        return torch.sigmoid(self.to_image(hidden))  # (N, channels, size, size)


class Discriminator(nn.Module):
    """Images (N, channels, size, size) in [0, 1] to one logit each, (N,): positive for real.

    Convolutions that halve the image, LeakyReLU, dropout, one output neuron (paper, section 3.1.1). Without batch norm,
    so real and fake images may share a batch.
    """

    def __init__(self, widths: tuple[int, ...], dropout: float, size: int = 28, channels: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((channels, *widths), widths, strict=False):
            layers += [
                nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1),
                nn.LeakyReLU(LEAKY_SLOPE),
                Dropout(dropout),
            ]
        self.downsample = nn.Sequential(*layers)
        self.to_logit = nn.Linear(widths[-1] * (size >> len(widths)) ** 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.downsample(image * 2 - 1)  # (N, widths[-1], size / 2**depth, size / 2**depth)
        logit: Tensor = self.to_logit(hidden.flatten(1))  # (N, 1)
        return logit.squeeze(1)


def base_size(size: int, doublings: int) -> int:
    """The side of the map that `doublings` doublings turn into `size`. Raises ValueError if there is none."""
    if size % 2**doublings:
        raise ValueError(f"size: expected a multiple of {2**doublings} for {doublings} doublings, got {size}")
    return size >> doublings
