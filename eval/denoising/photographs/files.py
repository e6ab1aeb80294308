"""The photographs to measure on: a folder of clean images, and with real noise a folder of noisy ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_denoise.data.image_files import Skipped, image_name, list_image_files, none_found
from gan_denoise.data.open_image import FRAME_LEFT_OUT, read_frame_sizes
from gan_denoise.data.paired_images import match_names
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.psnr_ssim import SSIM_WINDOW
from gan_denoise.export.denoise.picture import read_pictures
from gan_denoise.export.denoise.tiling import Pixels, is_grey


class PhotographFiles(NamedTuple):
    """The file of a clean image, and that of the same image with real noise or None."""

    clean: Path
    noisy: Path | None = None

    @property
    def name(self) -> str:
        """The name of the clean file without its suffix."""
        return image_name(self.clean)


def find_photograph_files(clean: Path, noisy: Path | None = None, n: int | None = None) -> list[PhotographFiles]:
    """The first `n` photographs, or all, directly in the folder `clean`, sorted by name; their headers are read.

    With `noisy` each is a pair of files of the same name without suffix. What else there is in the folders is counted
    on stderr. Raises InputError, which names the file or folder, if there are none, if one has no partner, is not a
    readable image, is smaller than the window of SSIM, or differs from its partner in size: a mean over the readable
    ones would look like a mean over the set.
    """
    skipped = Skipped()
    if noisy is None:
        photographs = [PhotographFiles(path) for path in list_image_files(clean, skipped)]
    else:
        photographs = [PhotographFiles(*pair[::-1]) for pair in match_names(noisy, clean, skipped)]
    if not photographs:
        raise none_found(clean, skipped)
    for photograph in photographs[:n]:
        _check_headers(photograph, skipped)
    skipped.report(clean if noisy is None else f"{noisy} and {clean}")
    return photographs[:n]


def count_pixels(photograph: PhotographFiles) -> int:
    """Width times height, by the header of the clean file."""
    return math.prod(read_frame_sizes(photograph.clean)[0])


def read_photograph(photograph: PhotographFiles) -> tuple[Pixels, Pixels | None]:
    """The clean pixels, (3, H, W), or (1, H, W) if all are grey, and the noisy ones or None; uint8 or uint16 each.

    Alpha is left out. Raises InputError as `read_pictures` does, or when the two differ in size.
    """
    clean, noisy = (None if path is None else _read(path) for path in photograph)
    assert clean is not None
    if noisy is None:
        return (clean[:1] if is_grey(clean) else clean), None
    if noisy.shape[1:] != clean.shape[1:]:
        raise _other_size(photograph, *((image.shape[2], image.shape[1]) for image in (clean, noisy)))
    if is_grey(clean) and is_grey(noisy):
        return clean[:1], noisy[:1]
    return _in_colour(clean), _in_colour(noisy)


def _read(path: Path) -> Pixels:
    """The pixels (1 or 3, H, W) of the first frame."""
    pixels = next(read_pictures(path)).pixels
    return pixels[None] if pixels.ndim == 2 else pixels


def _in_colour(pixels: Pixels) -> Pixels:
    return np.repeat(pixels, 3, 0) if len(pixels) == 1 else pixels


def _check_headers(photograph: PhotographFiles, skipped: Skipped) -> None:
    files = [path for path in photograph if path is not None]
    frames = [read_frame_sizes(path) for path in files]
    for path, (size, *later) in zip(files, frames, strict=True):
        if min(size) < SSIM_WINDOW:
            raise InputError.expected(path, f"{SSIM_WINDOW} or more pixels a side", f"{size[0]}x{size[1]}")
        if later:
            skipped.add(FRAME_LEFT_OUT, path, len(later))
    clean, noisy = frames[0][0], frames[-1][0]
    if sorted(clean) != sorted(noisy):  # one may be turned by its orientation tag
        raise _other_size(photograph, clean, noisy)


def _other_size(photograph: PhotographFiles, clean: tuple[int, int], noisy: tuple[int, int]) -> InputError:
    expected = f"{clean[0]}x{clean[1]} pixels as in {photograph.clean}"
    return InputError.expected(photograph.noisy, expected, f"{noisy[0]}x{noisy[1]}", "crop or scale neither of a pair")
