"""Array types, and conversions between uint8 pixels (stored), float32 pixels (computed with) and Pillow images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gan_denoise.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

ImagesU8 = NDArray[np.uint8]  # stored pixels, 0 to 255: (N, H, W) in grey, or (N, 3, H, W) in colour
ImagesF32 = NDArray[np.float32]  # pixels to compute with, [0, 1]: (N, C, H, W)
ArrayF32 = NDArray[np.float32]  # inputs and outputs of graphs: z, images, features
Vector = NDArray[np.float64]  # one number per image, (N,)


def to_float(images: ImagesU8) -> ImagesF32:
    """Convert uint8 (N, H, W) or (N, 3, H, W) to float32 (N, C, H, W) in [0, 1].

    Raises InputError for other types and shapes.
    """
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.shape[1:2] == (3,) and images.ndim == 4)):
        raise InputError.expected("images", "uint8 NxHxW or Nx3xHxW", f"{images.dtype} {format_shape(images.shape)}")
    floats = (images[:, None] if images.ndim == 3 else images).astype(np.float32)  # (N, C, H, W)
    floats /= 255  # in place: the training set is 188 MB
    return floats


def to_uint8(images: ImagesF32) -> ImagesU8:
    """Convert float32 (N, C, H, W) in [0, 1] to uint8 (N, H, W) or (N, 3, H, W), rounded to nearest.

    Raises InputError for other types and shapes, and for values outside [0, 1].
    """
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[1] not in (1, 3):
        got = f"{images.dtype} {format_shape(images.shape)}"
        raise InputError.expected("images", "float32 Nx1xHxW or Nx3xHxW", got)
    planes = images[:, 0] if images.shape[1] == 1 else images
    rounded: ImagesF32 = np.rint(planes * np.float32(255))
    if not ((rounded >= 0) & (rounded <= 255)).all():  # NaN fails both comparisons
        raise InputError.expected("images", "values in [0, 1]", f"{images.min()} to {images.max()}")
    return rounded.astype(np.uint8)


def format_shape(shape: tuple[str | int, ...]) -> str:
    """A shape as text, for example `28x28`."""
    return "x".join(map(str, shape))


def from_pil(image: Image.Image) -> ImagesU8:
    """The pixels of one image, uint8 (H, W) in grey or (3, H, W) in colour."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def to_pil(pixels: ImagesU8) -> Image.Image:
    """One image from uint8 pixels (H, W) in grey or (3, H, W) in colour."""
    from PIL import Image

    return Image.fromarray(pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0))
