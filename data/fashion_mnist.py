"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747): its files, checked, as arrays."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.images import ImagesU8, format_shape
from gan_denoise.errors import InputError

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIDE = 28  # pixels

# Of the decompressed bytes: the gzip headers of Zalando's archives and of Debian's differ, the images do not.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
SIZES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}  # bytes, decompressed
# MNIST has the same file names and sizes, so it is what people mix up with Fashion-MNIST.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

FETCH_HINT = "gan-denoise data fetch gets a verified copy"


def read_dataset(folder: Path, source: str, checked: bool = True) -> Dataset:
    """The data set in `folder`, four files `*-ubyte` or `*-ubyte.gz`. `checked=False` takes an excerpt as well.

    Raises InputError when a file is missing, damaged or, if `checked`, not bit for bit the published one.
    """
    files = read_files(folder, checked)
    hashes = [SHA256[name] if checked else _sha256(files[name]) for name in SHA256]
    train, test = (_split(files, folder, part) for part in ("train", "t10k"))
    return Dataset(train, test, source, _sha256("\n".join(hashes).encode()), CLASSES)


def read_files(folder: Path, checked: bool = True) -> dict[str, bytes]:
    """The decompressed bytes of the four files in `folder` by name. Raises InputError as `read` does."""
    files = {}
    for name in SHA256:
        path = _file(folder, name)
        files[name] = _decompressed(path, SIZES[name])
        if checked:
            _refuse_changed(files[name], name, path)
    return files


def parse_images(content: bytes, name: str) -> ImagesU8:
    """Images uint8 (N, 28, 28) from the bytes of an IDX file called `name`. Raises InputError when they are none."""
    images = _parse_idx(content, 3, name)
    if images.shape[1:] != (SIDE, SIDE):
        raise InputError(f"{name}: images of {format_shape(images.shape[1:])} found, {SIDE}x{SIDE} wanted", FETCH_HINT)
    return images


def parse_labels(content: bytes, name: str) -> ImagesU8:
    """Labels uint8 (N,) in 0 to 9 from the bytes of an IDX file called `name`. Raises InputError when they are none."""
    labels = _parse_idx(content, 1, name)
    strange = labels[labels >= len(CLASSES)]
    if strange.size:
        raise InputError(f"{name}: label {strange[0]} found, 0 to {len(CLASSES) - 1} wanted", FETCH_HINT)
    return labels


def _split(files: dict[str, bytes], folder: Path, part: str) -> Split:
    images = parse_images(files[f"{part}-images-idx3-ubyte"], f"{folder}/{part}-images-idx3-ubyte")
    labels = parse_labels(files[f"{part}-labels-idx1-ubyte"], f"{folder}/{part}-labels-idx1-ubyte")
    if len(images) != len(labels):
        raise InputError(
            f"{folder}: {len(images)} {part} images and {len(labels)} labels found, as many wanted", FETCH_HINT
        )
    return Split(images, labels)


def _file(folder: Path, name: str) -> Path:
    """The plain file, which is faster to read, or else the compressed one."""
    for path in (folder / name, folder / f"{name}.gz"):
        if os.path.isfile(path):  # unlike Path.is_file, False where a folder on the way may not be entered
            return path
    raise InputError(f"{folder}: no {name}[.gz] found, the four IDX files wanted", FETCH_HINT)


def _decompressed(path: Path, limit: int) -> bytes:
    """The bytes in `path`, at most `limit`; a longer file, a gzip bomb too, is read up to one byte more."""
    try:
        with _opened(path) as stream:
            content = stream.read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: a damaged archive found ({error}), a whole gzip file wanted", FETCH_HINT) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error} found, a readable file wanted", FETCH_HINT) from error
    if len(content) > limit:
        raise InputError(f"{path}: more than {limit} bytes found, at most {limit} wanted", FETCH_HINT)
    return content


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _refuse_changed(content: bytes, name: str, path: Path) -> None:
    found = _sha256(content)
    if found == SHA256[name]:
        return
    identity = f" ({known})" if (known := _identity(found)) else ""
    raise InputError(
        f"{path}: {len(content)} bytes with SHA-256 {found}{identity} found, {SIZES[name]} with {SHA256[name]} wanted",
        FETCH_HINT,
    )


def _identity(sha256: str) -> str:
    """What bytes with this hash are known to be, or nothing."""
    if sha256 in MNIST_SHA256.values():
        return "this is MNIST, not Fashion-MNIST"
    return next((f"this is {name}" for name, known in SHA256.items() if known == sha256), "")


def _parse_idx(content: bytes, dimensions: int, name: str) -> ImagesU8:
    """Unsigned bytes of `dimensions` axes from an IDX file (yann.lecun.com/exdb/mnist, THE IDX FILE FORMAT).

    The size is checked against the bytes at hand before anything of that size is allocated.
    """
    header = 4 + 4 * dimensions
    wanted = 0x0800 + dimensions  # 08 says unsigned bytes
    if len(content) < header or struct.unpack_from(">I", content)[0] != wanted:
        raise InputError(f"{name}: IDX magic {content[:4].hex() or 'nothing'} found, {wanted:08x} wanted", FETCH_HINT)
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    found = len(content) - header
    if not 0 < math.prod(shape) == found:
        raise InputError(
            f"{name}: {found} bytes found, {format_shape(shape)} and at least 1 wanted by its header", FETCH_HINT
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()  # torch wants writable arrays


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
