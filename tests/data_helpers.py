"""Helpers for tests of data: folders as users have them, damaged files, images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

EXCERPT = Path(__file__).parent / "excerpt"
LABELS = "t10k-labels-idx1-ubyte"
IMAGES = "t10k-images-idx3-ubyte"
COUNT = 36  # images in `photos`


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file, written independently of the code under test."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape) + array.tobytes()


def link(source: Path, folder: Path) -> Path:
    """Make a folder with links to the files of `source`, which saves copying 55 MB."""
    folder.mkdir(parents=True)
    for file in source.glob("*-ubyte*"):
        (folder / file.name).symlink_to(file)
    return folder


def spoil(folder: Path, name: str = LABELS) -> Path:
    """Flip one bit in the middle of a file of `folder`."""
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).unlink()  # it may be a link
    (folder / name).write_bytes(content)
    return folder


def photograph(i: int, width: int = 50, height: int = 40) -> Image.Image:
    """A colour image of noise, different for each `i`."""
    random = np.random.default_rng(i)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def corrupt(path: Path) -> None:
    """Truncate a file to its first half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
