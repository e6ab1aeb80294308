"""Write denoised images as PNG, JPEG, TIFF or WebP, with the metadata of their source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan_denoise.console import print_warning
from gan_denoise.data.images import to_pil
from gan_denoise.errors import InputError, one_line
from gan_denoise.export.denoise.deep_files import png_chunks, write_png, write_tiff
from gan_denoise.export.denoise.metadata import EXIF_PREFIX, Metadata
from gan_denoise.export.denoise.picture import Picture
from gan_denoise.export.denoise.tiling import Pixels

SUFFIXES = {  # of the formats that are written, the usual one first
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
KEPT = {"PNG": "PNG", "JPEG": "JPEG", "MPO": "JPEG", "TIFF": "TIFF", "WEBP": "WEBP"}  # by Pillow's name of the source
GAP = 8  # pixels between before and after
PNG_LEVEL = 4  # of zlib


def write_picture(file: IO[bytes], pixels: Pixels, source: Picture, image_format: str, name: object) -> None:
    """Write `pixels` with the alpha, the metadata and the encoding of their `source` as a file of `image_format`.

    What the format does not take is left out with a warning: first EXIF and XMP, for example EXIF of more than 64 KB in
    JPEG, then all metadata and the source's encoding. Raises OSError when writing fails, InputError where the
    encoder does.
    """
    colours = source.metadata._replace(exif=b"", xmp=b"")
    plain = replace(source, options={})
    attempts = (
        ("", source, source.metadata),
        ("EXIF and XMP", source, colours),
        ("the encoding of its source", plain, source.metadata),
        ("metadata", plain, Metadata()),
    )
    reasons = []
    for lost, picture, metadata in attempts:
        try:
            _write(file, pixels, picture, image_format, metadata)
        except (OSError, MemoryError):
            raise
        except Exception as error:
            reasons.append(error)
            file.seek(0)
            file.truncate()
            continue
        if lost:
            print_warning(f"warning: {name}: written without {lost} ({reasons[0]})")
        return
    reason = f"{name}: cannot be written as {image_format} ({one_line(reasons[0])})"
    raise InputError(reason, "write it as PNG: leave --keep-format out") from reasons[0]


def _write(file: IO[bytes], pixels: Pixels, source: Picture, image_format: str, metadata: Metadata) -> None:
    if image_format == "TIFF":
        write_tiff(file, _join(pixels, source.alpha), metadata)
    elif pixels.dtype == np.uint16:
        write_png(file, _join(pixels, source.alpha), metadata)
    else:
        image = to_pil(pixels)
        if source.alpha is not None:
            image.putalpha(Image.fromarray(source.alpha))
        image.save(file, image_format, **_options(image_format, metadata, source.options))


def _join(pixels: Pixels, alpha: Pixels | None) -> Pixels:
    """The channels (C, H, W) of an image, alpha last."""
    planes = pixels[None] if pixels.ndim == 2 else pixels
    return planes if alpha is None else np.concatenate([planes, alpha[None]])


def _options(image_format: str, metadata: Metadata, encoding: dict[str, Any]) -> dict[str, Any]:
    """What Pillow's encoder is told."""
    if image_format == "PNG":
        info = PngInfo()
        for name, content in png_chunks(metadata._replace(icc=b"", exif=b"", dpi=None)):
            info.add(name, content)
        options: dict[str, Any] = {"pnginfo": info, "compress_level": PNG_LEVEL}
    else:
        options = {**encoding, "xmp": metadata.xmp}
    if metadata.exif:
        options["exif"] = EXIF_PREFIX + metadata.exif
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.dpi and image_format != "WEBP":
        options["dpi"] = metadata.dpi
    return {key: value for key, value in options.items() if value not in (None, b"")}


def write_comparison(file: IO[bytes], before: Pixels, after: Pixels, icc: bytes) -> None:
    """Write two images of one shape side by side as a PNG file of 8 bits, the left one before denoising."""
    height, width = before.shape[-2:]
    mode = "L" if before.ndim == 2 else "RGB"
    canvas = Image.new(mode, (2 * width + GAP, height), "white")
    for left, pixels in ((0, before), (width + GAP, after)):
        canvas.paste(to_pil(_to_8_bits(pixels)), (left, 0))
    canvas.save(file, "PNG", compress_level=PNG_LEVEL, icc_profile=icc or None)


def _to_8_bits(pixels: Pixels) -> Pixels:
    if pixels.dtype == np.uint8:
        return pixels
    rounded = np.rint(np.arange(65536) / 257).astype(np.uint8)  # a table, since floats of all pixels are large
    return rounded[pixels]


def output_suffix(path: Path, image_format: str) -> str:
    """The suffix of an output in `image_format`: that of `path` if it fits."""
    return path.suffix if path.suffix.lower() in SUFFIXES[image_format] else SUFFIXES[image_format][0]
