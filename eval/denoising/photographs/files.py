"""The photographs to measure on: a folder of clean images, and with real noise a folder of noisy ones."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import NamedTuple

from gan_denoise.data.image_files import Skipped, image_name, list_image_files, none_found
from gan_denoise.data.images import ImagesU8, from_pil
from gan_denoise.data.open_image import open_image, read_frame_sizes
from gan_denoise.data.paired_images import match_names
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.psnr_ssim import SSIM_WINDOW


class Photograph(NamedTuple):
    """The file of a clean image, and that of the same image with real noise or None."""

    clean: Path
    noisy: Path | None = None

    @property
    def name(self) -> str:
        """The name of the clean file without its suffix."""
        return image_name(self.clean)


def find_photographs(clean: Path, noisy: Path | None = None, n: int | None = None) -> list[Photograph]:
    """The first `n` photographs, or all, directly in the folder `clean`, sorted by name; their headers are read.

    With `noisy` each is a pair of files of the same name without suffix. What else there is in the folders is counted
    on stderr. Raises InputError, which names the file or folder, if there are none, if one has no partner, is not a
    readable image, is smaller than the window of SSIM, or differs from its partner in size: a mean over the readable
    ones would look like a mean over the set.
    """
    skipped = Skipped()
    if noisy is None:
        photographs = [Photograph(path) for path in list_image_files(clean, skipped)]
    else:
        photographs = [Photograph(*pair[::-1]) for pair in match_names(noisy, clean, skipped)]
    if not photographs:
        raise none_found(clean, skipped)
    skipped.report(clean if noisy is None else f"{noisy} and {clean}")
    chosen = list(islice(photographs, n))
    for photograph in chosen:
        _check_headers(photograph)
    return chosen


def read_photograph(photograph: Photograph) -> tuple[ImagesU8, ImagesU8 | None]:
    """The clean pixels, uint8 (3, H, W), or (1, H, W) if all are grey, and the noisy ones or None.

    Raises InputError as `open_image` does, or when the two differ in size.
    """
    clean = from_pil(open_image(photograph.clean, 3))
    noisy = from_pil(open_image(photograph.noisy, 3)) if photograph.noisy else None
    if noisy is not None and noisy.shape != clean.shape:
        raise _other_size(photograph, *((image.shape[2], image.shape[1]) for image in (clean, noisy)))
    is_grey = all((image == image[:1]).all() for image in (clean, noisy) if image is not None)
    return (clean[:1], noisy if noisy is None else noisy[:1]) if is_grey else (clean, noisy)


def _check_headers(photograph: Photograph) -> None:
    files = [path for path in photograph if path is not None]
    sizes = [read_frame_sizes(path)[0] for path in files]
    for path, size in zip(files, sizes, strict=True):
        if min(size) < SSIM_WINDOW:
            raise InputError.expected(path, f"{SSIM_WINDOW} or more pixels a side", f"{size[0]}x{size[1]}")
    if sorted(sizes[0]) != sorted(sizes[-1]):  # one may be turned by its orientation tag
        raise _other_size(photograph, *sizes)


def _other_size(photograph: Photograph, clean: tuple[int, int], noisy: tuple[int, int]) -> InputError:
    expected = f"{clean[0]}x{clean[1]} pixels as in {photograph.clean}"
    return InputError.expected(photograph.noisy, expected, f"{noisy[0]}x{noisy[1]}", "crop or scale neither of a pair")
