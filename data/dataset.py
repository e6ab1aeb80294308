"""A data set as arrays: training and test split, classes, hash, and the splits that choices are made on."""

from __future__ import annotations

from dataclasses import dataclass

from gan_denoise.data.images import ImagesU8

HOLDOUT = 5_000  # images at the end of the training set on which choices are made
FEATURE_FIT = 50_000  # the feature network sees these; the other 10,000 are the real-against-real floor


@dataclass(frozen=True, slots=True)
class Split:
    """Images uint8 (N, H, W) or in colour (N, 3, H, W), 0 black to 255 white, and their classes, labels uint8 (N,).

    Fashion-MNIST's are (N, 28, 28) with labels from 0 to 9. `noisy` are the same images with real noise, if known.
    """

    images: ImagesU8
    labels: ImagesU8
    noisy: ImagesU8 | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return self.images.shape[1:] if self.images.ndim == 4 else (1, *self.images.shape[1:])


@dataclass(frozen=True, slots=True)
class Dataset:
    """Both splits, where they were found, one SHA-256 over the SHA-256 of the four files, and what classes are called.

    `published` says that the test part is the publisher's; where it is not, it was cut off for want of another.
    """

    train: Split
    test: Split
    source: str
    sha256: str
    classes: tuple[str, ...]
    published: bool = True

    @property
    def held_out(self) -> Split:
        """What training is measured on while it goes on: a published test part is kept for the end."""
        return split_holdout(self.train)[1] if self.published else self.test


def split_holdout(train: Split) -> tuple[Split, Split]:
    """The first 55,000 training images to learn from and the last 5,000 to choose on; of an excerpt, the last 1/12.

    The published order is already shuffled.
    """
    fit = len(train) - min(HOLDOUT, len(train) // 12)
    return Split(train.images[:fit], train.labels[:fit]), Split(train.images[fit:], train.labels[fit:])


def split_classifier_fit(train: Split) -> tuple[Split, Split]:
    """The first 50,000 training images, for the feature network, and the 10,000 it never sees; of an excerpt, 5/6."""
    fit = min(FEATURE_FIT, len(train) * 5 // 6)
    return Split(train.images[:fit], train.labels[:fit]), Split(train.images[fit:], train.labels[fit:])
