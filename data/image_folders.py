"""Read a folder of images as a data set: classes in sub-folders, splits in folders such as `train` and `test`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_denoise.data.dataset import MIN_IMAGES, Dataset, Split, content_sha256, split_dataset
from gan_denoise.data.dataset_options import DatasetOptions
from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.data.image_files import (
    IMAGE_FILES,
    Skipped,
    class_name,
    list_image_files,
    none_found,
    scan_folder,
)
from gan_denoise.data.images import ImagesU8
from gan_denoise.data.label_files import read_label_rows
from gan_denoise.data.open_image import cut_squares, open_image
from gan_denoise.data.split import describe_published_split, source_names
from gan_denoise.errors import InputError, UsageError

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


def load_folder(options: DatasetOptions) -> Dataset:
    """Load the images below `options.path`, each cut and resized to a square; by default 28x28 in grey.

    The folder holds either image files, which have no classes unless `options.labels` names them, or one sub-folder of
    image files per class. A twelfth of these images becomes the test split, see `split_dataset`, unless
    `options.test` is another such folder. If all its sub-folders are called train, test or val (also training,
    testing, valid, validation, in any case), each of them is laid out that way and the splits are used as published:
    `test` as test split and `val` as validation images; with `train` and `val` alone, `val` is the test split. Images
    are shuffled with a fixed seed. A parent folder that contains nothing else is accepted too. Other files and
    folders are skipped, and counted on stderr.

    Raises InputError, which names the file or folder, if there are fewer than 24 training images, if the splits have
    different classes, and as `open_image` and `read_labels` do.
    """
    assert options.path is not None
    skipped, folder = Skipped(), options.path
    layout = read_layout(folder, skipped) if options.labels is None else read_labels(options.labels, folder, skipped)
    if options.test is not None:
        layout = _with_test(layout, options.test, folder, skipped)
    splits = {name: _read_split(groups, options, skipped) for name, groups in layout.groups.items()}
    skipped.report(folder)
    train, names = splits[TRAIN]
    if len(splits) == 1:
        return split_dataset(train.images, train.labels, layout.classes, folder, "folder", names)
    if len(train) < MIN_IMAGES:
        raise InputError.expected(layout.folders[TRAIN], f"{MIN_IMAGES} images or more", len(train))
    given = {name: _shuffle(split) for name, (split, _) in splits.items()}
    test, validation = given.get(TEST), given.get(VALIDATION)
    if test is None:
        test, validation = given[VALIDATION], None
    parts = [split for split in (given[TRAIN], test, validation) if split is not None]
    sha256 = content_sha256(layout.classes, *parts)
    described = describe_published_split(given[TRAIN].images, test.images)
    return Dataset(
        given[TRAIN], test, str(folder), sha256, layout.classes, "folder", validation=validation, split=described
    )


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


def _with_test(layout: Layout, folder: Path, train: Path, skipped: Skipped) -> Layout:
    """The layout with the images of another folder as test split."""
    if TEST in layout.groups:
        raise UsageError.expected("--test", f"no folder `test` in {train}", "both")
    if os.path.realpath(folder) == os.path.realpath(train):
        raise UsageError.expected("--test", "another folder than --data", folder)
    groups = read_layout(folder, skipped).groups
    test = groups.get(TEST, groups[TRAIN])
    if test.keys() != layout.groups[TRAIN].keys():
        raise InputError.expected(folder, f"the classes of {train}", _difference(layout.groups[TRAIN], test))
    return Layout({**layout.folders, TEST: folder}, {**layout.groups, TEST: test})


def _read_split(groups: Groups, options: DatasetOptions, skipped: Skipped) -> tuple[Split, list[str]]:
    """The images of a split, and the source of each."""
    size, channels = options.size or SIDE, options.channels or 1
    images: list[ImagesU8] = []
    labels: list[int] = []
    names: list[str] = []
    for label, (name, files) in enumerate(groups.items()):
        sources = source_names([path.stem for path in files], name)
        for path, source in zip(files, sources, strict=True):
            squares = cut_squares(open_image(path, channels, skipped), size, options.crop, len(names))
            images += squares
            labels += [label] * len(squares)
            names += [source] * len(squares)
    return Split(np.stack(images), np.array(labels, np.uint8)), names


def _shuffle(split: Split) -> Split:
    order = np.random.default_rng(0).permutation(len(split))
    return Split(split.images[order], split.labels[order])


# --- labels in a CSV file -----------------------------------------------------------------------


def read_labels(labels: Path, folder: Path, skipped: Skipped) -> Layout:
    """The layout that a CSV file gives to the image files below `folder`: columns `file`, `label`, optionally `split`.

    Files are named relative to `folder`. Image files directly in `folder` that it does not name are counted in
    `skipped`. Raises InputError, which names the line, for missing files and columns, and for classes or splits that
    are not in each other.
    """
    rows = read_label_rows(labels)
    groups: dict[str, Groups] = {}
    classes = sorted({row.label for row in rows})
    lines: dict[str, int] = {}  # by file
    if len(classes) > MAX_CLASSES:
        raise InputError.expected(labels, f"at most {MAX_CLASSES} labels", len(classes))
    for row in rows:
        line, path = f"{labels}, line {row.line}", folder / row.file
        if ".." in Path(row.file).parts or Path(row.file).is_absolute():
            raise InputError.expected(line, f"a file below {folder}", row.file)
        if not os.path.isfile(path):  # False for a name that is too long
            raise InputError(f"{line}: {path}: not found", f"files are named relative to {folder}")
        if (before := lines.setdefault(os.path.realpath(path), row.line)) != row.line:
            raise InputError.expected(line, "each file once", f"{row.file}, which line {before} names too")
        if row.split and row.split not in SPLIT_NAMES:
            raise InputError.expected(line, "a split train, val or test", row.split)
        of_split = groups.setdefault(SPLIT_NAMES.get(row.split, TRAIN), {name: [] for name in classes})
        of_split[row.label].append(path)
    if TRAIN not in groups:
        raise InputError.expected(labels, "images of the split train", ", ".join(groups) or "none")
    for part, of_split in groups.items():
        if empty := [name for name, files in of_split.items() if not files]:
            raise InputError.expected(labels, f"each label in the split {part}", f"no {', '.join(empty[:5])}")
    named = {path for of_split in groups.values() for files in of_split.values() for path in files}
    for path in list_image_files(folder, Skipped()):
        if path not in named:
            skipped.add("file without label", path)
    return Layout(dict.fromkeys(groups, folder), groups)
