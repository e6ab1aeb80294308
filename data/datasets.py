"""Data sets beside Fashion-MNIST, as the same arrays: MNIST, Kuzushiji-MNIST, and anybody's images."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import zipfile
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from gan_denoise.data import fashion_mnist, sources
from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.fashion_mnist import MNIST_SHA256, SHA256, SIDE
from gan_denoise.data.image_files import crop_and_resize, read_folder
from gan_denoise.data.images import ImagesU8
from gan_denoise.errors import InputError, UsageError

SIZES = (28, 32, 64)  # pixels a side
MIN_IMAGES = 24  # images
HOLDOUT_FRACTION = 12  # one in so many is not trained on
MAX_BYTES = 4 * 1024**3  # of one array file's images
DIGITS = tuple("0123456789")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
# The folder of each in a torchvision root, its classes, and its hashes where they are known.
IDX = {"mnist": ("MNIST", DIGITS, MNIST_SHA256), "kmnist": ("KMNIST", KANA, None)}


def load_dataset(name: str, path: Path | None, size: int | None = None, channels: int | None = None) -> Dataset:
    """The data set `name` (fashion-mnist, mnist, kmnist, folder or npz) from `path`, as images of that size.

    Without `size` and `channels` arrays stay as they are, and a folder's images become 28x28 grey. The images of
    a folder or an array file are shuffled, always alike, and a twelfth kept apart as its test part. Raises InputError
    when there are no such images, UsageError when `path` is wanted or `size` is none of SIZES.
    """
    check_image_size(size, channels)
    if name == "fashion-mnist":
        return resize_dataset(sources.load_fashion_mnist(path), size, channels)
    if name in IDX:
        return resize_dataset(_idx(name, path), size, channels)
    if path is None:
        raise UsageError(f"--dataset: {name} found without --data, the path of the images wanted")
    if name == "folder":
        return split_dataset(*read_folder(path, size or SIDE, channels or 1), source=path)
    return resize_dataset(split_dataset(*_npz(path), source=path), size, channels)


def check_image_size(size: int | None, channels: int | None) -> None:
    """Raises UsageError when images of that many pixels a side and channels are not dealt with here."""
    if size not in (None, *SIZES):
        raise UsageError(f"--size: {size} found, 28, 32 or 64 wanted")
    if channels not in (None, 1, 3):
        raise UsageError(f"--channels: {channels} found, 1 or 3 wanted")


def resize_dataset(dataset: Dataset, size: int | None, channels: int | None) -> Dataset:
    """The data set with images of that size; itself when they have it. Raises InputError when theirs is odd."""
    own = dataset.train.shape
    wanted = (channels or own[0], *(size or side for side in own[1:]))
    if wanted == own and own[1] == own[2] in SIZES:
        return dataset
    if wanted[1] != wanted[2] or wanted[1] not in SIZES:
        raise InputError(f"{dataset.source}: images of {own[1]}x{own[2]} found, 28, 32 or 64 wanted", "--size 32")

    def changed(split: Split) -> Split:
        images = np.stack([crop_and_resize(_image(image, wanted[0]), wanted[1]) for image in split.images])
        return dataclasses.replace(split, images=images)

    sha256 = hashlib.sha256(f"{dataset.sha256} {wanted}".encode()).hexdigest()
    return dataclasses.replace(dataset, train=changed(dataset.train), test=changed(dataset.test), sha256=sha256)


def split_dataset(images: ImagesU8, labels: ImagesU8, classes: tuple[str, ...], source: Path) -> Dataset:
    """A shuffled data set of images with a twelfth kept apart. Raises InputError when there are too few."""
    count = len(images)
    if count < MIN_IMAGES:
        raise InputError(f"{source}: {count} images found, {MIN_IMAGES} or more wanted")
    order = np.random.default_rng(0).permutation(count)
    train, test = (
        Split(images[part], labels[part])
        for part in (order[count // HOLDOUT_FRACTION :], order[: count // HOLDOUT_FRACTION])
    )
    return Dataset(train, test, str(source), content_sha256(classes, train, test), classes, published=False)


def content_sha256(classes: tuple[str, ...], *splits: Split) -> str:
    """One hash of all images in their order, of their labels and of what the classes are called."""
    total = hashlib.sha256(repr((classes, [split.images.shape for split in splits])).encode())
    for split in splits:
        for array in (split.images, split.labels, split.noisy):
            total.update(b"" if array is None else np.ascontiguousarray(array).data)
    return total.hexdigest()


def _image(image: ImagesU8, channels: int) -> Image.Image:
    pil_image = Image.fromarray(image if image.ndim == 2 else image.transpose(1, 2, 0))
    return pil_image.convert("L" if channels == 1 else "RGB")


def _idx(name: str, path: Path | None) -> Dataset:
    """MNIST, bit for bit the published one, or Kuzushiji-MNIST, whose files have only to be well formed."""
    title, classes, hashes = IDX[name]
    roots = [Path(os.path.expanduser(root)) for root in sources.TORCHVISION_ROOTS] if path is None else [path]
    folders = [folder for root in roots for folder in (root, root / title / "raw") if path or folder != root]
    found = next((folder for folder in folders if sources.holds_any(folder)), None)
    hint = f'torchvision.datasets.{title}("DIR", download=True); then --data DIR'
    if found is None:
        raise InputError(f"{', '.join(map(str, roots))}: no files of {title} found, the four IDX files wanted", hint)
    try:
        dataset = fashion_mnist.read_dataset(found, str(found), checked=False)
        _refuse_another(found, title, hashes)
    except InputError as error:
        raise InputError(error.message, hint) from error
    return dataclasses.replace(dataset, classes=classes)


def _refuse_another(folder: Path, title: str, hashes: dict[str, str] | None) -> None:
    for file, content in fashion_mnist.read_files(folder, checked=False).items():
        sha256 = hashlib.sha256(content).hexdigest()
        known = {"Fashion-MNIST": SHA256[file], "MNIST": MNIST_SHA256[file]}
        another = next((f" ({other})" for other, its in known.items() if its == sha256 and other != title), "")
        if another or (hashes and sha256 != hashes[file]):
            raise InputError(f"{folder / file}: SHA-256 {sha256}{another} found, that of {title} wanted")


def _npz(path: Path) -> tuple[ImagesU8, ImagesU8, tuple[str, ...]]:
    """The arrays `images` and, if there, `labels` of a file that numpy wrote."""
    try:
        with zipfile.ZipFile(path) as members:
            sizes = {member.filename: member.file_size for member in members.infolist()}
        if (largest := max(sizes.values(), default=0)) > MAX_BYTES:
            raise InputError(f"{path}: an array of {largest:,} bytes found, {MAX_BYTES:,} at most wanted")
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in ("images", "labels") if name in arrays}
    except InputError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen types over damaged files
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: unreadable ({why}), an .npz file with an array `images` wanted") from error
    if "images" not in found:
        raise InputError(f"{path}: {', '.join(sizes) or 'nothing'} found, an array `images` wanted")
    images = _as_planes(found["images"], path)
    if "labels" not in found:
        return images, np.zeros(len(images), np.uint8), ()
    labels = found["labels"]
    whole = labels.dtype.kind in "ui" and labels.shape == (len(images),)
    if not whole or (labels.size and not 0 <= labels.min() <= labels.max() < 256):
        message = f"{path}, labels: {labels.dtype} {list(labels.shape)} found"
        raise InputError(f"{message}, {len(images)} whole numbers from 0 to 255 wanted")
    return images, labels.astype(np.uint8), tuple(map(str, range(int(labels.astype(np.int64).max(initial=-1)) + 1)))


def _as_planes(images: np.ndarray, path: Path) -> ImagesU8:
    """uint8 (N, H, W) or (N, 3, H, W) from these, from (N, 1, H, W), or with the colours last."""
    if images.dtype == np.uint8 and images.ndim == 4:
        if images.shape[1] == 1:
            images = images[:, 0]
        elif images.shape[1] != 3 and images.shape[3] == 3:
            images = images.transpose(0, 3, 1, 2)
    shaped = images.ndim == 3 or (images.ndim == 4 and images.shape[1] == 3)
    if images.dtype != np.uint8 or not shaped or 0 in images.shape[1:]:
        message = f"{path}, images: {images.dtype} {list(images.shape)} found"
        raise InputError(f"{message}, uint8 (N, H, W), (N, 3, H, W) or (N, H, W, 3) wanted")
    return cast(ImagesU8, np.ascontiguousarray(images))
