"""CIFAR-10 (Krizhevsky 2009) as torchvision keeps it: pickles, of which only arrays and bytes are read."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from gan_denoise.console import print_status
from gan_denoise.data.dataset import MIN_IMAGES, Dataset, Split, content_sha256
from gan_denoise.data.image_files import check_regular
from gan_denoise.data.images import ImagesU8
from gan_denoise.data.split import describe_published_split
from gan_denoise.errors import InputError

SIDE = 32  # pixels
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = "cifar-10-batches-py"  # in a torchvision root
# MD5 of the published files, as torchvision has them.
TRAIN_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
TEST_MD5 = {"test_batch": "40351d587109b95175f43aff81a1287e"}
MAX_BYTES = 64 * 1024**2  # of one file; the published ones have 31 MB
HINT = 'torchvision.datasets.CIFAR10("DIR", download=True); then --data DIR'


def find_batches(roots: list[Path]) -> Path | None:
    """The first folder that holds the batches: one of `roots` itself, or `cifar-10-batches-py` in it."""
    folders = [folder for root in roots for folder in (root, root / FOLDER)]
    return next((folder for folder in folders if (folder / "test_batch").exists()), None)


def load_batches(folder: Path) -> Dataset:
    """CIFAR-10 from its batches in `folder`: images uint8 (N, 3, 32, 32), labels 0 to 9.

    Files other than the published ones are named on stderr; no code in them ever runs. Raises InputError if a file is
    missing, damaged, or holds anything but images and labels.
    """
    train, test = (_read_batches(folder, hashes) for hashes in (TRAIN_MD5, TEST_MD5))
    for part, least in ((train, MIN_IMAGES), (test, 1)):
        if len(part) < least:
            raise InputError.expected(folder, f"{least} images or more", len(part), HINT)
    sha256 = content_sha256(CLASSES, train, test)
    split = describe_published_split(train.images, test.images)
    return Dataset(train, test, str(folder), sha256, CLASSES, "cifar10", split=split)


def _read_batches(folder: Path, hashes: dict[str, str]) -> Split:
    batches = [_read_batch(folder / name, md5) for name, md5 in hashes.items()]
    return Split(
        np.concatenate([batch.images for batch in batches]), np.concatenate([batch.labels for batch in batches])
    )


def _read_batch(path: Path, md5: str) -> Split:
    try:
        check_regular(path)
        if path.stat().st_size > MAX_BYTES:
            raise InputError.expected(path, f"at most {MAX_BYTES:,} bytes", f"{path.stat().st_size:,}")
        content = path.read_bytes()
    except InputError as error:
        raise InputError(error.message, HINT) from error
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        print_status(f"{path}: not the published file; its images and labels are used")
    batch = read_arrays(content, str(path))
    return Split(_to_images(batch, path), _to_labels(batch, path))


def read_arrays(content: bytes, name: str) -> dict[str, Any]:
    """The entries of a pickled dictionary of arrays, numbers and bytes, by name. Raises InputError for others."""
    try:
        batch = _ArrayUnpickler(content).load()
        if not isinstance(batch, dict):
            raise TypeError(type(batch).__name__)
        return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in batch.items()}
    except InputError as error:
        raise InputError(f"{name}: {error.message}", HINT) from error
    except Exception as error:  # a damaged pickle raises a dozen types
        raise InputError.expected(name, "a pickled batch of images", f"a damaged one ({error})", HINT) from error


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays and bytes; a pickle that names any other class or function is refused, so no code runs."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        """What an array is rebuilt from. Raises InputError for anything else."""
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy._core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): "ndarray",  # named as the type of an array, never called
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _encode_latin1,
        }
        if (module, name) not in allowed:
            raise InputError(f"expected arrays and bytes alone, got {module}.{name}")
        return allowed[module, name]


def _empty_array(*_: Any) -> np.ndarray[Any, Any]:
    """An array whose content follows in the pickle; a size that is claimed before it is not believed."""
    return np.ndarray((0,), np.int8)


def _encode_latin1(text: str, encoding: str) -> bytes:
    """Bytes in a pickle that Python 3 wrote for Python 2."""
    if encoding != "latin1":
        raise InputError.expected("encoding", "latin1", encoding)
    return text.encode("latin1")


def _to_images(batch: dict[str, Any], path: Path) -> ImagesU8:
    images = batch.get("data")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (3 * SIDE**2,):
        got = f"{images.dtype} {list(images.shape)}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError.expected(f"{path}, data", f"uint8 (N, {3 * SIDE**2})", got, HINT)
    return images.reshape(-1, 3, SIDE, SIDE).copy()


def _to_labels(batch: dict[str, Any], path: Path) -> ImagesU8:
    labels = batch.get("labels")
    count = len(batch["data"])
    expected = f"{count} labels from 0 to {len(CLASSES) - 1}"
    if not isinstance(labels, list) or not all(isinstance(x, int) and 0 <= x < len(CLASSES) for x in labels):
        raise InputError.expected(f"{path}, labels", expected, "other values", HINT)
    if len(labels) != count:
        raise InputError.expected(f"{path}, labels", expected, f"{len(labels)}", HINT)
    return np.array(labels, np.uint8)
