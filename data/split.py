"""A test split that does not leak: images of one source, and near-duplicates, are all on the same side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_denoise.data.images import ImagesU8, to_pil

THUMBNAIL = 16  # pixels a side of the versions that are compared
SIMILAR = 0.98  # correlation of the thumbnails of near-duplicates: contrast, brightness and colour may differ
MAX_COMPARED = 100_000  # images; more take minutes
CHUNK = 2_048  # rows of correlations at a time
MAX_SHARE = 0.5  # a rule that puts more images than this into one group finds no sources
# `street_crop3`, `street-tile-0-2`, `IMG_0012_3`: the source and the number of a part of it.
PARTS = (
    re.compile(r"(.*?)[-_. ]*(?:crop|tile|patch|part|frame)[-_. ]*\d+(?:[-_x]\d+)*$", re.IGNORECASE),
    re.compile(r"(.*\d.*?)[-_]\d+$"),
)

Groups = NDArray[np.int64]


def source_name(path: Path, root: Path) -> str:
    """The source of an image file below `root`: its path without suffix and without the number of a crop."""
    stem = next((match[1] for pattern in PARTS if (match := pattern.fullmatch(path.stem)) and match[1]), path.stem)
    return (path.parent.relative_to(root) / stem).as_posix()


def find_groups(images: ImagesU8, sources: Sequence[str] | None = None) -> tuple[Groups, int]:
    """The number of each image's group, (N,), and how many images share one with another image.

    `sources` has the source of each image; where nearly all would share one, each image is a source of its own.
    """
    names = list(range(len(images))) if sources is None or _is_one_source(sources) else list(sources)
    numbers: dict[object, int] = {}
    groups = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
    for first, second in near_duplicates(images):
        low, high = sorted((groups[first], groups[second]))
        groups[groups == high] = low
    counts = Counter(groups.tolist())
    return groups, sum(count for count in counts.values() if count > 1)


def split_groups(groups: Groups, n_test: int) -> tuple[Groups, Groups]:
    """Indices of the training and of about `n_test` test images, shuffled with a fixed seed, whole groups together.

    Without groups of several images there are exactly `n_test`. A group is left to training where it would make the
    test split more than half as large again; if that leaves less than half of it, the images are too alike to be
    grouped, and each goes its own way.
    """
    order = np.random.default_rng(0).permutation(len(groups))
    members: dict[int, list[int]] = {}
    for index in order.tolist():
        members.setdefault(int(groups[index]), []).append(index)
    test: list[int] = []
    for group in members.values():
        if len(test) >= n_test:
            break
        if len(test) + len(group) <= max(n_test + n_test // 2, 1):
            test += group
    if len(test) < n_test / 2:
        test = order[:n_test].tolist()
    chosen = np.array(test, np.int64)
    return order[~np.isin(order, chosen)], chosen


def near_duplicates(images: ImagesU8, others: ImagesU8 | None = None) -> list[tuple[int, int]]:
    """Pairs of images whose thumbnails have a correlation above SIMILAR; (index, index of `others`) if these are given.

    Images of one colour are similar to none. Nothing is compared above MAX_COMPARED images.
    """
    if len(images) + len(others if others is not None else ()) > MAX_COMPARED:
        return []
    first = _thumbnails(images)
    second = first if others is None else _thumbnails(others)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(first), CHUNK):
        correlations = first[start : start + CHUNK] @ second.T
        rows, columns = np.nonzero(correlations > SIMILAR)
        rows += start
        kept = rows < columns if others is None else np.ones(len(rows), bool)
        pairs += list(zip(rows[kept].tolist(), columns[kept].tolist(), strict=True))
    return pairs


def describe_split(n_test: int, count: int, grouped: int) -> str:
    """How a test split was made, in one sentence."""
    together = f"; {grouped:,} images of one source or near-duplicates were kept on one side" if grouped else ""
    compared = "" if count <= MAX_COMPARED else "; not searched for near-duplicates"
    return f"{n_test:,} of {count:,} images, chosen at random with a fixed seed{together}{compared}"


def describe_published_split(train: ImagesU8, test: ImagesU8) -> str:
    """How many test images of a given split have a near-duplicate among the training images, in one sentence."""
    if len(train) + len(test) > MAX_COMPARED:
        return "as given; not searched for near-duplicates"
    leaked = len({index for index, _ in near_duplicates(test, train)})
    found = f"{leaked:,} of {len(test):,} test images have" if leaked else "no test image has"
    return f"as given; {found} a near-duplicate among the training images"


def _is_one_source(sources: Sequence[str]) -> bool:
    return Counter(sources).most_common(1)[0][1] > MAX_SHARE * len(sources)


def _thumbnails(images: ImagesU8) -> NDArray[np.float32]:
    """Normalised thumbnails (N, D): their dot product is the correlation; zeros for an image of one colour."""
    size = (THUMBNAIL, THUMBNAIL)
    small = [np.asarray(to_pil(image).convert("L").resize(size, Image.Resampling.BOX)).ravel() for image in images]
    rows = np.array(small, np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    normalised: NDArray[np.float32] = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > THUMBNAIL)
    return normalised
