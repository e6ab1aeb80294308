"""The denoiser for photographs: a U-Net of depthwise convolutions, small and fast on a CPU."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

from gan_denoise.models.inverted_bottleneck import stack_blocks

MULTIPLE = 8  # height and width are multiples of this


class DepthwiseUNet(nn.Module):
    """Noisy images (N, channels, H, W) to denoised ones of the same shape; H and W multiples of 8.

    Blind, residual and without biases and normalization, of the same blocks as models/unet.py, from which it differs in
    three ways. A third level works at 1/8 of the side. The first layer is one convolution of stride 2, which equals
    pixel unshuffling and a 3x3 convolution. Upsampling is a 1x1 convolution and nearest-neighbour interpolation, which
    onnxruntime runs faster on large images than a transposed convolution. In evaluation mode the result is clipped to
    [0, 1]. `widths` are the channels at 1/2, 1/4 and 1/8 of the side; `blocks` the blocks at these three on the way
    down, then at 1/4 and 1/2 on the way up.
    """

    def __init__(self, widths: tuple[int, int, int], blocks: tuple[int, int, int, int, int], channels: int = 3) -> None:
        super().__init__()
        high, middle, low = widths
        self.head = nn.Conv2d(channels, high, kernel_size=6, stride=2, padding=2, bias=False)
        self.down_high = stack_blocks(high, blocks[0])
        self.shrink_high = nn.Conv2d(high, middle, kernel_size=2, stride=2, bias=False)
        self.down_middle = stack_blocks(middle, blocks[1])
        self.shrink_middle = nn.Conv2d(middle, low, kernel_size=2, stride=2, bias=False)
        self.bottom = stack_blocks(low, blocks[2])
        self.narrow_middle = nn.Conv2d(low, middle, kernel_size=1, bias=False)
        self.up_middle = stack_blocks(middle, blocks[3])
        self.narrow_high = nn.Conv2d(middle, high, kernel_size=1, bias=False)
        self.up_high = stack_blocks(high, blocks[4])
        self.tail = nn.Conv2d(high, 4 * channels, kernel_size=3, padding=1, bias=False)
        nn.init.zeros_(self.tail.weight)
        self.receptive_field = receptive_field(blocks)

    def forward(self, noisy: Tensor) -> Tensor:
        high = self.down_high(self.head(noisy))  # (N, widths[0], H / 2, W / 2)
        middle = self.down_middle(self.shrink_high(high))  # (N, widths[1], H / 4, W / 4)
        low = self.bottom(self.shrink_middle(middle))  # (N, widths[2], H / 8, W / 8)
        middle = self.up_middle(middle + interpolate(self.narrow_middle(low), scale_factor=2))
        high = self.up_high(high + interpolate(self.narrow_high(middle), scale_factor=2))
        restored: Tensor = noisy - pixel_shuffle(self.tail(high), 2).float()  # in float32 under autocast too
        return restored if self.training else restored.clamp(0, 1)


def receptive_field(blocks: tuple[int, ...]) -> int:
    """How many pixels away an input pixel can be that changes an output pixel, in each direction.

    Head, tail and each block see one neighbour at their own scale; the grids of the levels add at most 7 pixels.
    """
    down_high, down_middle, bottom, up_middle, up_high = blocks
    return 2 * (2 + down_high + up_high) + 4 * (down_middle + up_middle) + 8 * bottom + MULTIPLE - 1
