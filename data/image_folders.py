"""Read a folder of images as a data set: classes in sub-folders, splits in folders such as `train` and `test`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_denoise.data.dataset import MIN_IMAGES, Dataset, Split, content_sha256, split_dataset
from gan_denoise.data.image_files import IMAGE_FILES, Skipped, class_name, list_image_files, none_found, scan_folder
from gan_denoise.data.open_image import crop_and_resize, open_image
from gan_denoise.errors import InputError

MAX_CLASSES = 256  # labels are uint8
TRAIN, VALIDATION, TEST = "train", "val", "test"
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}  # in any case
Groups = dict[str, list[Path]]  # image files by class, or all under "" where there are no classes


@dataclass(frozen=True, slots=True)
class Layout:
    """The image files of a folder, by split; a folder without splits has them all under TRAIN."""

    folders: dict[str, Path]
    groups: dict[str, Groups]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, sorted; empty without classes."""
        return tuple(name for name in self.groups[TRAIN] if name)


def load_folder(folder: Path, size: int, channels: int) -> Dataset:
    """Load the images below `folder`, resized to (size, size), in grey (1 channel) or colour (3).

    The folder holds either image files, which have no classes, or one sub-folder of image files per class. A twelfth
    of these images becomes the test split. If all its sub-folders are called train, test or val (also training,
    testing, valid, validation, in any case), each of them is laid out that way and the splits are used as published:
    `test` as test split and `val` as validation images; with `train` and `val` alone, `val` is the test split. Images
    are shuffled with a fixed seed. A parent folder that contains nothing else is accepted too. Other files and
    folders are skipped, and counted on stderr.

    Raises InputError, which names the file or folder, if there are fewer than 24 training images, if the splits have
    different classes, and as `open_image` does.
    """
    skipped = Skipped()
    layout = read_layout(folder, skipped)
    splits = {name: _read_split(groups, size, channels, skipped) for name, groups in layout.groups.items()}
    skipped.report(folder)
    train = splits[TRAIN]
    if len(splits) == 1:
        return split_dataset(train.images, train.labels, layout.classes, folder, "folder")
    if len(train) < MIN_IMAGES:
        raise InputError.expected(layout.folders[TRAIN], f"{MIN_IMAGES} images or more", len(train))
    test, validation = splits.get(TEST), splits.get(VALIDATION)
    if test is None:
        test, validation = splits[VALIDATION], None
    parts = [_shuffle(split) for split in (train, test, validation) if split is not None]
    sha256 = content_sha256(layout.classes, *parts)
    held_out = parts[2] if validation else None
    return Dataset(parts[0], parts[1], str(folder), sha256, layout.classes, "folder", validation=held_out)


def read_layout(folder: Path, skipped: Skipped) -> Layout:
    """Find the image files of each split and class below `folder`. Raises InputError as `load_folder` does."""
    files, subfolders = scan_folder(folder, skipped)
    while not files and len(subfolders) == 1:  # an archive that was unpacked into its own folder
        inner_files, inner = scan_folder(subfolders[0], Skipped())
        if inner_files or not inner:
            break  # one class
        folder = subfolders[0]
        files, subfolders = scan_folder(folder, skipped)
    folders = _split_folders(subfolders)
    if files or folders is None:
        return Layout({TRAIN: folder}, {TRAIN: _group_by_class(folder, files, subfolders, skipped)})
    groups = {name: _group_by_class(path, *scan_folder(path, skipped), skipped) for name, path in folders.items()}
    layout = Layout(folders, groups)
    for name, path in folders.items():
        if groups[name].keys() != groups[TRAIN].keys():
            raise InputError.expected(
                path, f"the classes of {folders[TRAIN]}", _difference(groups[TRAIN], groups[name])
            )
    return layout


def _split_folders(subfolders: list[Path]) -> dict[str, Path] | None:
    """The folder of each split, TRAIN first, or None if the sub-folders are classes."""
    if not all(path.name.lower() in SPLIT_NAMES for path in subfolders):
        return None
    folders = {SPLIT_NAMES[path.name.lower()]: path for path in subfolders}
    if len(folders) < 2 or len(folders) != len(subfolders) or TRAIN not in folders:
        return None
    return {name: folders[name] for name in (TRAIN, VALIDATION, TEST) if name in folders}


def _group_by_class(folder: Path, files: list[Path], subfolders: list[Path], skipped: Skipped) -> Groups:
    """The image files by class, or all under "" if there are no classes."""
    if files:
        mixed = next((path for path in subfolders if scan_folder(path, Skipped())[0]), None)
        if mixed is not None:
            got = f"{files[0].name} beside the folder {mixed.name} of images"
            raise InputError.expected(folder, "either image files or one sub-folder per class", got)
        for path in subfolders:
            skipped.add("folder without image", path)
        return {"": files}
    groups: Groups = {}
    for path in sorted(subfolders, key=class_name):
        name, in_class = class_name(path), Skipped()
        if name in groups:
            raise InputError.expected(folder, "sub-folders with different names", f"{name} twice, as NFC and as NFD")
        groups[name] = list_image_files(path, in_class)
        if not groups[name]:
            _check_no_split(folder, subfolders)
            raise none_found(path, in_class)
        skipped.merge(in_class)
    if not groups:
        raise none_found(folder, skipped)
    if len(groups) > MAX_CLASSES:
        raise InputError.expected(folder, f"at most {MAX_CLASSES} sub-folders of images", len(groups))
    return groups


def _check_no_split(folder: Path, subfolders: list[Path]) -> None:
    """Raise InputError if `folder` would have been split into train and test but for other folders beside them."""
    others = [path for path in subfolders if path.name.lower() not in SPLIT_NAMES]
    if others and _split_folders([path for path in subfolders if path not in others]):
        got = f"also {', '.join(path.name for path in others[:5])}"
        raise InputError.expected(folder, "no other folders beside train, test and val", got, "move them elsewhere")


def _difference(train: Groups, other: Groups) -> str:
    """The missing and the additional classes of another split, as text."""
    if "" in train or "" in other:
        return f"{IMAGE_FILES if '' in other else 'sub-folders'} directly in it"
    missing, more = sorted(train.keys() - other.keys()), sorted(other.keys() - train.keys())
    texts = (f"{verb} {', '.join(names[:5])}" for verb, names in (("no", missing), ("also", more)) if names)
    return "; ".join(texts)


def _read_split(groups: Groups, size: int, channels: int, skipped: Skipped) -> Split:
    paths = [path for files in groups.values() for path in files]
    images = np.stack([crop_and_resize(open_image(path, channels, skipped), size) for path in paths])
    labels = np.repeat(np.arange(len(groups), dtype=np.uint8), [len(files) for files in groups.values()])
    return Split(images, labels)


def _shuffle(split: Split) -> Split:
    order = np.random.default_rng(0).permutation(len(split))
    return Split(split.images[order], split.labels[order])
