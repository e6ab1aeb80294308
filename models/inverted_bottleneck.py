"""The residual block of both U-Nets: a depthwise convolution between two of 1x1."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu


def stack_blocks(width: int, count: int) -> nn.Sequential:
    """`count` blocks, one after the other."""
    return nn.Sequential(*(InvertedBottleneck(width) for _ in range(count)))


class InvertedBottleneck(nn.Module):
    """x + Conv1x1(ReLU(DepthwiseConv3x3(Conv1x1(x)))), twice as wide inside; the shape (N, width, H, W) stays.

    Sandler et al. 2018, arXiv:1801.04381, without biases and normalization. It needs a quarter of the multiply-adds of
    two full 3x3 convolutions. The last layer starts at zero, and so the block at the identity.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = 2 * width
        self.widen = nn.Conv2d(width, inner, kernel_size=1, bias=False)
        self.depthwise = nn.Conv2d(inner, inner, kernel_size=3, padding=1, groups=inner, bias=False)
        self.narrow = nn.Conv2d(inner, width, kernel_size=1, bias=False)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.narrow(relu(self.depthwise(self.widen(x))))
        return y
