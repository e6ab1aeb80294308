"""EfficientNet-Lite0 without its classifier: the ImageNet features that generated images are compared by."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad

SIDE = 224  # pixels of its images
WIDTH = 1280  # features
STAGES = (  # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite0(nn.Module):
    """Colour images (N, 3, 224, 224) in [0, 1] to features (N, 1280), the spatial mean of the last layer.

    Tan and Le 2019, arXiv:1905.11946, table 1, in the Lite form: ReLU6 for Swish, no squeeze and excitation. The layers
    are in the order of the published PyTorch weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, 32, kernel=3, stride=2), nn.ReLU6())
        blocks, before = [], 32
        for count, kernel, stride, expansion, after in STAGES:
            for i in range(count):
                blocks.append(MobileBlock(before, after, kernel, 1 if i else stride, expansion))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_convolution(before, WIDTH, kernel=1), nn.ReLU6())

    def forward(self, image: Tensor) -> Tensor:
        levels = (255 * image - 127) / 128  # as in its training
        features: Tensor = self.head(self.blocks(self.stem(levels))).mean((2, 3))
        return features


class MobileBlock(nn.Module):
    """Widen by a 1x1 convolution, a depthwise one, narrow by 1x1; a residual block where the shape stays."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * before
        widen = [*_convolution(before, inner, kernel=1), nn.ReLU6()] if expansion > 1 else []
        depthwise = [*_convolution(inner, inner, kernel, stride, groups=inner), nn.ReLU6()]
        self.layers = nn.Sequential(*widen, *depthwise, *_convolution(inner, after, kernel=1))
        self.is_residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.is_residual else y


class SamePad(nn.Module):
    """Zeros around even images (N, C, H, W) as TensorFlow's SAME adds them before a stride of 2: more at the end."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.before, self.after = (kernel - 2) // 2, (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        return pad(x, (self.before, self.after, self.before, self.after))


def _convolution(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    padding = kernel // 2 if stride == 1 else 0
    convolution = nn.Conv2d(before, after, kernel, stride, padding, groups=groups, bias=False)
    return [*([] if stride == 1 else [SamePad(kernel)]), convolution, nn.BatchNorm2d(after, eps=1e-3)]
