"""Images as files: grids, folders of PNG, and images read from strangers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gan_denoise.data.image_files import open_image
from gan_denoise.data.images import ImagesF32, from_pil, to_uint8
from gan_denoise.errors import InputError
from gan_denoise.files import atomic_path

COLUMNS = 16
GAP = 2  # pixels between images
SCALE = 2  # screen pixels a pixel, so that 28x28 can be seen
CAPTION = 64  # pixels at the left of a row, for its name


def grid(images: ImagesF32, columns: int = COLUMNS) -> Image.Image:
    """One image of images (N, C, H, W) in [0, 1], row by row."""
    return paired_grid({"": images}, columns)


def paired_grid(sets: dict[str, ImagesF32], columns: int = COLUMNS) -> Image.Image:
    """Sets of as many images (N, C, H, W) in [0, 1] below one another, row by row, each row named at its left."""
    first = next(iter(sets.values()))
    count, height, width = first.shape[0], *first.shape[-2:]
    blocks = -(-count // columns)
    line, block = height + GAP, len(sets) * (height + GAP) + (2 * GAP if len(sets) > 1 else 0)
    colours = first.shape[1:2] if first.shape[1] > 1 else ()
    canvas = np.full((blocks * block + GAP, min(count, columns) * (width + GAP) + GAP, *colours), 255, np.uint8)
    for order, images in enumerate(sets.values()):
        for i, image in enumerate(to_uint8(images)):
            top = (i // columns) * block + order * line + GAP
            left = (i % columns) * (width + GAP) + GAP
            canvas[top : top + height, left : left + width] = _rows(image)
    large = Image.fromarray(canvas.repeat(SCALE, 0).repeat(SCALE, 1))
    tops = [SCALE * (b * block + order * line + GAP) for b in range(blocks) for order in range(len(sets))]
    return _captioned(large, [*sets] * blocks, tops) if any(sets) else large


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG in one step. Raises OutputError when it cannot."""
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def to_pil(image: ImagesF32) -> Image.Image:
    """One image of images (1, C, H, W) in [0, 1], pixel for pixel."""
    return Image.fromarray(_rows(to_uint8(image)[0]))


def save_numbered(images: ImagesF32, folder: Path, first: int = 0) -> None:
    """Write images (N, C, H, W) in [0, 1] as `000000.png` and on, counted from `first`, into a folder of our own."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(to_uint8(images), start=first):
        Image.fromarray(_rows(image)).save(folder / f"{i:06d}.png")


def read_image(path: Path, shape: tuple[int, ...], or_larger: bool = False) -> ImagesF32:
    """An image file, the right way up, as (1, C, H, W) float32 in [0, 1]; `shape` is the wanted (C, H, W).

    With `or_larger` H and W are the least. An image in colours whose red, green and blue are the same is grey too;
    transparency is dropped. Raises InputError as `open_image` does, or when it has another size or other colours.
    """
    channels, height, width = shape
    image = open_image(path, 3)  # not 1, which would make colours grey
    larger = or_larger and image.width >= width and image.height >= height
    if image.size != (width, height) and not larger:
        found, wanted = f"{image.width}x{image.height}", f"{width}x{height}{' or more' if or_larger else ''}"
        raise InputError(f"{path}: {found} pixels found, {wanted} wanted", "resize it first")
    pixels = from_pil(image)  # (3, H, W)
    if channels == 1:
        if (pixels != pixels[0]).any():
            raise InputError(f"{path}: colours found, a grey image wanted by this model", "convert it to grey first")
        pixels = pixels[:1]
    return pixels[None].astype(np.float32) / np.float32(255)


def _rows(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W), or (H, W, 3) from (3, H, W): colours last, as Pillow has them."""
    return image if image.ndim == 2 else image.transpose(1, 2, 0)


def _captioned(image: Image.Image, captions: list[str], tops: list[int]) -> Image.Image:
    wide = Image.new(image.mode, (image.width + CAPTION, image.height), "white")
    wide.paste(image, (CAPTION, 0))
    draw = ImageDraw.Draw(wide)
    for caption, top in zip(captions, tops, strict=True):
        draw.text((6, top + 22), caption, fill=0)
    return wide
