"""The baseline denoiser DnCNN (Zhang et al. 2017, arXiv:1608.03981)."""

from __future__ import annotations

from torch import Tensor, nn


class DnCNN(nn.Module):
    """Noisy images (N, channels, H, W) to denoised ones of the same shape, clipped to [0, 1] in evaluation mode.

    `depth` 3x3 convolutions at full size, with batch norm on all but the first and the last, estimate the noise. The
    defaults are those of its paper: 17 layers of 64 channels.
    """

    def __init__(self, width: int = 64, depth: int = 17, channels: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.noise = nn.Sequential(*layers, nn.Conv2d(width, channels, kernel_size=3, padding=1))

    def forward(self, noisy: Tensor) -> Tensor:
        restored: Tensor = noisy - self.noise(noisy).float()
        return restored if self.training else restored.clamp(0, 1)
