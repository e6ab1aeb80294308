"""Denoise arrays and Pillow images: the result has the type, shape and range of what was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_denoise.errors import InputError
from gan_denoise.export.denoise.tiling import MODEL_HINT, Pixels, check_denoiser, check_finite, denoise_pixels
from gan_denoise.export.runtime import Graph

Choose = Callable[[Pixels], Graph]  # the graph for an image (H, W) or (3, H, W)
NOISE_LIMITS = -4.0, 5.0  # floats outside were not scaled to [0, 1]; noise of sigma 0.6 stays inside
WITH_ALPHA = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}  # modes to convert such images to
MODES = ("L", "LA", "RGB", "RGBA", "I;16")  # of Pillow images
SHAPES = "(H, W), (H, W, C) with C = 1, 3 or 4, or (N, C, H, W) with C = 1 or 3"


def denoise_image(choose: Choose, image: Image.Image, strength: float) -> Image.Image:
    """The denoised Pillow image, in its mode and with its `info`. Raises InputError for other modes than MODES.

    An image with a transparent colour gets an alpha channel.
    """
    if image.mode not in MODES:
        expected = f"mode {', '.join(MODES)}"
        is_deep = image.mode[0] in "IF"  # convert() would clip these to 8 bits
        mode = WITH_ALPHA.get(image.mode, "RGB")
        hint = (
            "give it as an array of uint16 or of floats in [0, 1]"
            if is_deep
            else f'image.convert("{mode}") converts it'
        )
        raise InputError.expected("image", expected, image.mode, hint)
    if image.info.get("transparency") is not None:  # a colour that is transparent; its pixels would get other colours
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    planes = np.asarray(image)
    if image.mode == "LA":
        grey, alpha = planes[..., 0], planes[..., 1]
        result = Image.fromarray(np.stack([denoise_array(choose, grey, strength), alpha], -1))
    else:
        result = Image.fromarray(denoise_array(choose, planes, strength))
    result.info = dict(image.info)
    return result


def denoise_array(choose: Choose, images: NDArray[Any], strength: float) -> NDArray[Any]:
    """The denoised image or images, in the shape and type given; see SHAPES. A fourth channel, alpha, is unchanged.

    Takes uint8, uint16, or floats whose clean image is in [0, 1]. Raises InputError for other types, shapes and values.
    """
    _check_type(images)
    result = np.empty_like(images)
    match images.shape:
        case (_, _):
            result[...] = _denoise(choose, images, strength)
        case (_, _, 1):
            result[..., 0] = _denoise(choose, images[..., 0], strength)
        case (_, _, 3 | 4):
            result[..., :3] = _denoise(choose, images[..., :3].transpose(2, 0, 1), strength).transpose(1, 2, 0)
            result[..., 3:] = images[..., 3:]
        case (_, 1 | 3, _, _):
            graph = choose(images[0, 0] if images.shape[1] == 1 else images[0])
            if strength == 1 and images.dtype.kind == "f" and images.shape[1:] == graph.input_shape:
                check_denoiser(graph, "model", MODEL_HINT)
                denoised = graph.batched(images.astype(np.float32))[0]  # faster than one by one
                check_finite(denoised)
                return denoised.clip(0, 1).astype(images.dtype)
            for image, restored in zip(images, result, strict=True):
                restored[...] = _denoise(choose, image[0] if len(image) == 1 else image, strength)
        case _:
            raise InputError.expected("images", SHAPES, images.shape)
    return result


def _denoise(choose: Choose, pixels: Pixels, strength: float) -> Pixels:
    return denoise_pixels(choose(pixels), pixels, strength, name="images")


def _check_type(images: NDArray[Any]) -> None:
    if not images.size:
        raise InputError.expected("images", "one or more pixels", images.shape)
    if images.dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError.expected("images", "uint8, uint16, or floats in [0, 1]", images.dtype)
    low, high = images.min(), images.max()
    if not (low >= NOISE_LIMITS[0] and high <= NOISE_LIMITS[1]):  # NaN fails too
        raise InputError.expected("images", "floats in [0, 1], apart from noise", f"{low:g} to {high:g}")
