"""Write one file of a folder of shards: arrays, a tar file of PNG files as WebDataset reads it, or Parquet.

The same images give the same bytes: tar headers hold no time and no owner, PNG files no metadata.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import assert_never

import numpy as np

from gan_denoise.data.images import ImagesU8
from gan_denoise.errors import importing
from gan_denoise.export.images import encode_png
from gan_denoise.export.writers import NAMES
from gan_denoise.options import FileFormat

Pairs = Iterable[tuple[ImagesU8, ImagesU8]]  # batches of (image, denoised)

SUFFIXES = {FileFormat.npz: ".npz", FileFormat.webdataset: ".tar", FileFormat.parquet: ".parquet"}
# The packages whose version the bytes of a file depend on; arrays are written as they are.
WRITTEN_BY = {FileFormat.npz: (), FileFormat.webdataset: ("pillow",), FileFormat.parquet: ("pillow", "pyarrow")}
BLOCK = 512  # bytes of a header in a tar file, and what each file in it is padded to
OVERHEAD = 100  # bytes of a PNG file of noise beside its pixels


def check_installed(file_format: FileFormat) -> None:
    """Raise InputError if the package that writes the format is not installed."""
    if file_format is FileFormat.parquet:
        with importing("pyarrow", "parquet"):
            import pyarrow  # noqa: F401


def write_file(
    file_format: FileFormat, path: Path, pairs: Pairs, first: int, classes: Sequence[int] | None = None
) -> None:
    """Write images, each uint8 (n, H, W) or (n, 3, H, W), of which the first has number `first`, and their classes.

    npz: arrays `image` and `denoised`. webdataset: `000000123.image.png`, `000000123.denoised.png` and, if the classes
    are known, `000000123.cls`. parquet: columns `index`, `image` and `denoised` (PNG files), and `label`.
    """
    match file_format:
        case FileFormat.npz:
            _write_arrays(path, pairs)
        case FileFormat.webdataset:
            _write_tar(path, pairs, first, classes)
        case FileFormat.parquet:
            _write_parquet(path, pairs, first, classes)
        case _:
            assert_never(file_format)


def largest_size(file_format: FileFormat, pixels: int) -> int:
    """How many bytes a pair of images of `pixels` bytes each takes at most, about."""
    match file_format:
        case FileFormat.npz:
            return len(NAMES) * pixels
        case FileFormat.webdataset:
            padded = -(-(pixels + OVERHEAD) // BLOCK) * BLOCK
            return len(NAMES) * (BLOCK + padded) + 2 * BLOCK  # and the class
        case FileFormat.parquet:
            return len(NAMES) * (pixels + OVERHEAD)
        case _:
            assert_never(file_format)


def _write_arrays(path: Path, pairs: Pairs) -> None:
    image, denoised = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    with path.open("wb") as file:
        np.savez(file, image=image, denoised=denoised)


def _write_tar(path: Path, pairs: Pairs, first: int, classes: Sequence[int] | None) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for i, images in enumerate(_singly(pairs)):
            for name, pixels in zip(NAMES, images, strict=True):
                _add(tar, f"{first + i:09d}.{name}.png", encode_png(pixels))
            if classes is not None:
                _add(tar, f"{first + i:09d}.cls", str(classes[i]).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # of time 0 and owner 0
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _write_parquet(path: Path, pairs: Pairs, first: int, classes: Sequence[int] | None) -> None:
    import pyarrow
    from pyarrow import parquet

    files = {
        name: [encode_png(pixels) for batch in parts for pixels in batch]
        for name, parts in zip(NAMES, zip(*pairs, strict=True), strict=True)
    }
    numbers = range(first, first + len(files[NAMES[0]]))
    columns = {
        "index": pyarrow.array(numbers, pyarrow.int64()),
        **{name: pyarrow.array(column, pyarrow.binary()) for name, column in files.items()},
    }
    if classes is not None:
        columns["label"] = pyarrow.array(classes, pyarrow.int32())
    # PNG files are compressed already, and the least and the largest of them say nothing.
    parquet.write_table(pyarrow.table(columns), path, compression="none", write_statistics=False, use_dictionary=False)


def _singly(pairs: Pairs) -> Iterable[tuple[ImagesU8, ImagesU8]]:
    return (pair for batch in pairs for pair in zip(*batch, strict=True))
