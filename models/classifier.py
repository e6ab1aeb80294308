"""The feature network of FFD-1: a classifier whose penultimate layer gives the features."""

from __future__ import annotations

from torch import Tensor, nn


class FeatureNetwork(nn.Module):
    """Images (N, channels, size, size) in [0, 1] to features (N, widths[-1]) and class logits (N, classes).

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


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
