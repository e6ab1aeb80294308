"""Load any data set by name: Fashion-MNIST, MNIST, Kuzushiji-MNIST, CIFAR-10, photographs, image files, array files."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from gan_denoise.data import cifar10, mnist, sources
from gan_denoise.data.array_files import check_array_headers, load_array_file
from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.dataset_options import FASHION_MNIST, PHOTOS, DatasetOptions
from gan_denoise.data.image_files import Skipped
from gan_denoise.data.image_folders import has_train_folder, list_folder, load_folder
from gan_denoise.data.images import ImagesU8, to_pil
from gan_denoise.data.open_image import crop_and_resize
from gan_denoise.data.photographs import load_photographs
from gan_denoise.data.tiles import TILE
from gan_denoise.errors import InputError, UsageError
from gan_denoise.options import CENTRE

SIZES = (28, 32, 64, 128)  # pixels a side
SIZE_LIST = "28, 32, 64 or 128"


def load_images(options: DatasetOptions) -> Dataset:
    """Load the images that the options select; the result remembers them.

    Without `size` and `channels` arrays are unchanged, and the images of a folder become 28x28 grey; photographs are
    tiles of 192x192 in colour, see `load_photographs`, and take no other size or number of channels. For the splits of
    image files see `load_folder`, of array files `load_array_file`. Raises InputError if the images are missing or
    invalid, UsageError if an option is missing, or not for this data set.
    """
    check_dataset_options(options)
    return dataclasses.replace(_load(options), options=options, flip=options.flip)


def load_dataset(name: str, path: Path | None, size: int | None = None, channels: int | None = None) -> Dataset:
    """`load_images` of the data set `name`, one of those of `options.DatasetName`."""
    return load_images(DatasetOptions(name, path, size, channels))


def check_dataset_options(options: DatasetOptions) -> None:
    """Raise UsageError for options that the data set does not have, or lacks, before anything is read."""
    if options.name == PHOTOS:
        _check_tile_size(options.size, options.channels)
    else:
        check_image_size(options.size, options.channels)
    if options.path is None and options.name in ("folder", "npz"):
        hint = "--data DIR" if options.name == "folder" else "--data FILE.npz"
        raise UsageError.expected("--data", f"the path of the images, for --dataset {options.name}", "none", hint)
    of_files = {"--crop": options.crop != CENTRE, "--test": options.test, "--labels": options.labels}
    if options.name != "folder" and (wrong := next((name for name, given in of_files.items() if given), None)):
        raise UsageError.expected(wrong, "--dataset folder with it", f"--dataset {options.name}", f"leave out {wrong}")


def check_source(options: DatasetOptions) -> int | None:
    """Raise InputError for files that are missing or of the wrong kind, as far as it shows without any pixel.

    Lists image files and reads the headers of arrays; returns the side of these in pixels, None for other data sets.
    """
    if options.path is not None and options.name == "folder":
        list_folder(options, Skipped())
    if options.path is None or options.name != "npz":
        return None
    shape = check_array_headers(options.path)
    if options.size is None:
        _check_square(shape, options.path)
    return shape[1]


def _load(options: DatasetOptions) -> Dataset:
    name, path, size, channels = options.name, options.path, options.size, options.channels
    if name == PHOTOS:
        return load_photographs(path)
    if name == "folder":
        return load_folder(options)
    if name == FASHION_MNIST:
        dataset = sources.load_fashion_mnist(path)
    elif name in mnist.IDX:
        dataset = mnist.load_idx(name, path)
    elif name == "cifar10":
        dataset = _load_cifar10(path, channels)
    else:
        assert path is not None
        dataset = load_array_file(path)
    return resize_dataset(dataset, size, channels)


def _load_cifar10(path: Path | None, channels: int | None) -> Dataset:
    """CIFAR-10 from torchvision's batches, or from image files in `train/CLASS/` and `test/CLASS/`."""
    roots = sources.torchvision_roots() if path is None else [path]
    if folder := cifar10.find_batches(roots):
        return cifar10.load_batches(folder)
    if path is not None and has_train_folder(path):
        files = DatasetOptions("folder", path, cifar10.SIDE, channels or 3)
        return dataclasses.replace(load_folder(files), name="cifar10")
    where = ", ".join(map(str, roots))
    got = "none"
    raise InputError.expected(where, f"{cifar10.FOLDER}, or folders train and test of image files", got, cifar10.HINT)


def check_image_size(size: int | None, channels: int | None) -> None:
    """Raise UsageError if images of that many pixels a side or channels are not supported."""
    if size not in (None, *SIZES):
        raise UsageError.expected("--size", SIZE_LIST, size)
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
    _check_square(shape, dataset.source)

    def resize(split: Split) -> Split:
        images = np.stack([crop_and_resize(_convert(image, shape[0]), shape[1]) for image in split.images])
        return dataclasses.replace(split, images=images)

    sha256 = hashlib.sha256(f"{dataset.sha256} {shape}".encode()).hexdigest()
    validation = None if dataset.validation is None else resize(dataset.validation)
    train, test = resize(dataset.train), resize(dataset.test)
    return dataclasses.replace(dataset, train=train, test=test, validation=validation, sha256=sha256)


def _check_square(shape: tuple[int, ...], source: object) -> None:
    """Raise InputError unless images (C, H, W) are squares of a supported size."""
    if shape[1] != shape[2] or shape[1] not in SIZES:
        got = f"{shape[1]}x{shape[2]}"
        raise InputError.expected(source, f"images of {SIZE_LIST} pixels a side", got, "--size 32")


def _convert(image: ImagesU8, channels: int) -> Image.Image:
    return to_pil(image).convert("L" if channels == 1 else "RGB")
