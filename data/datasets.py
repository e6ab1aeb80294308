"""Load any data set by name: Fashion-MNIST, MNIST, Kuzushiji-MNIST, photographs, a folder of images, an array file."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from gan_denoise.data import fashion_mnist, sources
from gan_denoise.data.dataset import PHOTOS, Dataset, Split, split_dataset
from gan_denoise.data.fashion_mnist import MNIST_SHA256, SHA256, SIDE
from gan_denoise.data.image_files import check_regular
from gan_denoise.data.image_folders import load_folder
from gan_denoise.data.images import ImagesU8, to_pil
from gan_denoise.data.open_image import crop_and_resize
from gan_denoise.data.photographs import load_photographs
from gan_denoise.data.tiles import TILE
from gan_denoise.errors import InputError, UsageError

SIZES = (28, 32, 64)  # pixels a side
MAX_BYTES = 4 * 1024**3  # of one array in a file
DIGITS = tuple("0123456789")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
# Data sets in IDX files: folder in a torchvision root, classes, SHA-256 of the files if known.
IDX = {"mnist": ("MNIST", DIGITS, MNIST_SHA256), "kmnist": ("KMNIST", KANA, None)}


def load_dataset(name: str, path: Path | None, size: int | None = None, channels: int | None = None) -> Dataset:
    """Load the data set `name`, one of those of `options.DatasetName`, from `path`, at the given image size.

    Without `size` and `channels` arrays are unchanged, and the images of a folder become 28x28 grey; photographs are
    tiles of 192x192 in colour, see `load_photographs`, and take no other size or number of channels. The images of a
    folder or an array file are shuffled with a fixed seed, and a twelfth becomes the test split; for folders with
    splits of their own see `load_folder`. Raises InputError if the images are missing or invalid, UsageError if `path`
    is required or `size` is not one of SIZES.
    """
    if name == PHOTOS:
        _check_tile_size(size, channels)
        return load_photographs(path)
    check_image_size(size, channels)
    if name == "fashion-mnist":
        return resize_dataset(sources.load_fashion_mnist(path), size, channels)
    if name in IDX:
        return resize_dataset(_load_idx(name, path), size, channels)
    if path is None:
        raise UsageError(f"--dataset {name}: needs --data, the path of the images")
    if name == "folder":
        return load_folder(path, size or SIDE, channels or 1)
    return resize_dataset(split_dataset(*_read_npz(path), source=path, name=name), size, channels)


def check_image_size(size: int | None, channels: int | None) -> None:
    """Raise UsageError if images of that many pixels a side or channels are not supported."""
    if size not in (None, *SIZES):
        raise UsageError.expected("--size", "28, 32 or 64", size)
    if channels not in (None, 1, 3):
        raise UsageError.expected("--channels", "1 or 3", channels)


def _check_tile_size(size: int | None, channels: int | None) -> None:
    """Raise UsageError unless photographs have that size and number of channels, or None."""
    for option, value, natural in (("--size", size, TILE), ("--channels", channels, 3)):
        if value not in (None, natural):
            hint = f"leave out {option}: photographs are tiles of {TILE}x{TILE} in colour"
            raise UsageError.expected(f"{option} with --dataset {PHOTOS}", natural, value, hint)


def resize_dataset(dataset: Dataset, size: int | None, channels: int | None) -> Dataset:
    """Resize the images of a data set; return the data set itself if they have that size.

    The hash of the result covers the new shape. Raises InputError if the images have an unsupported size and `size`
    is not given.
    """
    old_shape = dataset.train.shape
    shape = (channels or old_shape[0], *(size or side for side in old_shape[1:]))  # (C, H, W)
    if shape == old_shape and old_shape[1] == old_shape[2] in SIZES:
        return dataset
    if shape[1] != shape[2] or shape[1] not in SIZES:
        got = f"{old_shape[1]}x{old_shape[2]}"
        raise InputError.expected(dataset.source, "images of 28, 32 or 64 pixels a side", got, "--size 32")

    def resize(split: Split) -> Split:
        images = np.stack([crop_and_resize(_convert(image, shape[0]), shape[1]) for image in split.images])
        return dataclasses.replace(split, images=images)

    sha256 = hashlib.sha256(f"{dataset.sha256} {shape}".encode()).hexdigest()
    validation = None if dataset.validation is None else resize(dataset.validation)
    train, test = resize(dataset.train), resize(dataset.test)
    return dataclasses.replace(dataset, train=train, test=test, validation=validation, sha256=sha256)


def _convert(image: ImagesU8, channels: int) -> Image.Image:
    return to_pil(image).convert("L" if channels == 1 else "RGB")


# --- IDX files ----------------------------------------------------------------------------------


def _load_idx(name: str, path: Path | None) -> Dataset:
    """MNIST, verified by its hashes, or Kuzushiji-MNIST, whose files only have to be well-formed."""
    title, classes, hashes = IDX[name]
    roots = sources.torchvision_roots() if path is None else [path]
    if path is None:
        roots = [root / title / "raw" for root in roots]
    folder = next((folder for root in roots if (folder := sources.folder_with_files(root, title))), None)
    hint = f'torchvision.datasets.{title}("DIR", download=True); then --data DIR'
    if folder is None:
        raise InputError.expected(", ".join(map(str, roots)), f"the four IDX files of {title}", "none", hint)
    try:
        dataset = fashion_mnist.read_dataset(folder, str(folder), checked=False)
        _check_identity(folder, title, hashes)
    except InputError as error:
        raise InputError(error.message, hint) from error
    return dataclasses.replace(dataset, classes=classes, name=name)


def _check_identity(folder: Path, title: str, hashes: dict[str, str] | None) -> None:
    """Raise InputError if the files are those of another data set, or not the ones with the known `hashes`."""
    for file, content in fashion_mnist.read_files(folder, checked=False).items():
        sha256 = hashlib.sha256(content).hexdigest()
        known = {SHA256[file]: "Fashion-MNIST", MNIST_SHA256[file]: "MNIST"}.get(sha256, title)
        if known != title:
            raise InputError.expected(folder / file, title, known)
        if hashes and sha256 != hashes[file]:
            raise InputError.expected(folder / file, f"{title}, SHA-256 {hashes[file]}", sha256)


# --- array files --------------------------------------------------------------------------------


def _read_npz(path: Path) -> tuple[ImagesU8, ImagesU8, tuple[str, ...]]:
    """The arrays `images` and, if present, `labels` of a numpy file, and the names of the classes."""
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as members:
            sizes = {member.filename: member.file_size for member in members.infolist()}
        if (largest := max(sizes.values(), default=0)) > MAX_BYTES:
            raise InputError.expected(path, f"arrays of at most {MAX_BYTES:,} bytes", f"{largest:,}")
        with np.load(path) as npz:
            arrays = {name: npz[name] for name in ("images", "labels") if name in npz}
    except InputError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen exception types for damaged files
        reason = getattr(error, "strerror", None) or error
        raise InputError.expected(
            path, "an .npz file with an array `images`", f"an unreadable one ({reason})"
        ) from error
    if "images" not in arrays:
        raise InputError.expected(
            path, "an array `images`", ", ".join(name.removesuffix(".npy") for name in sizes) or "no arrays"
        )
    images = _to_planes(arrays["images"], path)
    if "labels" not in arrays:
        return images, np.zeros(len(images), np.uint8), ()
    labels = arrays["labels"]
    is_valid = labels.dtype.kind in "ui" and labels.shape == (len(images),)
    if not is_valid or (labels.size and not 0 <= labels.min() <= labels.max() < 256):
        got = f"{labels.dtype} {list(labels.shape)}"
        if is_valid:
            got = f"{labels.min()} to {labels.max()}"
        raise InputError.expected(f"{path}, labels", f"{len(images)} whole numbers from 0 to 255", got)
    return images, labels.astype(np.uint8), tuple(map(str, range(int(labels.astype(np.int64).max(initial=-1)) + 1)))


def _to_planes(images: np.ndarray, path: Path) -> ImagesU8:
    """uint8 (N, H, W) or (N, 3, H, W) from these shapes, from (N, 1, H, W) or from (N, H, W, 3)."""
    if images.dtype == np.uint8 and images.ndim == 4:
        if images.shape[1] == 1:
            images = images[:, 0]
        elif images.shape[1] != 3 and images.shape[3] == 3:
            images = images.transpose(0, 3, 1, 2)
    is_valid = images.ndim == 3 or (images.ndim == 4 and images.shape[1] == 3)
    if images.dtype != np.uint8 or not is_valid or 0 in images.shape[1:]:
        got = f"{images.dtype} {list(images.shape)}"
        raise InputError.expected(f"{path}, images", "uint8 (N, H, W), (N, 3, H, W) or (N, H, W, 3)", got)
    return cast(ImagesU8, np.ascontiguousarray(images))
