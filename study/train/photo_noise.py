"""Simulated camera noise for training.

All random numbers are from torch's global generator.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d

from gan_denoise.data.images import from_pil, to_pil

GAMMA = 2.2
ELECTRONS = (150.0, 10_000.0)  # of a white pixel: 10,000 in good light, 150 in very little
READ_NOISE = (0.5, 5.0)  # standard deviation in electrons
WHITE_BALANCE = 2.4  # largest gain of red and blue, relative to green
MAX_BLUR = 1.2  # pixels, standard deviation: noise reduction and resizing in cameras
JPEG_QUALITY = (60, 98)
# sRGB from the channels of a typical sensor: each row adds up to 1, so grey stays grey.
COLOUR_MATRIX = torch.tensor([[1.7, -0.6, -0.1], [-0.2, 1.5, -0.3], [0.0, -0.6, 1.6]])


def camera_noise(clean: Tensor) -> Tensor:
    """Photographs (B, 3, H, W) in [0, 1] as a camera takes them in less light, of the same shape, in 8-bit steps.

    Gaussian noise in linear light whose variance is that of shot and read noise, which approximates Poisson-Gaussian
    noise (Foi et al. 2008); stronger in red and blue by the white balance, for half of the images spread by
    demosaicing, for all by a blur, mixed by a colour matrix; half of the images as JPEG. It is weaker at the edges of
    the image, where the filters meet zeros. The detail of the image itself is not blurred. Each image has its own
    light, sensor and quality.
    """
    linear = clean.clamp(0, 1) ** GAMMA
    noise = _coloured(_spread(_sensor_noise(linear)))
    noisy = (linear + noise).clamp(0, 1) ** (1 / GAMMA)
    noisy = (noisy * 255).round()
    compressed = torch.rand(len(clean)) < 0.5
    for i in compressed.nonzero()[:, 0].tolist():
        noisy[i] = _as_jpeg(noisy[i])
    return noisy / 255


def _sensor_noise(linear: Tensor) -> Tensor:
    """Shot and read noise of sensor channels (B, 3, H, W), in units of white."""
    count = len(linear)
    electrons = _log_uniform(count, *ELECTRONS)
    gain = 1 + (WHITE_BALANCE - 1) * torch.rand(count, 3, 1, 1)
    gain[:, 1] = 1
    white = electrons / gain
    variance = linear / white + (_log_uniform(count, *READ_NOISE) / white) ** 2
    return variance.sqrt() * torch.randn_like(linear)


def _spread(noise: Tensor) -> Tensor:
    """Noise (B, 3, H, W) spread over neighbours: by bilinear demosaicing for half of the images, and by blur."""
    count, channels, height, width = noise.shape
    demosaiced = torch.rand(count, 1, 1, 1) < 0.5
    noise = torch.where(demosaiced, _demosaic(noise), noise)
    sigma = MAX_BLUR * torch.rand(count, 1)
    weights = torch.exp(-0.5 * (torch.arange(-3.0, 4.0) / sigma.clamp(min=0.05)) ** 2)  # (B, 7)
    kernels = weights / weights.sum(1, keepdim=True)
    kernels = kernels.repeat_interleave(channels, 0)[:, None]  # (3 B, 1, 7)
    flat = noise.reshape(1, count * channels, height, width)
    flat = conv2d(flat, kernels[:, :, None], padding=(0, 3), groups=count * channels)
    flat = conv2d(flat, kernels[..., None], padding=(3, 0), groups=count * channels)
    return flat.reshape(noise.shape)


def _demosaic(noise: Tensor) -> Tensor:
    """The noise of a Bayer sensor (one channel a pixel) after bilinear interpolation of the others."""
    mask = torch.zeros(3, *noise.shape[-2:])
    mask[0, ::2, ::2] = mask[1, ::2, 1::2] = mask[1, 1::2, ::2] = mask[2, 1::2, 1::2] = 1
    sides = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 4
    cross = torch.tensor([[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 0.0]]) / 4
    return conv2d(noise * mask, torch.stack([sides, cross, sides])[:, None], padding=1, groups=3)


def _coloured(noise: Tensor) -> Tensor:
    """Noise of sensor channels (B, 3, H, W) in sRGB's, by a matrix between identity and COLOUR_MATRIX."""
    amount = torch.rand(len(noise), 1, 1)
    matrix = torch.eye(3) + amount * (COLOUR_MATRIX - torch.eye(3))  # (B, 3, 3)
    return torch.einsum("bij,bjhw->bihw", matrix, noise)


def _as_jpeg(image: Tensor) -> Tensor:
    """The image (3, H, W) of whole numbers from 0 to 255 after JPEG compression of a random quality."""
    quality = int(torch.randint(*JPEG_QUALITY, ()))
    subsampling = int(torch.randint(3, ()))  # none, of columns, of both
    buffer = io.BytesIO()
    to_pil(image.numpy().astype(np.uint8)).save(buffer, format="JPEG", quality=quality, subsampling=subsampling)
    return torch.from_numpy(from_pil(Image.open(buffer)).astype(np.float32))


def _log_uniform(count: int, low: float, high: float) -> Tensor:
    """Random numbers (count, 1, 1, 1) whose logarithms are uniform."""
    return low * (high / low) ** torch.rand(count, 1, 1, 1)
