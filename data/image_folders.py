"""Read a folder of images as a data set: classes in sub-folders, splits in folders such as `train` and `test`."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_denoise.data.dataset import (
    MIN_IMAGES,
    MORE_IMAGES,
    Dataset,
    Split,
    content_sha256,
    shuffled,
    split_dataset,
)
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
SAME_CLASSES = "each split needs the same class folders; or name one of the splits alone with --data"
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
    layout = list_folder(options, skipped)
    splits = {name: _read_split(groups, options, skipped) for name, groups in layout.groups.items()}
    skipped.report(folder)
    train, names = splits[TRAIN]
    if len(splits) == 1:
        return split_dataset(train.images, train.labels, layout.classes, folder, "folder", names)
    if len(train) < MIN_IMAGES:
        raise InputError.expected(layout.folders[TRAIN], f"{MIN_IMAGES} images or more", len(train), MORE_IMAGES)
    given = {name: shuffled(split) for name, (split, _) in splits.items()}
    test, validation = given.get(TEST), given.get(VALIDATION)
    if test is None:
        test, validation = given[VALIDATION], None
    parts = [split for split in (given[TRAIN], test, validation) if split is not None]
    sha256 = content_sha256(layout.classes, *parts)
    described = describe_published_split(given[TRAIN].images, test.images)
    return Dataset(
        given[TRAIN], test, str(folder), sha256, layout.classes, "folder", validation=validation, split=described
    )


def list_folder(options: DatasetOptions, skipped: Skipped) -> Layout:
    """The image files that `load_folder` reads; opens none. Raises InputError as it does for folders and labels."""
    assert options.path is not None
    folder, labels = options.path, options.labels
    layout = read_layout(folder, skipped) if labels is None else read_labels(labels, folder, skipped)
    return layout if options.test is None else _with_test(layout, options.test, folder, skipped)


def has_train_folder(folder: Path) -> bool:
    """Whether there is a folder `train` in `folder`, in any of its spellings."""
    with contextlib.suppress(InputError):
        return any(SPLIT_NAMES.get(path.name.lower()) == TRAIN for path in scan_folder(folder, Skipped())[1])
    return False


def read_layout(folder: Path, skipped: Skipped) -> Layout:
    """Find the image files of each split and class below `folder`. Raises InputError as `load_folder` does."""
    files, subfolders = scan_folder(folder, skipped)
    while not files and len(subfolders) == 1:  # an archive that was unpacked into its own folder
        inner_files, inner = scan_folder(subfolders[0], Skipped())
        is_split = subfolders[0].name.lower() in SPLIT_NAMES  # of images without classes
        if not is_split and (inner_files or not inner):
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
            expected, got = f"the classes of {folders[TRAIN]}", _difference(groups[TRAIN], groups[name])
            raise InputError.expected(path, expected, got, SAME_CLASSES)
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
            hint = "move the image files elsewhere, or into a sub-folder of their class"
            raise InputError.expected(folder, "either image files or one sub-folder per class", got, hint)
        for path in subfolders:
            skipped.add("folder without image", path)
        return {"": files}
    groups: Groups = {}
    for path in sorted(subfolders, key=class_name):
        name, in_class = class_name(path), Skipped()
        if name in groups:
            raise InputError.expected(
                folder, "sub-folders with different names", f"{name} twice, as NFC and as NFD", "rename one"
            )
        groups[name] = list_image_files(path, in_class)
        if not groups[name]:
            _check_no_split(folder, subfolders)
            raise none_found(path, in_class)
        skipped.merge(in_class)
    if not groups:
        raise none_found(folder, skipped)
    if len(groups) > MAX_CLASSES:
        hint = "leave some out with --data, or give fewer labels to a flat folder with --labels FILE.csv"
        raise InputError.expected(folder, f"at most {MAX_CLASSES} sub-folders of images", len(groups), hint)
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
        raise UsageError.expected("--test", f"no folder `test` in {train}", "both", "leave out --test")
    if os.path.realpath(folder) == os.path.realpath(train):
        raise UsageError.expected("--test", "another folder than --data", folder, "without it a twelfth is tested")
    groups = read_layout(folder, skipped).groups
    test = groups.get(TEST, groups[TRAIN])
    if test.keys() != layout.groups[TRAIN].keys():
        got = _difference(layout.groups[TRAIN], test)
        raise InputError.expected(folder, f"the classes of {train}", got, SAME_CLASSES)
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


# --- labels in a CSV file -----------------------------------------------------------------------


def _find_named(folder: Path, name: str) -> Path:
    """The file of that name below `folder`, also if one of the two is composed (NFC) and the other decomposed (NFD)."""
    spellings = (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
    return next((path for spelling in spellings if os.path.isfile(path := folder / spelling)), folder / name)


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
        hint = "give several of them one label, or leave lines out"
        raise InputError.expected(labels, f"at most {MAX_CLASSES} labels", len(classes), hint)
    for row in rows:
        line, path = f"{labels}, line {row.line}", _find_named(folder, row.file)
        if ".." in Path(row.file).parts or Path(row.file).is_absolute():
            raise InputError.expected(line, f"a file below {folder}", row.file)
        if not os.path.isfile(path):  # False for a name that is too long
            raise InputError(f"{line}: {path}: not found", f"files are named relative to {folder}")
        if (before := lines.setdefault(os.path.realpath(path), row.line)) != row.line:
            raise InputError.expected(
                line, "each file once", f"{row.file}, which line {before} names too", "leave one out"
            )
        if row.split and row.split not in SPLIT_NAMES:
            raise InputError.expected(line, "a split train, val or test", row.split)
        of_split = groups.setdefault(SPLIT_NAMES.get(row.split, TRAIN), {name: [] for name in classes})
        of_split[row.label].append(path)
    if TRAIN not in groups:
        hint = "name the split of the training images train, or leave out the column split"
        raise InputError.expected(labels, "images of the split train", ", ".join(groups) or "none", hint)
    for part, of_split in groups.items():
        if empty := [name for name, files in of_split.items() if not files]:
            got, hint = f"no {', '.join(empty[:5])}", "leave out the column split: a twelfth is then tested"
            raise InputError.expected(labels, f"each label in the split {part}", got, hint)
    named = {path for of_split in groups.values() for files in of_split.values() for path in files}
    for path in list_image_files(folder, Skipped()):
        if path not in named:
            skipped.add("file without label", path)
    return Layout(dict.fromkeys(groups, folder), groups)
