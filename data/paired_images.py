"""Images with real noise and the same images without: two folders of files with equal names, cut into crops."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from gan_denoise.data.dataset import HOLDOUT_FRACTION, Dataset, Split, content_sha256
from gan_denoise.data.datasets import check_image_size
from gan_denoise.data.image_files import IMAGE_FILES, Skipped, image_name, list_image_files, normalize
from gan_denoise.data.images import ImagesU8, from_pil
from gan_denoise.data.open_image import open_image
from gan_denoise.errors import InputError

MAX_CROPS = 60_000  # of all images together


def read_image_pairs(noisy: Path, clean: Path, size: int, channels: int) -> Dataset:
    """Read square crops of `size` pixels at the same places of both images of each pair.

    Crops overlap by half; names are compared without suffix, in Unicode form NFC. A twelfth of the images, at
    least one, becomes the test split as a whole. Of many or large images a random choice of crops is taken, with a
    fixed seed. Raises InputError, which names the file, if an image has no partner, differs from it in size or is
    smaller than a crop, and as `open_image` does; UsageError for an unsupported size.
    """
    check_image_size(size, channels)
    skipped = Skipped()
    pairs = match_names(noisy, clean, skipped)
    if len(pairs) < 2:
        raise InputError.expected(noisy, f"two or more {IMAGE_FILES}", len(pairs))
    rng = np.random.default_rng(0)
    max_crops = MAX_CROPS // len(pairs) + 1
    crops = [_crop_pair(pairs[i], size, channels, max_crops, rng, skipped) for i in rng.permutation(len(pairs))]
    skipped.report(f"{noisy} and {clean}")
    n_test = max(1, len(pairs) // HOLDOUT_FRACTION)
    train, test = _concatenate(crops[n_test:]), _concatenate(crops[:n_test])
    sha256 = content_sha256((), train, test)
    return Dataset(train, test, f"{noisy} and {clean}", sha256, (), "pairs", published=False)


def match_names(noisy: Path, clean: Path, skipped: Skipped) -> list[tuple[Path, Path]]:
    """The pairs of files (noisy, clean) with the same name without suffix, sorted by it.

    Raises InputError if a file has no partner, or two in a folder have the same name.
    """
    noisy_files, clean_files = _files_by_name(noisy, skipped), _files_by_name(clean, skipped)
    for files, partners, folder in ((noisy_files, clean_files, clean), (clean_files, noisy_files, noisy)):
        for name in sorted(files.keys() - partners.keys()):
            raise InputError.expected(
                files[name], f"an image of the same name in {folder}", "none", "add it or remove this one"
            )
    return [(noisy_files[name], clean_files[name]) for name in sorted(noisy_files)]


def _files_by_name(folder: Path, skipped: Skipped) -> dict[str, Path]:
    """The image files by name without suffix. Raises InputError if two have the same."""
    files: dict[str, Path] = {}
    for path in list_image_files(folder, skipped):
        name = normalize(image_name(path))
        if name in files:
            got = f"{files[name].name} and {path.name}"
            raise InputError.expected(folder, "one image per name without suffix", got)
        files[name] = path
    return files


def _crop_pair(
    pair: tuple[Path, Path], size: int, channels: int, max_crops: int, rng: np.random.Generator, skipped: Skipped
) -> tuple[ImagesU8, ImagesU8]:
    """At most `max_crops` noisy crops of a pair and the clean ones, uint8 (N, size, size) or (N, 3, size, size)."""
    noisy_path, clean_path = pair
    noisy, clean = (from_pil(open_image(path, channels, skipped)) for path in pair)
    height, width = noisy.shape[-2:]
    if noisy.shape != clean.shape:
        expected = f"{clean.shape[-1]}x{clean.shape[-2]} pixels as in {clean_path}"
        raise InputError.expected(noisy_path, expected, f"{width}x{height}")
    if min(height, width) < size:
        raise InputError.expected(noisy_path, f"{size}x{size} pixels or more", f"{width}x{height}")
    corners = list(itertools.product(*(range(0, side - size + 1, size // 2) for side in (height, width))))
    selected = [corners[i] for i in rng.permutation(len(corners))[:max_crops]]
    noisy_crops, clean_crops = (
        np.stack([image[..., y : y + size, x : x + size] for y, x in selected]) for image in (noisy, clean)
    )
    return noisy_crops, clean_crops


def _concatenate(crops: list[tuple[ImagesU8, ImagesU8]]) -> Split:
    noisy, clean = (np.concatenate(parts) for parts in zip(*crops, strict=True))
    return Split(clean, np.zeros(len(clean), np.uint8), noisy)
