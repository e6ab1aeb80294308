"""Keep the near-duplicates that a search found in the cache: of 60,000 colour images it takes a minute."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gan_denoise.console import print_status, warn_once
from gan_denoise.data.images import ImagesU8
from gan_denoise.errors import OutputError
from gan_denoise.files import write_atomic
from gan_denoise.machine import version
from gan_denoise.paths import cache_base

MIN_KEPT = 5_000  # images; fewer are searched in about a second

Numbers = NDArray[np.int64]


def cached_numbers(
    rules: tuple[object, ...], images: tuple[ImagesU8, ...], length: int, compute: Callable[[], Numbers]
) -> Numbers:
    """The array that `compute` gives for these images and rules, (`length`,), from the cache if it is there.

    The file is named after the hash of the images, the rules and the version of Pillow, which makes the thumbnails; it
    holds what differs from 0 alone. A damaged file is replaced; if the cache cannot be written, a warning says so.
    """
    if sum(map(len, images)) < MIN_KEPT:
        return compute()
    file = cache_base() / "near-duplicates" / f"{_key(rules, images)}.npz"
    with contextlib.suppress(OSError, ValueError, EOFError, LookupError, TypeError, zipfile.BadZipFile, zlib.error):
        stored = np.load(io.BytesIO(file.read_bytes()))  # numpy leaves the handle of a damaged file open
        numbers = np.zeros(length, np.int64)
        numbers[stored["indices"]] = stored["values"]
        return numbers
    print_status(f"searching {sum(map(len, images)):,} images for near-duplicates, once; kept in {file.parent}")
    numbers = compute()
    indices, buffer = np.nonzero(numbers)[0], io.BytesIO()
    np.savez_compressed(buffer, indices=indices, values=numbers[indices])
    try:
        write_atomic(file, buffer.getvalue())
    except OutputError:
        warn_once("this cache cannot be written, so near-duplicates are searched each time", file.parent)
    return numbers


def _key(rules: tuple[object, ...], images: tuple[ImagesU8, ...]) -> str:
    digest = hashlib.sha256(repr((rules, version("pillow"), [array.shape for array in images])).encode())
    for array in images:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
