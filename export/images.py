"""Images as files: grids, folders of PNG files, and reading untrusted image files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from gan_denoise.data.image_files import Skipped
from gan_denoise.data.images import ImagesF32, ImagesU8, from_pil, to_pil, to_uint8
from gan_denoise.data.open_image import open_image
from gan_denoise.errors import InputError
from gan_denoise.files import atomic_path

COLUMNS = 16
GAP = 2  # pixels between images
SCALE = 2  # screen pixels per image pixel, so that 28x28 is large enough to see
CAPTION = 64  # pixels at the left of a row for its caption


def grid(images: ImagesF32, columns: int = COLUMNS) -> Image.Image:
    """One image that shows images (N, C, H, W) in [0, 1] row by row."""
    return paired_grid({"": images}, columns)


def paired_grid(sets: dict[str, ImagesF32], columns: int = COLUMNS) -> Image.Image:
    """One image that shows several sets of images, each (N, C, H, W) in [0, 1] with the same N.

    Each row of the first set has the same images of the other sets below it; the caption of a row is its set's name.
    """
    first = next(iter(sets.values()))
    count, height, width = first.shape[0], *first.shape[-2:]
    blocks = -(-count // columns)
    line, block = height + GAP, len(sets) * (height + GAP) + (2 * GAP if len(sets) > 1 else 0)
    colours = first.shape[1:2] if first.shape[1] > 1 else ()
    canvas = np.full((*colours, blocks * block + GAP, min(count, columns) * (width + GAP) + GAP), 255, np.uint8)
    for order, images in enumerate(sets.values()):
        for i, image in enumerate(to_uint8(images)):
            top = (i // columns) * block + order * line + GAP
            left = (i % columns) * (width + GAP) + GAP
            canvas[..., top : top + height, left : left + width] = image
    large = to_pil(canvas.repeat(SCALE, -2).repeat(SCALE, -1))
    tops = [SCALE * (b * block + order * line + GAP) for b in range(blocks) for order in range(len(sets))]
    return _add_captions(large, [*sets] * blocks, tops) if any(sets) else large


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG file atomically. Raises OutputError when writing fails."""
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def save_numbered(images: ImagesF32, folder: Path, numbers: Sequence[int]) -> None:
    """Write images (N, C, H, W) in [0, 1] as PNG files named by `numbers`, (N,), in six digits or more.

    The files are not written atomically: `folder` is a temporary one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in zip(numbers, to_uint8(images), strict=True):
        (folder / f"{number:06d}.png").write_bytes(encode_png(image))


def encode_png(pixels: ImagesU8) -> bytes:
    """A PNG file of one image, uint8 (H, W) or (3, H, W); the same pixels give the same bytes."""
    file = io.BytesIO()
    to_pil(pixels).save(file, "PNG")
    return file.getvalue()


def read_image(path: Path, shape: tuple[int, ...], skipped: Skipped | None = None) -> ImagesF32:
    """Read an image file, turned upright, as (1, C, H, W) float32 in [0, 1] for a model of `shape` (C, H, W).

    An RGB image whose channels are all equal also counts as grey; transparent pixels are shown on white. Of several
    pages or frames the first is read, and the others are counted in `skipped`. Raises InputError as `open_image` does,
    or when the size or the colours do not fit.
    """
    image = open_image(path, 3, skipped)  # in colour, since grey would convert colours without an error
    channels, height, width = shape
    if image.size != (width, height):
        got = f"{image.width}x{image.height}"
        raise InputError.expected(path, f"{width}x{height} pixels", got, "resize it first")
    pixels = from_pil(image)  # (3, H, W)
    if channels == 1:
        if (pixels != pixels[0]).any():
            hint = "convert it to grey first"
            raise InputError.expected(path, "a grey image, as the model needs", "one with colours", hint)
        pixels = pixels[:1]
    return pixels[None].astype(np.float32) / np.float32(255)


def _add_captions(image: Image.Image, captions: list[str], tops: list[int]) -> Image.Image:
    wide = Image.new(image.mode, (image.width + CAPTION, image.height), "white")
    wide.paste(image, (CAPTION, 0))
    draw = ImageDraw.Draw(wide)
    for caption, top in zip(captions, tops, strict=True):
        draw.text((6, top + 22), caption, fill=0)
    return wide
