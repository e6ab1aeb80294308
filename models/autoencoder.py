"""The paper's denoiser: Gaussian noise, an encoder like the discriminator, and a decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_denoise.models.dcgan import LEAKY_SLOPE


class GaussianNoise(nn.Module):
    """Adds noise of a strength drawn per image from [sigma_min, sigma_max]; does nothing in evaluation.

    Sigma is in pixel units of [0, 1]. A share `clip_probability` of the images is clipped to [0, 1] afterwards, as image
    files are; the others are left as they come. Randomness is torch's global generator.
    """

    def __init__(self, sigma_min: float, sigma_max: float, clip_probability: float) -> None:
        super().__init__()
        self.sigma_min, self.sigma_max, self.clip_probability = sigma_min, sigma_max, clip_probability

    def forward(self, image: Tensor) -> Tensor:
        if not self.training:
            return image
        sigma = torch.empty(len(image), 1, 1, 1, device=image.device).uniform_(self.sigma_min, self.sigma_max)
        noisy = image + sigma * torch.randn_like(image)
        in_file = torch.rand(len(image), 1, 1, 1, device=image.device) < self.clip_probability
        return torch.where(in_file, noisy.clamp(0, 1), noisy)

    def extra_repr(self) -> str:
        return f"sigma {self.sigma_min:g} to {self.sigma_max:g}"


class Denoiser(nn.Module):
    """Noisy images (N, channels, size, size) to restored ones of the same shape in (0, 1).

    In training the first layer adds the noise itself, so the network is given clean images (paper, section 3.1.1).
    The encoder halves the image once per width; the decoder mirrors it with transposed convolutions.
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
