"""A test split that does not leak: images of one source, and near-duplicates, are all on the same side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_denoise.data.images import ImagesU8, to_pil
from gan_denoise.data.split_cache import cached_numbers

THUMBNAIL = 16  # pixels a side of the versions that are compared
SIMILAR = 0.98  # correlation of the thumbnails of near-duplicates: contrast, brightness and colour may differ
MAX_COMPARED = 100_000  # images; more take minutes
RULES = (THUMBNAIL, SIMILAR)  # all that the result of a search depends on, beside the images
CHUNK = 256  # rows of correlations at a time
MAX_SHARE = 0.5  # a name that more images of a class than this share is no source: `n01440764_10026`
# `street_crop3`, `street-tile-0-2`: the source and the number of a part of it.
PART = re.compile(r"(.*?)[-_. ]*(?:crop|tile|patch|part|frame)[-_. ]*\d+(?:[-_x]\d+)*$", re.IGNORECASE)
NUMBERED = re.compile(r"(.*\d.*?)[-_]\d+$")  # `IMG_0012_3`

Groups = NDArray[np.int64]


def source_names(stems: Sequence[str], name: str) -> list[str]:
    """The source of each image file of the class `name`, from the names of the files without suffix.

    The number of a crop is left out, and the class where there is one: a photograph may have crops in several classes.
    """
    parts = [match[1] if (match := PART.fullmatch(stem)) else "" for stem in stems]
    numbered = [match[1] if (match := NUMBERED.fullmatch(stem)) else "" for stem in stems]
    shared = {source for source, count in Counter(numbered).items() if count > MAX_SHARE * len(stems)}
    return [
        part or (source if source and source not in shared else f"{name}/{stem}")
        for part, source, stem in zip(parts, numbered, stems, strict=True)
    ]


def find_groups(images: ImagesU8, sources: Sequence[str] | None = None) -> tuple[Groups, int]:
    """The number of each image's group, (N,), and how many images share one with another image.

    `sources` has the source of each image; None: each is its own. Near-duplicates are in one group.
    """
    numbers: dict[object, int] = {}
    names = range(len(images)) if sources is None else sources
    groups = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
    if len(images) <= MAX_COMPARED:
        similar = cached_numbers(("groups", *RULES), (images,), len(images), lambda: _find_similar(images))
        alike = np.nonzero(similar)[0]
        _, first, inverse = np.unique(similar[alike], return_index=True, return_inverse=True)
        groups = _join(groups, groups[alike], groups[alike[first[inverse]]])
    counts = np.bincount(groups) if len(groups) else np.zeros(0, np.int64)
    return groups, int(counts[counts > 1].sum())


def _find_similar(images: ImagesU8) -> Groups:
    """The number, 1 or more, of each image's group of near-duplicates; 0 for an image that has none, (N,)."""
    groups, rows = np.arange(len(images)), _thumbnails(images)
    for start in range(0, len(rows), CHUNK):
        first, second = np.nonzero(rows[start : start + CHUNK] @ rows[start:].T > SIMILAR)
        groups = _join(groups, groups[first + start], groups[second + start])
    counts = np.bincount(groups, minlength=1)
    similar: Groups = np.where(counts[groups] > 1, groups + 1, 0)
    return similar


def _join(groups: Groups, first: Groups, second: Groups) -> Groups:
    """The groups after those of `first` and `second` have been joined pair by pair."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    differ = first != second
    if not differ.any():
        return groups
    size = int(groups.max(initial=-1)) + 1
    edges = coo_array((np.ones(differ.sum(), np.int8), (first[differ], second[differ])), shape=(size, size))
    joined: Groups = connected_components(edges, directed=False)[1].astype(np.int64)[groups]
    return joined


def split_groups(groups: Groups, n_test: int) -> tuple[Groups, Groups, bool]:
    """Indices of the training and of about `n_test` test images, shuffled with a fixed seed, and if groups are whole.

    Without groups of several images there are exactly `n_test`. A group is left to training where it would make the
    test split more than half as large again; if that leaves less than half of it, the smallest groups are added. Only
    images that are all of one group are split one by one.
    """
    order = np.random.default_rng(0).permutation(len(groups))
    members: dict[int, list[int]] = {}
    for index in order.tolist():
        members.setdefault(int(groups[index]), []).append(index)
    test: list[int] = []
    left: list[list[int]] = []
    for group in members.values():
        if len(test) < n_test and len(test) + len(group) <= max(n_test + n_test // 2, 1):
            test.extend(group)
        else:
            left.append(group)
    for group in sorted(left, key=len):
        if len(test) >= n_test / 2 or len(test) + len(group) > len(groups) / 2:
            break
        test.extend(group)
    is_whole = len(test) > 0
    chosen = np.array(test if is_whole else order[:n_test].tolist(), np.int64)
    return order[~np.isin(order, chosen)], chosen, is_whole


def has_near_duplicate(images: ImagesU8, others: ImagesU8) -> NDArray[np.bool_]:
    """Whether each image has one among the `others` whose thumbnail correlates above SIMILAR, (N,).

    Images of one colour are similar to none.
    """
    first, second = _thumbnails(images), _thumbnails(others)
    starts = range(0, len(first), CHUNK)
    found = [(first[start : start + CHUNK] @ second.T > SIMILAR).any(axis=1) for start in starts]
    return np.concatenate(found) if found else np.zeros(0, np.bool_)


def describe_split(n_test: int, count: int, grouped: int, is_whole: bool) -> str:
    """How a test split was made, in one sentence."""
    together = f"; {grouped:,} images of one source or near-duplicates were kept on one side" if grouped else ""
    if not is_whole:
        together = "; nearly all images are of one source or alike, so images like those tested were trained on"
    compared = "" if count <= MAX_COMPARED else "; not searched for near-duplicates"
    return f"{n_test:,} of {count:,} images, chosen at random with a fixed seed{together}{compared}"


def describe_published_split(train: ImagesU8, test: ImagesU8) -> str:
    """How many test images of a given split have a near-duplicate among the training images, in one sentence."""
    if len(train) + len(test) > MAX_COMPARED:
        return "as given; not searched for near-duplicates"
    search = (("in train", *RULES), (test, train), len(test))
    leaked = int(cached_numbers(*search, lambda: has_near_duplicate(test, train).astype(np.int64)).sum())
    found = f"{leaked:,} of {len(test):,} test images have" if leaked else "no test image has"
    return f"as given; {found} a near-duplicate among the training images"


def _thumbnails(images: ImagesU8) -> NDArray[np.float32]:
    """Normalised thumbnails (N, D): their dot product is the correlation; zeros for an image of one colour."""
    size = (THUMBNAIL, THUMBNAIL)
    small = [np.asarray(to_pil(image).convert("L").resize(size, Image.Resampling.BOX)).ravel() for image in images]
    rows = np.array(small, np.float32).reshape(len(small), THUMBNAIL**2)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    normalised: NDArray[np.float32] = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > THUMBNAIL)
    return normalised
