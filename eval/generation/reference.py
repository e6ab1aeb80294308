"""Sets of generated images and the real images that they are compared with, by the feature network of FFD-1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.dataset import Dataset, split_classifier_fit
from gan_denoise.data.images import ImagesF32, ImagesU8, Vector, to_float, to_uint8
from gan_denoise.eval.generation.feature_cache import cached_arrays, real_features, real_radii
from gan_denoise.eval.labels import REAL_BASELINE
from gan_denoise.eval.metrics import ffd, no_reference
from gan_denoise.eval.metrics.frechet import Moments, Statistics, frechet_distance, statistics
from gan_denoise.eval.metrics.kid import kid
from gan_denoise.eval.metrics.prdc import overlap, prdc
from gan_denoise.export.runtime import Graph
from gan_denoise.options import BATCH

MAX_FEATURES = 10_000  # images of a set whose features stay in memory
APPEARANCE = {"sharpness": no_reference.sharpness, "contrast": no_reference.contrast, "noise": no_reference.noise}

SetBatches = Iterable[Mapping[str, ImagesU8]]


class ImageSet:
    """Accumulates a set of images batch by batch: moments of features, labels, and means of the image statistics.

    Memory holds the features of the first 10,000 images and one byte per image.
    """

    def __init__(self) -> None:
        self.moments = Moments()
        self._sums = dict.fromkeys(APPEARANCE, 0.0)
        self._features: list[NDArray[np.float32]] = []
        self._labels: list[ImagesU8] = []

    def __len__(self) -> int:
        return self.moments.count

    def add(self, images: ImagesU8, network: Graph) -> None:
        """Add images (N, H, W) uint8: extract their features and measure their appearance."""
        self.add_features(*network(to_float(images)))
        self.add_appearance(images)

    def add_features(self, features: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
        """Add the network's outputs for N images, (N, D) and (N, classes)."""
        self._features.append(features[: max(0, MAX_FEATURES - len(self))])
        self._labels.append(logits.argmax(axis=1).astype(np.uint8))
        self.moments.add(features)

    def add_appearance(self, images: ImagesU8) -> None:
        """Add the sharpness, contrast and noise of images (N, H, W) uint8."""
        pixels = to_float(images)  # (N, 1, H, W)
        for name, measure in APPEARANCE.items():
            self._sums[name] += float(measure(pixels).sum())

    @property
    def features(self) -> NDArray[np.float32]:
        """The features of the first 10,000 images, (N, D)."""
        return np.concatenate(self._features)

    @property
    def labels(self) -> ImagesU8:
        """The class of each image by the feature network, (N,)."""
        return np.concatenate(self._labels)

    def appearance(self) -> dict[str, float | None]:
        """`sharpness, contrast, noise`: the means over all images."""
        return {name: total / len(self) if len(self) else None for name, total in self._sums.items()}


@dataclass(frozen=True, slots=True)
class Reference:
    """Real images that sets of images are compared with, and the feature network that compares them."""

    network: Graph
    images: ImagesU8  # (N, 28, 28)
    features: NDArray[np.float32]  # (N, D)
    labels: ImagesU8  # (N,), by the feature network
    radii: Vector  # (N,) of the features, squared
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class RealImages:
    """The test images as the reference, and training images that the feature network has not seen as a baseline."""

    reference: Reference
    unseen: ImageSet
    real_baseline: dict[str, Any]  # the row of `unseen`


def make_reference(images: ImagesU8, network: Graph, fitted: Statistics | None = None) -> Reference:
    """The reference of real images (N, 28, 28) uint8; `fitted` is the Gaussian of their features if it is known.

    The features are cached on disk. Raises InputError for fewer than 97 images.
    """
    features, logits = real_features(images, network)
    gaussian = fitted or statistics(features)
    return Reference(
        network,
        images,
        features,
        logits.argmax(axis=1).astype(np.uint8),
        real_radii(images, network.sha256, features),
        gaussian,
    )


def make_test_reference(data: Dataset, network: Graph) -> Reference:
    """The test images as the reference of FFD-1: the Gaussian is the pinned one."""
    return make_reference(data.test.images, network, ffd.load_pinned_metric().reference)


def measure_real(data: Dataset, network: Graph, n: int = MAX_FEATURES) -> RealImages:
    """The test images as the reference, and n unseen training images (all 10,000 if n is larger) as the baseline.

    It takes as long as measuring 20,000 images: call it once for several tables of the same n. The features are
    cached on disk.
    """
    reference = make_test_reference(data, network)
    images, unseen = split_classifier_fit(data.train)[1].images[:n], ImageSet()
    outputs = real_features(images, network)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        unseen.add_features(*(values[rows] for values in outputs))
        unseen.add_appearance(images[rows])
    return RealImages(reference, unseen, {**measure_set(REAL_BASELINE, unseen, reference), "class_preserved": None})


def real_appearance(images: ImagesU8) -> dict[str, float]:
    """`sharpness, contrast, noise`: the means over real images (N, 28, 28) uint8, computed once on a machine."""

    def compute() -> dict[str, NDArray[np.float64]]:
        pixels = to_float(images)
        return {name: np.asarray(measure(pixels).mean()) for name, measure in APPEARANCE.items()}

    return {name: float(value) for name, value in cached_arrays("appearance", images, compute).items()}


def collect(batches: SetBatches, network: Graph) -> dict[str, ImageSet]:
    """The sets of images by name, from batches of images (N, 28, 28) uint8 of one or more sets."""
    sets: dict[str, ImageSet] = {}
    for batch in batches:
        for name, images in batch.items():
            sets.setdefault(name, ImageSet()).add(images, network)
    return sets


def extract_features(images: ImagesF32, network: Graph) -> ImageSet:
    """Features and labels of images (N, 1, 28, 28) in [0, 1], rounded to 8 bits as in files; no appearance."""
    image_set = ImageSet()
    image_set.add_features(*network.batched(to_float(to_uint8(images))))
    return image_set


def distance_to(reference: Reference, images: ImageSet) -> float:
    """The Fréchet distance of a set of images to the reference. Raises InputError for fewer than 97 images."""
    return frechet_distance(images.moments.statistics(), reference.statistics)


def compare_with_reference(images: ImageSet, reference: Reference) -> dict[str, float]:
    """`distance, precision, recall, density, coverage` of a set. Raises InputError for fewer than 97 images."""
    shared = overlap(reference.features, images.features, real_radii=reference.radii)
    return {"distance": distance_to(reference, images), **prdc(shared)}


def measure_set(name: str, images: ImageSet, reference: Reference) -> dict[str, Any]:
    """The row of a set in the generation table, without `class_preserved`; distances of fewer than 97 images are None.

    `ffd_1` is FFD-1 if the reference is that of `make_test_reference`.
    """
    return {"set": name, "n": len(images), **_distances(images, reference), **images.appearance()}


def _distances(images: ImageSet, reference: Reference) -> dict[str, float | None]:
    if len(images) < ffd.MIN_SAMPLES:
        return dict.fromkeys(("ffd_1", "kid", "kid_se", "precision", "recall", "density", "coverage"))
    compared = compare_with_reference(images, reference)
    kernel, error = kid(images.features, reference.features)
    return {"ffd_1": compared.pop("distance"), "kid": kernel, "kid_se": error, **compared}


def features_name(features: Graph) -> str:
    """The name of the features: their width and the start of the network's hash."""
    return f"fashion-features-{features.output_shapes[0][0]}@{features.sha256[:8]}"
