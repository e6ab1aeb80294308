"""Images with real noise beside the same ones without: two folders of files with the same names, cut into squares."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.datasets import HOLDOUT_FRACTION, check_image_size, content_sha256
from gan_denoise.data.image_files import WANTED, list_image_files, open_image
from gan_denoise.data.images import ImagesU8, from_pil
from gan_denoise.errors import InputError

MAX_CROPS = 60_000  # squares, all images together


def read_image_pairs(noisy: Path, clean: Path, size: int, channels: int) -> Dataset:
    """Squares of `size` from the images in both folders, half of one over the next; their names may end differently.

    A twelfth of the images, one at least, is kept apart whole. Of many or large images a random choice of squares
    is taken, always the same. Raises InputError, which names the file, when one has no partner, another size than it,
    is smaller than a square or as `open_image` does.
    """
    check_image_size(size, channels)
    pairs = _partners(noisy, clean)
    random = np.random.default_rng(0)
    most = MAX_CROPS // len(pairs) + 1
    cut = [_squares(pairs[i], size, channels, most, random) for i in random.permutation(len(pairs))]
    apart = max(1, len(pairs) // HOLDOUT_FRACTION)
    train, test = _joined(cut[apart:]), _joined(cut[:apart])
    return Dataset(train, test, f"{noisy} and {clean}", content_sha256((), train, test), (), published=False)


def _partners(noisy: Path, clean: Path) -> list[tuple[Path, Path]]:
    of_noisy, of_clean = _named(noisy), _named(clean)
    for mine, others, other in ((of_noisy, of_clean, clean), (of_clean, of_noisy, noisy)):
        alone = sorted(mine.keys() - others.keys())
        if alone:
            raise InputError(f"{mine[alone[0]]}: no partner in {other} found, an image of the same name wanted")
    if len(of_noisy) < 2:
        raise InputError(f"{noisy}: {len(of_noisy)} images found, two or more {WANTED} wanted")
    return [(of_noisy[name], of_clean[name]) for name in sorted(of_noisy)]


def _named(folder: Path) -> dict[str, Path]:
    """The image files by name without its ending. Raises InputError when two have the same."""
    named: dict[str, Path] = {}
    for path in list_image_files(folder):
        if path.stem in named:
            raise InputError(f"{path}: {named[path.stem].name} beside it found, one image of a name wanted")
        named[path.stem] = path
    return named


def _squares(
    pair: tuple[Path, Path], size: int, channels: int, most: int, random: np.random.Generator
) -> tuple[ImagesU8, ImagesU8]:
    """At most `most` noisy squares of an image, uint8 (N, size, size) or (N, 3, size, size), and the clean ones."""
    noisy, clean = (from_pil(open_image(path, channels)) for path in pair)
    height, width = noisy.shape[-2:]
    if noisy.shape != clean.shape:
        wanted = f"{clean.shape[-1]}x{clean.shape[-2]} as {pair[1]} has"
        raise InputError(f"{pair[0]}: {width}x{height} pixels found, {wanted} wanted")
    if min(height, width) < size:
        raise InputError(f"{pair[0]}: {width}x{height} pixels found, {size}x{size} or more wanted")
    corners = list(itertools.product(*(range(0, side - size + 1, size // 2) for side in (height, width))))
    chosen = [corners[i] for i in random.permutation(len(corners))[:most]]
    both = [np.stack([image[..., y : y + size, x : x + size] for y, x in chosen]) for image in (noisy, clean)]
    return both[0], both[1]


def _joined(cut: list[tuple[ImagesU8, ImagesU8]]) -> Split:
    noisy, clean = (np.concatenate(squares) for squares in zip(*cut, strict=True))
    return Split(clean, np.zeros(len(clean), np.uint8), noisy)
