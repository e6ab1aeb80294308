"""The generation table: sets of pictures against real ones, and the floor that real ones set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data import fashion_mnist
from gan_denoise.data.fashion_mnist import Bytes, Dataset
from gan_denoise.eval import appearance, classes, ffd
from gan_denoise.eval.cache import real_features
from gan_denoise.eval.frechet import Moments, frechet_distance
from gan_denoise.eval.kid import kid
from gan_denoise.eval.prdc import Values, overlap, prdc, squared_radii
from gan_denoise.export.runtime import Graph, latents
from gan_denoise.limits import BATCH
from gan_denoise.progress import Track, untracked

RAW, DENOISED = "raw", "denoised"
FLOOR = "real (unseen training images)"
KEPT = 10_000  # pictures of a set whose features are kept
APPEARANCE = {"sharpness": appearance.sharpness, "contrast": appearance.contrast, "noise": appearance.noise}

Batches = Iterable[Mapping[str, Bytes]]


class PictureSet:
    """Sums up pictures batch by batch: how they look, the moments of their features, their labels.

    It keeps the features of the first 10,000 and a byte a picture.
    """

    def __init__(self) -> None:
        self.moments = Moments()
        self._sums = dict.fromkeys(APPEARANCE, 0.0)
        self._features: list[NDArray[np.float32]] = []
        self._labels: list[Bytes] = []

    def add(self, images: Bytes, network: Graph) -> None:
        """Take in pictures (N, H, W) uint8."""
        self.add_seen(images, *network(fashion_mnist.to_float(images)))

    def add_seen(self, images: Bytes, features: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
        """Take in pictures (N, H, W) uint8 with what the network makes of them, (N, D) and (N, classes)."""
        pixels = fashion_mnist.to_float(images)  # (N, 1, H, W)
        self._features.append(features[: max(0, KEPT - self.moments.count)])
        self._labels.append(logits.argmax(axis=1).astype(np.uint8))
        self.moments.add(features)
        for name, measure in APPEARANCE.items():
            self._sums[name] += float(measure(pixels).sum())

    @property
    def features(self) -> NDArray[np.float32]:
        """The features of the first 10,000 pictures, (N, D)."""
        return np.concatenate(self._features)

    @property
    def labels(self) -> Bytes:
        """The class that the feature network sees in each picture, (N,)."""
        return np.concatenate(self._labels)

    def appearance(self) -> dict[str, float | None]:
        """`sharpness, contrast, noise`: the means over all pictures."""
        count = self.moments.count
        return {name: total / count if count else None for name, total in self._sums.items()}


@dataclass(frozen=True, slots=True)
class Real:
    """What pictures are held against: the test images, and training images that the feature network has not seen."""

    network: Graph
    test: PictureSet
    radii: Values  # (N,) of the test images' features, squared
    unseen: PictureSet
    floor: dict[str, Any]  # the row of `unseen`


def real_pictures(data: Dataset, network: Graph, n: int = KEPT) -> Real:
    """The test images and n unseen training images (all 10,000 if n is larger), measured by the network of FFD-1.

    It takes as long as measuring 20,000 pictures, so make it once for several tables of the same n. The features stay
    in the cache.
    """
    test = _measured(data.test.images, network)
    radii = squared_radii(test.features)
    unseen = _measured(fashion_mnist.fit_and_unseen(data.train)[1].images[:n], network)
    return Real(network, test, radii, unseen, {**_row(FLOOR, unseen, test, radii), "same_class": None})


def collect(batches: Batches, network: Graph) -> dict[str, PictureSet]:
    """The sets of pictures by name, from batches that each hold pictures (N, 28, 28) uint8 of one or more sets."""
    sets: dict[str, PictureSet] = {}
    for batch in batches:
        for name, images in batch.items():
            sets.setdefault(name, PictureSet()).add(images, network)
    return sets


def evaluate_sets(batches: Batches, real: Real) -> list[dict[str, Any]]:
    """A row for each set of pictures and one for the floor.

    `batches` give pictures (N, 28, 28) uint8 by the name of their set; sets that belong together, such as pictures
    and what a filter makes of them, come in the same batches and in the same order. The columns:
    `set, n`; `ffd_1`, of all n; `kid, kid_se` and `precision, recall, density, coverage`, of the first 10,000;
    `sharpness, contrast, noise`, means over all n; `same_class`, the share that the feature network puts into the same
    class as the first set's picture of that place, None where the sets are not as large. Fewer than 97 pictures have
    no distances. Memory grows by a byte a picture.
    """
    return [*rows_of(collect(batches, real.network), real), real.floor]


def rows_of(sets: Mapping[str, PictureSet], real: Real) -> Iterator[dict[str, Any]]:
    """The rows of `evaluate_sets` for sets that are summed up already, without the floor."""
    first = next(iter(sets.values())).labels
    for name, pictures in sets.items():
        same = classes.agreement(first, pictures.labels) if pictures.moments.count == len(first) else None
        yield {**_row(name, pictures, real.test, real.radii), "same_class": same}


def evaluate_generation(
    fused: Graph, real: Real, n: int = KEPT, seed: int = 0, track: Track = untracked
) -> list[dict[str, Any]]:
    """The rows of `evaluate_sets` for `raw` and `denoised` pictures of latents 0 to n - 1 of `seed`, and the floor.

    A graph whose latents choose the class also has `asked_class`: the share of pictures that the feature network puts
    into that class.
    """
    sets = collect(generated(fused, n, seed, track), real.network)
    rows = list(rows_of(sets, real))
    asked = asked_classes(fused, n, seed)
    if asked is not None:
        for row in rows:
            row["asked_class"] = classes.agreement(sets[row["set"]].labels, asked)
    return [*rows, real.floor]


def generated(fused: Graph, n: int, seed: int, track: Track = untracked) -> Iterator[dict[str, Bytes]]:
    """Batches of `raw` and `denoised` pictures of latents 0 to n - 1, uint8 as files would hold them."""
    for start in track(range(0, n, BATCH)):
        z = latents(seed, start, min(BATCH, n - start), fused.input_shape[0])
        yield {name: fashion_mnist.to_uint8(images) for name, images in zip((RAW, DENOISED), fused(z), strict=True)}


def asked_classes(fused: Graph, n: int, seed: int) -> Bytes | None:
    """The class that each latent asks for, (n,): the largest of its last `classes`; None when the graph has none."""
    count = int(fused.metadata.get("classes", 0))
    if not count:
        return None
    size = fused.input_shape[0]
    parts = [latents(seed, start, min(BATCH, n - start), size)[:, -count:] for start in range(0, n, BATCH)]
    asked: Bytes = np.concatenate(parts).argmax(axis=1).astype(np.uint8)
    return asked


def features_name(features: Graph) -> str:
    """Which features these are: their width and the start of the network's hash."""
    return f"fashion-features-{features.output_shapes[0][0]}@{features.sha256[:8]}"


def _measured(images: Bytes, network: Graph) -> PictureSet:
    pictures, seen = PictureSet(), real_features(images, network)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        pictures.add_seen(images[rows], *(values[rows] for values in seen))
    return pictures


def _row(name: str, pictures: PictureSet, test: PictureSet, radii: Values) -> dict[str, Any]:
    distances = _distances(pictures, test, radii)
    return {"set": name, "n": pictures.moments.count, **distances, **pictures.appearance()}


def _distances(pictures: PictureSet, test: PictureSet, radii: Values) -> dict[str, float | None]:
    if pictures.moments.count < ffd.LEAST:
        return dict.fromkeys(("ffd_1", "kid", "kid_se", "precision", "recall", "density", "coverage"))
    distance = frechet_distance(pictures.moments.statistics(), ffd.pinned().reference)
    kernel, error = kid(pictures.features, test.features)
    found = overlap(test.features, pictures.features, real_radii=radii)
    return {"ffd_1": distance, "kid": kernel, "kid_se": error, **prdc(found)}
