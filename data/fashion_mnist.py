"""Read and verify the files of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import math
import os
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.dataset_options import FASHION_MNIST
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

# Of the decompressed bytes: only the gzip headers of Zalando's archives and of Debian's differ.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
DATA_SHA256 = hashlib.sha256("\n".join(SHA256.values()).encode()).hexdigest()  # of the data set as a whole
SIZES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}  # bytes, decompressed
# MNIST has the same file names and sizes, so it is easily mistaken for Fashion-MNIST.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

SPELLINGS = re.compile(r"(train|t10k|test)[-_. ]?(images|labels)(?=[-_. (]|idx|$)", re.IGNORECASE)
MAX_ENTRIES = 100_000  # of a folder that is searched
GZIP_MAGIC, IDX_MAGIC = b"\x1f\x8b", b"\0\0\x08"  # first bytes; 08: unsigned bytes

FETCH_HINT = "gan-denoise data fetch downloads a verified copy"


def read_dataset(folder: Path, source: str, checked: bool = True) -> Dataset:
    """Read the data set from `folder`, which holds the four files of `find_idx_files`.

    With `checked=False` an excerpt is accepted as well. Raises InputError if a file is missing, damaged or, if
    `checked`, differs from the published one.
    """
    files = read_files(folder, checked)
    return parse_files(files, SHA256 if checked else {name: _sha256(files[name]) for name in SHA256}, folder, source)


def parse_files(files: Mapping[str, bytes], sha256: Mapping[str, str], folder: Path, source: str) -> Dataset:
    """The data set in the four decompressed files from `folder`, whose hashes are `sha256`.

    Raises InputError if one of them is not well-formed.
    """
    train, test = (_split(files, folder, part) for part in ("train", "t10k"))
    hashes = "\n".join(sha256[name] for name in SHA256)
    return Dataset(train, test, source, _sha256(hashes.encode()), CLASSES, FASHION_MNIST)


def read_files(folder: Path, checked: bool = True) -> dict[str, bytes]:
    """The decompressed bytes of the four files in `folder` by name. Raises InputError as `read_dataset` does."""
    paths, files = find_idx_files(folder), {}
    for name in SHA256:
        if name not in paths:
            raise InputError.expected(folder, "the four IDX files of the data set", f"no {name}[.gz]", FETCH_HINT)
        path = paths[name]
        files[name] = _decompress(path, SIZES[name])
        if checked:
            _check_sha256(files[name], name, path)
    return files


def parse_images(content: bytes, name: str) -> ImagesU8:
    """Parse the bytes of an IDX file called `name` as images, uint8 (N, 28, 28). Raises InputError for other bytes."""
    images = _parse_idx(content, 3, name)
    if images.shape[1:] != (SIDE, SIDE):
        raise InputError.expected(name, f"images of {SIDE}x{SIDE}", format_shape(images.shape[1:]), FETCH_HINT)
    return images


def parse_labels(content: bytes, name: str) -> ImagesU8:
    """Parse the bytes of an IDX file called `name` as labels 0 to 9, uint8 (N,). Raises InputError for other bytes."""
    labels = _parse_idx(content, 1, name)
    invalid = labels[labels >= len(CLASSES)]
    if invalid.size:
        raise InputError.expected(name, f"labels from 0 to {len(CLASSES) - 1}", invalid[0], FETCH_HINT)
    return labels


def _split(files: Mapping[str, bytes], folder: Path, part: str) -> Split:
    images = parse_images(files[f"{part}-images-idx3-ubyte"], f"{folder}/{part}-images-idx3-ubyte")
    labels = parse_labels(files[f"{part}-labels-idx1-ubyte"], f"{folder}/{part}-labels-idx1-ubyte")
    if len(images) != len(labels):
        got = f"{len(images)} {part} images and {len(labels)} labels"
        raise InputError.expected(folder, "as many labels as images", got, FETCH_HINT)
    return Split(images, labels)


def find_idx_files(folder: Path) -> dict[str, Path]:
    """Those of the four files that are in `folder`, by the names of SHA256; empty if it is not a readable folder.

    Other spellings are recognised: `train-images.idx3-ubyte`, `test_images`, with or without `.gz`. Exact names
    are preferred, and of these the uncompressed file, which is faster to read.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, MAX_ENTRIES) if _spelling(entry.name))
    except OSError:
        return {}
    names = [name for name in names if os.path.isfile(folder / name)]
    files = {}
    for name in SHA256:
        exact = [spelling for spelling in (name, f"{name}.gz") if spelling in names]
        if candidates := exact or [spelling for spelling in names if _spelling(spelling) == name]:
            files[name] = folder / candidates[0]
    return files


def _spelling(name: str) -> str | None:
    """The name in SHA256 that a file name is a spelling of, if any."""
    if not (match := SPELLINGS.match(name)):
        return None
    part, content = match[1].lower(), match[2].lower()
    return f"{'train' if part == 'train' else 't10k'}-{content}-idx{3 if content == 'images' else 1}-ubyte"


def _decompress(path: Path, limit: int) -> bytes:
    """The decompressed bytes of `path`. At most `limit` + 1 bytes are read, so a gzip bomb does no harm."""
    try:
        with _open(path) as stream:
            content = stream.read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError.expected(path, "a gzip file", f"a damaged one ({error})", FETCH_HINT) from error
    except OSError as error:
        raise InputError.expected(path, "a readable file", error.strerror or error, FETCH_HINT) from error
    if len(content) > limit:
        raise InputError.expected(path, f"at most {limit} bytes", "more", FETCH_HINT)
    return content


def _open(path: Path) -> BinaryIO:
    """Open a file, decompressed if it is a gzip file by its first bytes: browsers unpack and leave `.gz` in the name.

    If the first bytes are neither gzip nor IDX, the suffix decides.
    """
    with path.open("rb") as file:
        start = file.read(3)
    is_gzip = start.startswith(GZIP_MAGIC) or (path.suffix == ".gz" and start != IDX_MAGIC)
    return cast(BinaryIO, gzip.open(path)) if is_gzip else path.open("rb")


def _check_sha256(content: bytes, name: str, path: Path) -> None:
    sha256 = _sha256(content)
    if sha256 != SHA256[name]:
        expected = f"{SIZES[name]} bytes with SHA-256 {SHA256[name]}"
        got = f"{len(content)} bytes with {sha256}{_describe_known(sha256)}"
        raise InputError.expected(path, expected, got, FETCH_HINT)


def _describe_known(sha256: str) -> str:
    """A note in parentheses on the known file with this hash, or an empty text."""
    if sha256 in MNIST_SHA256.values():
        return " (this is MNIST, not Fashion-MNIST)"
    return next((f" (this is {name})" for name, known in SHA256.items() if known == sha256), "")


def _parse_idx(content: bytes, dimensions: int, name: str) -> ImagesU8:
    """Parse an IDX file of unsigned bytes with `dimensions` axes (yann.lecun.com/exdb/mnist, THE IDX FILE FORMAT).

    The size in the header is compared with that of the content before memory of that size is allocated.
    """
    header = 4 + 4 * dimensions
    magic = 0x0800 + dimensions  # 08: unsigned bytes
    if len(content) < header or struct.unpack_from(">I", content)[0] != magic:
        raise InputError.expected(name, f"IDX magic {magic:08x}", content[:4].hex() or "nothing", FETCH_HINT)
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    size = len(content) - header
    if not 0 < math.prod(shape) == size:
        expected = f"{format_shape(shape)} bytes (at least 1) after the header"
        raise InputError.expected(name, expected, size, FETCH_HINT)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()  # torch needs writable arrays


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
