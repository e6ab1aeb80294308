"""Decode colour images of 16 bits a channel, which Pillow opens as 8 bits.

Pillow's decoders read one byte of a 16-bit sample: the first if the file is decoded as big-endian, the second if it is
decoded as little-endian. Two decodings give all 16 bits, in each format and compression that Pillow knows. (tifffile
reads no LZW without imagecodecs; PNG libraries for Python are slow or large.)
"""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

DEEP = re.compile(r"(RGB|RGBA|RGBX|RGBa|LA);16([BLN])")  # raw modes: channels, byte order (N: that of the machine)
PixelsU16 = NDArray[np.uint16]


def decode_deep(image: ImageFile.ImageFile) -> PixelsU16 | None:
    """Decode the current frame: uint16 (H, W, C), C 2 with alpha, 3 or 4; None, and the image loaded, for others.

    Colours of raw mode RGBa come back divided by their alpha. `image` has not been loaded; its file remains open.
    """
    match = DEEP.fullmatch(_raw_mode(image)) if not _is_animated_png(image) else None
    maximum = _ppm_maximum(image)
    if match is None and maximum is None:
        image.load()
        return None
    kind, order = match.groups() if match else ("RGB", "B")
    if kind == "LA":  # Pillow makes it RGBA; the bytes as they are
        return _decode(image, "RGBA").view(">u2").astype(np.uint16)  # (H, W, 2)
    again = Image.open(_file(image), formats=(str(image.format),))
    again.seek(image.tell())
    plain = kind.replace("RGBa", "RGBA")
    second, first = _decode(again, f"{plain};16L"), _decode(image, f"{plain};16B")
    is_big = order == "B" or (order == "N" and sys.byteorder == "big")
    high, low = (first, second) if is_big else (second, first)
    pixels = high.astype(np.uint16)
    pixels <<= 8
    pixels |= low
    if kind == "RGBa":
        pixels[..., :3] = _unmultiply(pixels)
    return _scale(pixels, maximum) if maximum is not None else pixels


def _raw_mode(image: ImageFile.ImageFile) -> str:
    arguments: Any = image.tile[0][3] if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _is_animated_png(image: ImageFile.ImageFile) -> bool:
    """Whether frames are composed of parts, which Pillow does in 8 bits."""
    return image.format == "PNG" and getattr(image, "n_frames", 1) > 1


def _ppm_maximum(image: ImageFile.ImageFile) -> int | None:
    """The largest value of a colour PPM file of more than 8 bits; None for all others."""
    if image.tile and image.tile[0][0] == "ppm" and image.mode == "RGB":
        maximum = int(image.tile[0][3][1])  # type: ignore[index]
        return maximum if maximum > 255 else None
    return None


def _file(image: ImageFile.ImageFile) -> Any:
    return image.fp


def _decode(image: ImageFile.ImageFile, raw_mode: str) -> NDArray[np.uint8]:
    """The 8 bits a channel that `raw_mode` takes of the samples, (H, W, C)."""
    tiles = []
    for codec, extents, offset, arguments in image.tile:
        if codec == "ppm":
            codec, arguments = "raw", (raw_mode, 0, 1)
        rest = arguments[1:] if isinstance(arguments, tuple) else None
        tiles.append(ImageFile._Tile(codec, extents, offset, raw_mode if rest is None else (raw_mode, *rest)))
    image.tile = tiles
    image.load()
    return np.asarray(image)


def _unmultiply(pixels: PixelsU16) -> PixelsU16:
    alpha = np.maximum(pixels[..., 3:], 1).astype(np.uint64)
    colours = (pixels[..., :3].astype(np.uint64) * 65535 + alpha // 2) // alpha
    limited: PixelsU16 = np.minimum(colours, 65535).astype(np.uint16)
    return limited


def _scale(pixels: PixelsU16, maximum: int) -> PixelsU16:
    """Values from 0 to `maximum` as 0 to 65535, rounded to nearest."""
    wide = np.minimum(pixels, maximum).astype(np.uint32)
    scaled: PixelsU16 = ((wide * 65535 + maximum // 2) // maximum).astype(np.uint16)
    return scaled
