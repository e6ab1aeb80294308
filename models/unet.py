"""The denoiser of preset `best`: a small blind U-Net that subtracts its noise estimate."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, relu

from gan_denoise.models.inverted_bottleneck import stack_blocks

BLACK_LEVEL = 2 / 255  # the black-level threshold: pixels below it become 0


class UNet(nn.Module):
    """Noisy images (N, channels, size, size) to denoised ones of the same shape; size a multiple of 4.

    Blind: one network for all noise levels, without the level as input. Pixel unshuffling folds the image to half its
    side and four times the channels (Shi et al. 2016, arXiv:1609.05158), so all layers work at 1/2 and 1/4 of the side.
    Without biases and normalization the noise estimate scales with the input, which generalizes to noise levels
    outside training (Mohan et al. 2020, arXiv:1906.05478). Training starts from the identity. In evaluation mode the
    result is clipped to [0, 1] and pixels below BLACK_LEVEL become 0, with a ramp up to twice that (firm shrinkage: Gao
    and Bruce 1997), since the training losses hardly penalize a faint error on black. `widths` are the channels at the
    two sizes, `blocks` the blocks in the encoder, at the bottom and in the decoder.
    """

    def __init__(self, widths: tuple[int, int], blocks: tuple[int, int, int], channels: int = 1) -> None:
        super().__init__()
        wide, deep = widths
        down, bottom, up = blocks
        self.head = nn.Conv2d(4 * channels, wide, kernel_size=3, padding=1, bias=False)
        self.down = stack_blocks(wide, down)
        self.shrink = nn.Conv2d(wide, deep, kernel_size=2, stride=2, bias=False)
        self.bottom = stack_blocks(deep, bottom)
        self.grow = nn.ConvTranspose2d(deep, wide, kernel_size=2, stride=2, bias=False)
        self.up = stack_blocks(wide, up)
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
    """0 below BLACK_LEVEL, unchanged above twice that, linear between."""
    return torch.minimum(images, 2 * relu(images - BLACK_LEVEL))
