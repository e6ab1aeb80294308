"""Develop camera raw files with rawpy (extra `raw`), if it is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from gan_denoise.data.image_files import OTHER_KINDS, check_regular
from gan_denoise.data.open_image import MAX_PIXELS
from gan_denoise.errors import InputError, importing
from gan_denoise.export.denoise.metadata import Metadata
from gan_denoise.export.denoise.picture import Picture

SUFFIXES = OTHER_KINDS["camera raw"]


def can_develop() -> bool:
    """Whether rawpy is installed."""
    return importlib.util.find_spec("rawpy") is not None


def is_raw(path: Path) -> bool:
    """Whether a file has the suffix of a camera raw file."""
    return path.suffix.lower() in SUFFIXES


def develop(path: Path) -> Picture:
    """The photograph as sRGB of 16 bits, upright, with the camera's white balance. Raises InputError."""
    check_regular(path)
    with importing("rawpy", "raw"):
        import rawpy
    try:
        with rawpy.imread(str(path)) as raw:
            if raw.sizes.width * raw.sizes.height > MAX_PIXELS:
                raise InputError.expected(
                    path, f"at most {MAX_PIXELS:,} pixels", f"{raw.sizes.width}x{raw.sizes.height}"
                )
            pixels = raw.postprocess(use_camera_wb=True, output_bps=16)  # (H, W, 3)
    except (rawpy.LibRawError, ValueError) as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise InputError(f"{path}: unreadable camera raw file ({text})") from error
    return Picture(pixels.transpose(2, 0, 1), None, Metadata(), {})
