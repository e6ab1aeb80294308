"""A data set as arrays: training and test split, classes, hash, and the splits used for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_denoise.data.dataset_options import FASHION_MNIST, DatasetOptions
from gan_denoise.data.images import ImagesU8
from gan_denoise.data.split import describe_split, find_groups, split_groups
from gan_denoise.errors import InputError

MIN_IMAGES = 24
MORE_IMAGES = "a model of so few images would only copy them: add more"  # the hint
HOLDOUT_FRACTION = 12  # one image in this many becomes the test split
HOLDOUT = 5_000  # held-out images at the end of the training split
VALIDATION_IMAGES = 500  # the first of these, on which a denoiser is measured after each epoch
FEATURE_FIT = 50_000  # training images of the feature network; the other 10,000 are its real baseline


@dataclass(frozen=True, slots=True)
class Split:
    """Images, uint8 (N, H, W) in grey or (N, 3, H, W) in colour, 0 black to 255 white, and labels, uint8 (N,).

    Fashion-MNIST has (N, 28, 28) and labels 0 to 9. `noisy` holds the same images with real noise, if known.
    """

    images: ImagesU8
    labels: ImagesU8
    noisy: ImagesU8 | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image, (C, H, W)."""
        return self.images.shape[1:] if self.images.ndim == 4 else (1, *self.images.shape[1:])


@dataclass(frozen=True, slots=True)
class Dataset:
    """Both splits, their source, their SHA-256, the names of the classes, and the data set's own name.

    `name` is one of those of `load_dataset`, or `pairs`; it holds no path, since graphs record it. `sha256` of data
    sets in IDX files is over the SHA-256 of the four files. `published` means that the publisher provides the test
    split; otherwise it was split off from the images. `validation` holds the publisher's validation images, if there
    are any. `split` says in one sentence how the test images were chosen, `options` what was loaded; trainers mirror
    images at random if `flip`.
    """

    train: Split
    test: Split
    source: str
    sha256: str
    classes: tuple[str, ...]
    name: str
    published: bool = True
    validation: Split | None = None
    split: str = ""
    flip: bool = False
    options: DatasetOptions | None = None

    @property
    def is_fashion_mnist(self) -> bool:
        """Whether these are Fashion-MNIST's images, or some of them, in their own size: FFD-1 and its tables are."""
        return self.name == FASHION_MNIST and self.train.shape == (1, 28, 28)

    @property
    def held_out(self) -> Split:
        """The images for validation during training.

        The publisher's, else the end of the training split, or an unpublished test split.
        """
        if self.validation is not None:
            return self.validation
        return split_holdout(self.train)[1] if self.published else self.test

    @property
    def validates_on_training(self) -> bool:
        """Whether `held_out` is a part of the training split."""
        return self.validation is None and self.published


def split_holdout(train: Split) -> tuple[Split, Split]:
    """Split into the first 55,000 training images to fit on and the last 5,000 to validate on.

    Of fewer than 60,000 images, the last 1/12 is held out. The published order is already shuffled.
    """
    return _split_at(train, len(train) - min(HOLDOUT, len(train) // 12))


def split_classifier_fit(train: Split) -> tuple[Split, Split]:
    """Split into the first 50,000 training images, which the feature network is fitted on, and the 10,000 others.

    Of fewer than 60,000 images, the first 5/6 are fitted on.
    """
    return _split_at(train, min(FEATURE_FIT, len(train) * 5 // 6))


def split_dataset(
    images: ImagesU8,
    labels: ImagesU8,
    classes: tuple[str, ...],
    source: Path,
    name: str,
    sources: Sequence[str] | None = None,
) -> Dataset:
    """Shuffle images with a fixed seed and split off a twelfth as test split. Raises InputError for fewer than 24.

    Images of the same source (see `split.source_names`; None: each its own) and near-duplicates stay together.
    """
    count = len(images)
    if count < MIN_IMAGES:
        raise InputError.expected(source, f"{MIN_IMAGES} images or more", count, MORE_IMAGES)
    groups, grouped = find_groups(images, sources)
    *chosen, is_whole = split_groups(groups, count // HOLDOUT_FRACTION)
    train, test = (Split(images[part], labels[part]) for part in chosen)
    return Dataset(
        train,
        test,
        str(source),
        content_sha256(classes, train, test),
        classes,
        name,
        published=False,
        split=describe_split(len(test), count, grouped, is_whole),
    )


def shuffled(split: Split) -> Split:
    """The images and labels in an order that is always the same: held-out images and excerpts then have all classes."""
    order = np.random.default_rng(0).permutation(len(split))
    return Split(np.ascontiguousarray(split.images[order]), split.labels[order])


def content_sha256(classes: tuple[str, ...], *splits: Split) -> str:
    """One SHA-256 over class names, shapes, and all images and labels in their order."""
    digest = hashlib.sha256(repr((classes, [split.images.shape for split in splits])).encode())
    for split in splits:
        for array in (split.images, split.labels, split.noisy):
            digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _split_at(train: Split, index: int) -> tuple[Split, Split]:
    first, last = slice(index), slice(index, None)
    return Split(train.images[first], train.labels[first]), Split(train.images[last], train.labels[last])
