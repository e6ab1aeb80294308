"""Read image files for denoising: all their bits, transparency apart, upright, with what the result is to keep."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, JpegImagePlugin

from gan_denoise.console import warn_once
from gan_denoise.data.deep_pixels import decode_deep
from gan_denoise.data.open_image import (
    BITS_PER_SAMPLE,
    MODES_16_BITS,
    checked_deep,
    count_frames,
    open_checked,
    read_orientation,
    seek_later_frames,
)
from gan_denoise.export.denoise.metadata import Metadata, read_colour_chunks, read_metadata
from gan_denoise.export.denoise.tiling import Pixels

TURNS = {  # by EXIF orientation: whether to swap height and width, then to flip height, width
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclass(frozen=True, slots=True)
class Picture:
    """One image, upright: `pixels` (H, W) in grey or (3, H, W), uint8 or uint16, and `alpha` (H, W) of the same type.

    `options` are how Pillow is to encode the result in the format of the source.
    """

    pixels: Pixels
    alpha: Pixels | None
    metadata: Metadata
    options: dict[str, Any]


def read_pictures(path: Path, content: bytes | None = None) -> Iterator[Picture]:
    """Read the pages or frames of an image file one after the other.

    16 bits a channel stay 16, floats in [0, 1] become 16, all others have 8. CMYK becomes RGB by its colour profile.
    Metadata that cannot be read is left out. Raises InputError as `open_image` does; `content` is as in `open_checked`.
    """
    decoder = _Decoder()
    with open_checked(path, decoder, content) as image:
        picture = _to_picture(image, path, decoder)
        if has_more := count_frames(image) > 1:
            yield picture
            for _ in seek_later_frames(image, path):
                decoder(image)  # type: ignore[arg-type]
                yield _to_picture(image, path, decoder)
    if not has_more:
        del image  # its pixels, which `picture` has too
        yield picture


class _Decoder:
    """Decode a frame, and keep what Pillow does not: 16-bit colours, PNG's colour chunks, the kind of WebP."""

    def __init__(self) -> None:
        self.deep: Pixels | None = None
        self.chunks: tuple[tuple[bytes, bytes], ...] = ()
        self.is_lossless_webp = False

    def __call__(self, image: ImageFile.ImageFile) -> None:
        if image.fp is not None and image.format == "PNG":
            self.chunks = read_colour_chunks(image.fp)
        if image.fp is not None and image.format == "WEBP":
            self.is_lossless_webp = _is_lossless_webp(image.fp)
        self.deep = decode_deep(image)


def _is_lossless_webp(file: Any) -> bool:
    """Whether the pixels of a WebP file, or of its first frame, are stored without loss."""
    place = file.tell()
    file.seek(0)
    start = file.read(2**20)  # a colour profile may come first
    file.seek(place)
    lossy, lossless = (start.find(name) for name in (b"VP8 ", b"VP8L"))
    return lossless >= 0 and not 0 <= lossy < lossless


def _to_picture(image: Image.Image, path: Path, decoder: _Decoder) -> Picture:
    metadata = read_metadata(image, decoder.chunks)
    if image.mode == "CMYK":
        if max(getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,))) > 8:
            warn_once("CMYK of 16 bits a channel becomes RGB of 8 bits", path)
        (planes, metadata), has_alpha = _convert_cmyk(image, metadata), False
    else:
        planes, has_alpha = _to_planes(image, path, decoder.deep)
    decoder.deep = None  # not needed any more, and large
    turn = TURNS.get(read_orientation(image))  # type: ignore[call-overload]
    planes = _turn(planes, *turn) if turn else planes
    pixels, alpha = (planes[:-1], planes[-1]) if has_alpha else (planes, None)
    return Picture(pixels[0] if len(pixels) == 1 else pixels, alpha, metadata, _options(image, decoder))


def _to_planes(image: Image.Image, path: Path, deep: Pixels | None) -> tuple[Pixels, bool]:
    """The channels (C, H, W), and whether the last is alpha."""
    if deep is not None:
        return _with_key(deep.transpose(2, 0, 1), image)
    if image.mode in MODES_16_BITS or image.mode == "F":
        pixels = checked_deep(image, path)
        floats = image.mode == "F"
        return _with_key((np.rint(pixels * np.float32(65535)) if floats else pixels).astype(np.uint16)[None], image)
    has_alpha = image.mode in WITH_ALPHA or "transparency" in image.info
    if image.mode in ("La", "RGBa"):  # colours multiplied by alpha
        image = image.convert(image.mode.upper())
    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    if has_alpha:
        mode = {"L": "LA", "RGB": "RGBA"}[mode]
    planes = np.asarray(image if image.mode == mode else image.convert(mode))
    return (planes[None] if planes.ndim == 2 else planes.transpose(2, 0, 1)), has_alpha


def _with_key(planes: Pixels, image: Image.Image) -> tuple[Pixels, bool]:
    """16-bit channels with alpha, if they have any: a channel of their own, or one colour that is transparent."""
    if len(planes) in (2, 4):
        return planes, True
    key = image.info.get("transparency")
    if not isinstance(key, int | tuple):
        return planes, False
    is_transparent = (planes == np.reshape(key, (-1, 1, 1))).all(0)
    alpha = np.where(is_transparent, 0, 65535).astype(np.uint16)
    return np.concatenate([planes, alpha[None]]), True


def _convert_cmyk(image: Image.Image, metadata: Metadata) -> tuple[Pixels, Metadata]:
    """CMYK as sRGB by its own profile, or without one by Pillow's formula."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    try:
        converted = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(io.BytesIO(metadata.icc)), srgb, outputMode="RGB"
        )
        icc = srgb.tobytes()
    except Exception:  # no profile, a damaged one, or one of another kind of colours
        converted, icc = image.convert("RGB"), b""
    return np.asarray(converted).transpose(2, 0, 1), metadata._replace(icc=icc)


def _turn(planes: Pixels, swap: bool, flip_height: bool, flip_width: bool) -> Pixels:
    turned = planes.swapaxes(-1, -2) if swap else planes
    return turned[..., :: -1 if flip_height else 1, :: -1 if flip_width else 1]


def _options(image: Image.Image, decoder: _Decoder) -> dict[str, Any]:
    if image.format in ("JPEG", "MPO"):
        subsampling = JpegImagePlugin.get_sampling(image)
        tables = getattr(image, "quantization", {})
        options: dict[str, Any] = {"qtables": [tables[number] for number in sorted(tables)] or None}
        is_known = image.mode != "CMYK" and subsampling >= 0
        options["subsampling"] = subsampling if is_known else 0  # 4:4:4
        return options | {"progressive": "progressive" in image.info}
    return {"lossless": True, "exact": True} if decoder.is_lossless_webp else {"quality": 90}
