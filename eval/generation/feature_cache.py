"""Disk cache of real-image features, keyed by content hash."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_denoise.console import warn_once
from gan_denoise.data.images import ImagesU8, Vector
from gan_denoise.errors import OutputError
from gan_denoise.eval.metrics.prdc import K, squared_radii
from gan_denoise.files import write_atomic
from gan_denoise.machine import version
from gan_denoise.paths import cache_base

Arrays = dict[str, NDArray[Any]]


def real_radii(images: ImagesU8, network: str, features: NDArray[np.float32]) -> Vector:
    """`squared_radii` of the features that the network of that hash or name gives for the images, computed once."""
    return cached_arrays(f"{network} radii {K}", images, lambda: {"radii": squared_radii(features)})["radii"]


def cached_arrays(network: str, images: ImagesU8, compute: Callable[[], Arrays]) -> Arrays:
    """What `compute` gives for uint8 images and the network of that name or hash, from the cache if it is there.

    The file is named after the hash of the images, the network and the version of onnxruntime. A damaged file is
    replaced; if the cache cannot be written, a warning says so, and the arrays are computed each time.
    """
    identity = f"{network} {version('onnxruntime')} {images.shape}".encode()
    key = hashlib.sha256(identity + images.tobytes()).hexdigest()
    file = cache_base() / "features" / f"{key}.npz"
    with contextlib.suppress(OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        stored = np.load(io.BytesIO(file.read_bytes()))  # numpy leaves the handle of a damaged file open
        return {name: stored[name] for name in stored}
    arrays = compute()
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    try:
        write_atomic(file, buffer.getvalue())
    except OutputError:
        warn_once("this cache cannot be written, so features are computed each time", file.parent)
    return arrays
