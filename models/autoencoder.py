"""The paper's denoiser: a noise layer, an encoder like the discriminator, and a decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_denoise.models.dcgan import LEAKY_SLOPE


class GaussianNoise(nn.Module):
    """Adds Gaussian noise to images (N, C, H, W) in training mode; the identity in evaluation mode.

    Sigma is uniform per image in [sigma_min, sigma_max], for pixels in [0, 1]. With `clip_probability` an image is then
    clipped to [0, 1], as in image files. Draws from torch's global generator.
    """

    def __init__(self, sigma_min: float, sigma_max: float, clip_probability: float) -> None:
        super().__init__()
        self.sigma_min, self.sigma_max, self.clip_probability = sigma_min, sigma_max, clip_probability

    def forward(self, image: Tensor) -> Tensor:
        if not self.training:
            return image
        sigma = torch.empty(len(image), 1, 1, 1, device=image.device).uniform_(self.sigma_min, self.sigma_max)
        noisy = image + sigma * torch.randn_like(image)
        clip = torch.rand(len(image), 1, 1, 1, device=image.device) < self.clip_probability
        return torch.where(clip, noisy.clamp(0, 1), noisy)

    def extra_repr(self) -> str:
        return f"sigma {self.sigma_min:g} to {self.sigma_max:g}"


class Denoiser(nn.Module):
    """Noisy images (N, channels, size, size) to denoised ones of the same shape in (0, 1).

    In training mode the first layer adds the noise, so the input is clean images (paper, section 3.1.1). The encoder
    halves the image once per width; the decoder mirrors it with transposed convolutions.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        sigma_min: float,
        sigma_max: float,
        clip_probability: float = 0.0,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.noise = GaussianNoise(sigma_min, sigma_max, clip_probability)
        path = (channels, *widths)
        encoder: list[nn.Module] = []
        for before, after in zip(path, widths, strict=False):
            encoder += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(LEAKY_SLOPE)]
        self.encoder = nn.Sequential(*encoder)
        decoder: list[nn.Module] = []
        for before, after in zip(widths[::-1], path[-2::-1], strict=True):
            decoder += [
                nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1),
                nn.LeakyReLU(LEAKY_SLOPE),
            ]
        self.decoder = nn.Sequential(*decoder[:-1])

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.encoder(self.noise(image))  # (N, widths[-1], size / 2**depth, size / 2**depth)
        return torch.sigmoid(self.decoder(hidden))  # (N, channels, size, size)
