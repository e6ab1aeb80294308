"""The class-conditional generator and discriminator of preset `best`, with residual blocks."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gan_denoise.models.dcgan import LEAKY_SLOPE, base_size
from gan_denoise.models.z_layout import split_z

CLASS_SCALE = 3.0  # gives the one-hot class about the norm of the other entries of z


class ConditionalGenerator(nn.Module):
    """Latent vectors z (N, latent_size) to images (N, channels, size, size) in (0, 1) of the classes that z chooses.

    The largest of the last `classes` entries of z chooses the class, so a normal z gives all classes equally often.
    Layers: dense, reshape, a transposed convolution for each doubling, and a convolution at full size. `widths` and
    `blocks` are the channels and residual blocks after the dense layer and after each doubling.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        latent_size: int = 100,
        classes: int = 10,
        size: int = 28,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.base = base_size(size, len(widths) - 1)
        self.latent_size, self.classes = latent_size, classes
        self.dense = nn.Linear(latent_size, widths[0] * self.base**2, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.LeakyReLU(LEAKY_SLOPE)]
        layers += [NormedBlock(widths[0]) for _ in range(blocks[0])]
        for (before, after), count in zip(itertools.pairwise(widths), blocks[1:], strict=True):
            layers += [
                nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(LEAKY_SLOPE),
                *(NormedBlock(after) for _ in range(count)),
            ]
        self.body = nn.Sequential(*layers)
        self.to_image = nn.Conv2d(widths[-1], channels, kernel_size=3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        free, entries = split_z(z, self.classes)
        one_hot = (entries >= entries.amax(dim=1, keepdim=True)).to(z.dtype)  # (N, classes)
        hidden = self.dense(torch.cat([free, CLASS_SCALE * one_hot], dim=1))  # (N, widths[0] * base * base)
        hidden = self.body(hidden.unflatten(1, (-1, self.base, self.base)))  # (N, widths[-1], size, size)
        return torch.sigmoid(self.to_image(hidden).float())  # (N, channels, size, size)


class ConditionalDiscriminator(nn.Module):
    """Images (N, channels, size, size) in [0, 1] and their classes (N,) int64 to one logit each, (N,).

    Convolutions that halve the image, residual blocks, and a linear layer with a common output and one per class: the
    projection discriminator of Miyato and Koyama (2018, arXiv:1802.05637). Without normalization, so real and fake
    images may share a batch.
    """

    def __init__(
        self, widths: tuple[int, ...], blocks: tuple[int, ...], classes: int = 10, size: int = 28, channels: int = 1
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, count in zip((channels, *widths[:-1]), widths, blocks, strict=True):
            layers += [
                nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1),
                nn.LeakyReLU(LEAKY_SLOPE),
                *(Block(after) for _ in range(count)),
            ]
        self.downsample = nn.Sequential(*layers)
        self.to_logits = nn.Linear(widths[-1] * (size >> len(widths)) ** 2, 1 + classes)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        scaled = (image * 2 - 1).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.to_logits(self.downsample(scaled).flatten(1)).float()  # (N, 1 + classes)
        return logits[:, 0] + logits[:, 1:].gather(1, label.unsqueeze(1)).squeeze(1)


class NormedBlock(nn.Module):
    """x + LeakyReLU(BatchNorm(Conv3x3(x))); the shape (N, width, H, W) stays."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + leaky_relu(self.norm(self.convolution(x)), LEAKY_SLOPE)


class Block(nn.Module):
    """x + LeakyReLU(Conv3x3(x)); the shape (N, width, H, W) stays."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + leaky_relu(self.convolution(x), LEAKY_SLOPE)
