"""Read the arrays of an .npz file as a data set: our own names, those of MedMNIST, or those of Keras."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gan_denoise.console import print_status
from gan_denoise.data.dataset import MIN_IMAGES, Dataset, Split, content_sha256, split_dataset
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
SHAPES = "uint8 (or floats in [0, 1]) (N, H, W), (N, 3, H, W) or (N, H, W, 3)"

Arrays = dict[str, NDArray[Any]]


def load_array_file(path: Path) -> Dataset:
    """The data set in an .npz file; without a test split in it a twelfth of the images becomes one.

    Images are uint8 or floats in [0, 1], with channels first or last; labels are whole numbers (N,) or (N, 1), named
    by their numbers. Raises InputError, which names the file and the array, for anything else.
    """
    arrays = _read_arrays(path)
    naming = next((names for names in NAMINGS if names[TRAIN][0] in arrays), None)
    if naming is None:
        raise InputError.expected(path, EXPECTED, ", ".join(arrays) or "no arrays")
    names_used = {name for names in naming.values() for name in names}
    if mixed := [name for name in arrays if name not in names_used]:
        raise InputError.expected(path, f"names like {naming[TRAIN][0]} alone", f"also {', '.join(mixed)}")
    parts = {part: names for part, names in naming.items() if names[0] in arrays}
    splits = {part: _read_split(arrays, *names, path) for part, names in parts.items()}
    labelled = {part for part, names in parts.items() if names[1] in arrays}
    if labelled and labelled != parts.keys():
        missing = next(names[1] for part, names in parts.items() if part not in labelled)
        raise InputError.expected(path, f"labels of each split, or of none; also {missing}", ", ".join(arrays))
    splits = {part: split for part, split in splits.items() if len(split) or part != VALIDATION}
    _check_labels(splits, parts, path)
    numbers = np.unique(splits[TRAIN].labels)  # those of the classes, which may have gaps
    classes = tuple(map(str, numbers)) if labelled else ()
    splits = {
        part: Split(split.images, np.searchsorted(numbers, split.labels).astype(np.uint8))
        for part, split in splits.items()
    }
    train, test, validation = (splits.get(part) for part in (TRAIN, TEST, VALIDATION))
    assert train is not None
    if test is None:
        test, validation = validation, None
    if test is None:
        return split_dataset(train.images, train.labels, classes, path, "npz")
    if len(train) < MIN_IMAGES:
        raise InputError.expected(f"{path}, {parts[TRAIN][0]}", f"{MIN_IMAGES} images or more", len(train))
    all_parts = [split for split in (train, test, validation) if split is not None]
    if len({split.shape for split in all_parts}) > 1:
        got = ", ".join(f"{names[0]} {list(splits[part].shape)}" for part, names in parts.items())
        raise InputError.expected(path, "images of one shape", got)
    sha256 = content_sha256(classes, *all_parts)
    split = describe_published_split(train.images, test.images)
    return Dataset(train, test, str(path), sha256, classes, "npz", validation=validation, split=split)


def _check_labels(splits: dict[str, Split], parts: dict[str, tuple[str, str]], path: Path) -> None:
    """Raise InputError for a split without images, or with labels that no training image has."""
    for part, split in splits.items():
        if part != TRAIN and not len(split):
            raise InputError.expected(f"{path}, {parts[part][0]}", "1 image or more", 0)
        if len(unknown := np.setdiff1d(split.labels, splits[TRAIN].labels)):
            expected, got = f"labels of {parts[TRAIN][1]}", ", ".join(map(str, unknown[:5]))
            raise InputError.expected(f"{path}, {parts[part][1]}", expected, f"also {got}")


def _read_arrays(path: Path) -> Arrays:
    """The arrays with known names. Raises InputError for a file that is not readable or holds too much."""
    check_regular(path)
    known = {name for naming in NAMINGS for names in naming.values() for name in names}
    try:
        with zipfile.ZipFile(path) as members:
            sizes = {member.filename: member.file_size for member in members.infolist()}
        if (largest := max(sizes.values(), default=0)) > MAX_BYTES:
            raise InputError.expected(path, f"arrays of at most {MAX_BYTES:,} bytes", f"{largest:,}")
        with np.load(path) as npz:
            if not any(name in npz for name in known):
                raise InputError.expected(path, EXPECTED, ", ".join(npz.files) or "no arrays")
            arrays = {name: npz[name] for name in npz.files if name in known}
            unused = [name for name in npz.files if name not in known]
    except InputError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen exception types for damaged files
        reason = getattr(error, "strerror", None) or error
        raise InputError.expected(path, f"an .npz file with {EXPECTED}", f"an unreadable one ({reason})") from error
    if unused:
        print_status(f"{path}: not used: {one_line(', '.join(unused[:10]))}")
    if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise InputError.expected(f"{path}, {others[0]}", "an array", "other bytes")
    return arrays


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
        raise InputError.expected(name, f"{count} whole numbers from 0 to 255", got)
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
        raise InputError.expected(name, SHAPES, f"{images.dtype} {list(images.shape)}")
    return cast(ImagesU8, np.ascontiguousarray(images))


def _from_floats(images: NDArray[Any], name: str) -> ImagesU8:
    """Floats in [0, 1] as 8 bits; says so on stderr."""
    if images.size and not (images.min() >= 0 and images.max() <= 1):  # NaN fails too
        raise InputError.expected(name, "floats in [0, 1]", f"{images.min():g} to {images.max():g}")
    print_status(f"{name}: floats in [0, 1], rounded to 8 bits")
    levels: ImagesU8 = np.rint(images * 255).astype(np.uint8)
    return levels
