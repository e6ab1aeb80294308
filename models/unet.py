"""Our denoiser: a small blind U-Net that works on sub-pixels and subtracts the noise that it finds."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, relu

BLACK = 2 / 255  # so little light is none


class UNet(nn.Module):
    """Noisy images (N, channels, size, size) to restored ones of the same shape; size a multiple of 4.

    One network for all strengths of noise, which it is not told. The image is folded to half its side, four
    channels for one (Shi et al. 2016, arXiv:1609.05158), so all work is done at a half and a quarter of the size.
    Without any bias or norm what it finds scales with the input, which carries over to strengths not trained on (Mohan
    et al. 2020, arXiv:1906.05478). The last layer of each residual block starts at zero, so training starts from
    the identity. In evaluation the result is clipped to [0, 1] and what is below BLACK is 0, with a ramp up to twice
    that (firm shrinkage: Gao and Bruce 1997): training hardly minds a faint haze over black.
    `widths` are the channels at the two sizes, `blocks` the residual blocks going down, at the bottom and going up.
    """

    def __init__(self, widths: tuple[int, int], blocks: tuple[int, int, int], channels: int = 1) -> None:
        super().__init__()
        wide, deep = widths
        down, bottom, up = blocks
        self.head = nn.Conv2d(4 * channels, wide, kernel_size=3, padding=1, bias=False)
        self.down = nn.Sequential(*(ResidualBlock(wide) for _ in range(down)))
        self.shrink = nn.Conv2d(wide, deep, kernel_size=2, stride=2, bias=False)
        self.bottom = nn.Sequential(*(ResidualBlock(deep) for _ in range(bottom)))
        self.grow = nn.ConvTranspose2d(deep, wide, kernel_size=2, stride=2, bias=False)
        self.up = nn.Sequential(*(ResidualBlock(wide) for _ in range(up)))
        self.tail = nn.Conv2d(wide, 4 * channels, kernel_size=3, padding=1, bias=False)
        nn.init.zeros_(self.tail.weight)

    def forward(self, noisy: Tensor) -> Tensor:
        folded = pixel_unshuffle(noisy, 2).contiguous(memory_format=torch.channels_last)
        skip = self.down(self.head(folded))  # (N, widths[0], size / 2, size / 2)
        deep = self.bottom(self.shrink(skip))  # (N, widths[1], size / 4, size / 4)
        noise = self.tail(self.up(skip + self.grow(deep)))  # (N, 4 * channels, size / 2, size / 2)
        restored = noisy - pixel_shuffle(noise, 2).float()
        return restored if self.training else _threshold_black(restored.clamp(0, 1))


def _threshold_black(images: Tensor) -> Tensor:
    return torch.minimum(images, 2 * relu(images - BLACK))


class ResidualBlock(nn.Module):
    """x + Conv3x3(ReLU(Conv3x3(x))) without biases, (N, width, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(relu(self.first(x)))
        return y
