"""Feature networks: classifiers whose penultimate layer gives the features."""

from __future__ import annotations

from torch import Tensor, nn


class FeatureNetwork(nn.Module):
    """The network of FFD-1: images (N, channels, size, size) in [0, 1] to features and class logits.

    Features are (N, widths[-1]), logits (N, classes).

    Three stages of two 3x3 convolutions with batch norm; the features are the spatial mean of the last stage.
    """

    def __init__(self, widths: tuple[int, ...], classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for before, after in zip((channels, *widths), widths, strict=False):
            stages += [*_convolution(before, after), *_convolution(after, after), nn.MaxPool2d(2)]
        self.stages = nn.Sequential(*stages[:-1])
        self.to_logits = nn.Linear(widths[-1], classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.stages(image).mean((2, 3))  # (N, widths[-1])
        return features, self.to_logits(features)  # (N, classes)


class ResidualFeatureNetwork(nn.Module):
    """The second one: images (N, channels, size, size) in [0, 1] to the same outputs as FeatureNetwork.

    Where that network has pooled stages of plain convolutions at full resolution, this one halves the side by strided
    convolutions at the start of each stage, followed by a residual block (He et al. 2016, arXiv:1603.05027).
    """

    def __init__(self, widths: tuple[int, ...], classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for before, after in zip((channels, *widths), widths, strict=False):
            stages += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=False), _Residual(after)]
        self.stages = nn.Sequential(*stages, nn.BatchNorm2d(widths[-1]), nn.ReLU())
        self.to_logits = nn.Linear(widths[-1], classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.stages(image).mean((2, 3))  # (N, widths[-1])
        return features, self.to_logits(features)  # (N, classes)


class _Residual(nn.Module):
    """x + two 3x3 convolutions, each after batch norm and ReLU; the shape (N, width, H, W) stays."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_preactivated(width), *_preactivated(width))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


def _preactivated(width: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)]


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
