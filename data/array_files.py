"""Read the arrays of an .npz file as a data set: our own names, those of MedMNIST, or those of Keras."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gan_denoise.console import print_status
from gan_denoise.data.dataset import MIN_IMAGES, MORE_IMAGES, Dataset, Split, content_sha256, shuffled, split_dataset
from gan_denoise.data.image_files import check_regular
from gan_denoise.data.images import ImagesU8
from gan_denoise.data.split import describe_published_split
from gan_denoise.errors import InputError
from gan_denoise.markdown import one_line

MAX_BYTES = 4 * 1024**3  # of one array in a file
TRAIN, VALIDATION, TEST = "train", "val", "test"
# The arrays of images and of labels of each split, in each of the known namings.
NAMINGS = (
    {TRAIN: ("images", "labels")},
    {part: (f"{part}_images", f"{part}_labels") for part in (TRAIN, VALIDATION, TEST)},  # MedMNIST
    {part: (f"x_{part}", f"y_{part}") for part in (TRAIN, VALIDATION, TEST)},  # Keras
)
EXPECTED = "arrays `images`, `train_images` or `x_train`"
KNOWN = {name for naming in NAMINGS for names in naming.values() for name in names}
NAMES_HINT = "np.savez('images.npz', images=images, labels=labels) writes one; the labels may be left out"
LABELS_HINT = "np.unique(labels, return_inverse=True)[1] numbers any labels, one an image"
SHAPES = "uint8 (or floats in [0, 1]) (N, H, W), (N, 3, H, W) or (N, H, W, 3)"

Arrays = dict[str, NDArray[Any]]


def load_array_file(path: Path) -> Dataset:
    """The data set in an .npz file, shuffled; without a test split in it a twelfth of the images becomes one.

    Images are uint8 or floats in [0, 1], with channels first or last; labels are whole numbers (N,) or (N, 1), named
    by their numbers. Raises InputError, which names the file and the array, for anything else.
    """
    arrays = _read_arrays(path)
    parts = _find_parts(arrays, path)
    splits = _read_splits(arrays, parts, path)
    labelled = any(names[1] in arrays for names in parts.values())
    _check_labels(splits, parts, path)
    numbers = np.unique(splits[TRAIN].labels)  # those of the classes, which may have gaps
    classes = tuple(map(str, numbers)) if labelled else ()
    splits = {
        part: shuffled(Split(split.images, np.searchsorted(numbers, split.labels).astype(np.uint8)))
        for part, split in splits.items()
    }
    train, test, validation = (splits.get(part) for part in (TRAIN, TEST, VALIDATION))
    assert train is not None
    if test is None:
        test, validation = validation, None
    if test is None:
        return split_dataset(train.images, train.labels, classes, path, "npz")
    _check_shapes(splits, parts, path)
    all_parts = [split for split in (train, test, validation) if split is not None]
    sha256 = content_sha256(classes, *all_parts)
    split = describe_published_split(train.images, test.images)
    return Dataset(train, test, str(path), sha256, classes, "npz", validation=validation, split=split)


def check_array_headers(path: Path) -> tuple[int, ...]:
    """The shape (C, H, W) of the images in an .npz file, from the headers of its arrays alone.

    Raises InputError as `load_array_file` does for what the headers show: names, shapes, types, too few images.
    """
    arrays = _read_headers(path)
    parts = _find_parts(arrays, path)
    for name, _ in parts.values():
        if arrays[name].dtype.kind == "f":  # their range shows in the pixels alone
            arrays[name] = np.broadcast_to(np.uint8(0), arrays[name].shape)
    splits = _read_splits(arrays, parts, path)
    _check_shapes(splits, parts, path)
    return splits[TRAIN].shape


def _find_parts(arrays: Mapping[str, object], path: Path) -> dict[str, tuple[str, str]]:
    """The names of the images and labels of each split. Raises InputError for other names or labels of some splits."""
    naming = next((names for names in NAMINGS if names[TRAIN][0] in arrays), None)
    if naming is None:
        raise InputError.expected(path, EXPECTED, ", ".join(arrays) or "no arrays", NAMES_HINT)
    names_used = {name for names in naming.values() for name in names}
    if mixed := [name for name in arrays if name not in names_used]:
        raise InputError.expected(path, f"names like {naming[TRAIN][0]} alone", f"also {', '.join(mixed)}", NAMES_HINT)
    parts = {part: names for part, names in naming.items() if names[0] in arrays}
    labelled = {part for part, names in parts.items() if names[1] in arrays}
    if labelled and labelled != parts.keys():
        missing = next(names[1] for part, names in parts.items() if part not in labelled)
        expected = f"labels of each split, or of none; also {missing}"
        raise InputError.expected(path, expected, ", ".join(arrays), NAMES_HINT)
    return parts


def _read_splits(arrays: Arrays, parts: dict[str, tuple[str, str]], path: Path) -> dict[str, Split]:
    """The splits, without an empty one of validation images; no image is copied."""
    splits = {part: _read_split(arrays, *names, path) for part, names in parts.items()}
    return {part: split for part, split in splits.items() if len(split) or part != VALIDATION}


def _check_shapes(splits: dict[str, Split], parts: dict[str, tuple[str, str]], path: Path) -> None:
    """Raise InputError for too few training images, or splits of different shapes."""
    if (count := len(splits[TRAIN])) < MIN_IMAGES:
        raise InputError.expected(f"{path}, {parts[TRAIN][0]}", f"{MIN_IMAGES} images or more", count, MORE_IMAGES)
    if len({split.shape for split in splits.values()}) > 1:
        got = ", ".join(f"{parts[part][0]} {list(split.shape)}" for part, split in splits.items())
        raise InputError.expected(path, "images of one shape", got, "resize them to one size first")


def _check_labels(splits: dict[str, Split], parts: dict[str, tuple[str, str]], path: Path) -> None:
    """Raise InputError for a split without images, or with labels that no training image has."""
    for part, split in splits.items():
        if part != TRAIN and not len(split):
            hint = f"leave {parts[part][0]} out: a twelfth of the images is then tested"
            raise InputError.expected(f"{path}, {parts[part][0]}", "1 image or more", 0, hint)
        if len(unknown := np.setdiff1d(split.labels, splits[TRAIN].labels)):
            expected, got = f"labels of {parts[TRAIN][1]}", ", ".join(map(str, unknown[:5]))
            hint = "leave these images out, or add some of these labels to the training images"
            raise InputError.expected(f"{path}, {parts[part][1]}", expected, f"also {got}", hint)


def _read_arrays(path: Path) -> Arrays:
    """The arrays with known names. Raises InputError for a file that is not readable or holds too much."""
    with _reading(path), np.load(path) as npz:
        if not any(name in npz for name in KNOWN):
            raise InputError.expected(path, EXPECTED, ", ".join(npz.files) or "no arrays", NAMES_HINT)
        arrays = {name: npz[name] for name in npz.files if name in KNOWN}
        unused = [name for name in npz.files if name not in KNOWN]
    if unused:
        print_status(f"{path}: not used: {one_line(', '.join(unused[:10]))}")
    if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise InputError.expected(f"{path}, {others[0]}", "an array", "other bytes", NAMES_HINT)
    return arrays


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[zipfile.ZipFile]:
    """The members of an .npz file; raises InputError if it, or what the block reads, is unreadable or too large."""
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as members:
            if (largest := max((member.file_size for member in members.infolist()), default=0)) > MAX_BYTES:
                hint = "make the images smaller or fewer, or save them as files: --dataset folder"
                raise InputError.expected(path, f"arrays of at most {MAX_BYTES:,} bytes", f"{largest:,}", hint)
            yield members
    except InputError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen exception types for damaged files
        reason = getattr(error, "strerror", None) or error
        expected = f"an .npz file with {EXPECTED}"
        raise InputError.expected(path, expected, f"an unreadable one ({reason})", NAMES_HINT) from error


def _read_headers(path: Path) -> Arrays:
    """Arrays with the known names, shapes and types of those in the file, made of one number in memory."""
    with _reading(path) as members:
        names = {member.filename.removesuffix(".npy"): member for member in members.infolist()}
        if not KNOWN & names.keys():
            raise InputError.expected(path, EXPECTED, ", ".join(names) or "no arrays", NAMES_HINT)
        return {name: _read_header(members, member) for name, member in names.items() if name in KNOWN}


def _read_header(members: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """An array with the shape and type of that in the file."""
    with members.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject or file.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"{member.filename}: objects, or not as many bytes as its header says")
    return np.broadcast_to(np.zeros((), dtype), shape)


def _read_split(arrays: Arrays, images_name: str, labels_name: str, path: Path) -> Split:
    images = _to_planes(arrays[images_name], f"{path}, {images_name}")
    labels = arrays.get(labels_name)
    if labels is None:
        return Split(images, np.zeros(len(images), np.uint8))
    return Split(images, _to_labels(labels, len(images), f"{path}, {labels_name}"))


def _to_labels(labels: NDArray[Any], count: int, name: str) -> ImagesU8:
    """uint8 (N,) from whole numbers from 0 to 255, (N,) or (N, 1)."""
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    is_valid = flat.dtype.kind in "ui" and flat.shape == (count,)
    if not is_valid or (flat.size and not 0 <= flat.min() <= flat.max() < 256):
        got = f"{flat.min()} to {flat.max()}" if is_valid else f"{labels.dtype} {list(labels.shape)}"
        raise InputError.expected(name, f"{count} whole numbers from 0 to 255", got, LABELS_HINT)
    return flat.astype(np.uint8)


def _to_planes(images: NDArray[Any], name: str) -> ImagesU8:
    """uint8 (N, H, W) or (N, 3, H, W) from these shapes, from (N, 1, H, W), (N, H, W, 1) or (N, H, W, 3)."""
    if images.dtype.kind == "f":
        images = _from_floats(images, name)
    if images.dtype == np.uint8 and images.ndim == 4:
        if images.shape[1] == 1:
            images = images[:, 0]
        elif images.shape[3] == 1:
            images = images[..., 0]
        elif images.shape[1] != 3 and images.shape[3] == 3:
            images = images.transpose(0, 3, 1, 2)
    is_valid = images.ndim == 3 or (images.ndim == 4 and images.shape[1] == 3)
    if images.dtype != np.uint8 or not is_valid or 0 in images.shape[1:]:
        got = f"{images.dtype} {list(images.shape)}"
        raise InputError.expected(name, SHAPES, got, "for values from 0 to 255: images.astype(np.uint8)")
    return cast(ImagesU8, images)


def _from_floats(images: NDArray[Any], name: str) -> ImagesU8:
    """Floats in [0, 1] as 8 bits; says so on stderr."""
    if images.size and not (images.min() >= 0 and images.max() <= 1):  # NaN fails too
        got = f"{images.min():g} to {images.max():g}"
        raise InputError.expected(name, "floats in [0, 1]", got, "for values from 0 to 255: images.astype(np.uint8)")
    print_status(f"{name}: floats in [0, 1], rounded to 8 bits")
    levels: ImagesU8 = np.rint(images * 255).astype(np.uint8)
    return levels
