"""Sets of generated images and the real images that they are compared with, by the features of one network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.dataset import Dataset, split_classifier_fit
from gan_denoise.data.images import ImagesF32, ImagesU8, Vector, to_float, to_uint8
from gan_denoise.errors import InputError
from gan_denoise.eval.generation.extractor import FeatureExtractor, Features, to_labels
from gan_denoise.eval.generation.feature_cache import cached_arrays, real_radii
from gan_denoise.eval.labels import REAL_BASELINE
from gan_denoise.eval.metrics import ffd, no_reference
from gan_denoise.eval.metrics.frechet import Moments, Statistics, frechet_distance, statistics
from gan_denoise.eval.metrics.kid import BLOCKS, kid
from gan_denoise.eval.metrics.prdc import K, overlap, prdc
from gan_denoise.options import BATCH, FFD_1

MAX_FEATURES = 10_000  # images of a set whose features stay in memory
MIN_COMPARED = max(2 * BLOCKS, K + 1)  # images of a set; KID and precision need them
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

    def add(self, images: ImagesU8, network: FeatureExtractor) -> None:
        """Add images (N, H, W) or (N, 3, H, W) uint8: extract their features and measure their appearance."""
        self.add_features(*network.outputs(images))
        self.add_appearance(images)

    def add_features(self, features: Features, logits: Features | None) -> None:
        """Add the network's outputs for N images, (N, D) and (N, classes), None for a network without classes."""
        self._features.append(features[: max(0, MAX_FEATURES - len(self))])
        if (labels := to_labels(logits)) is not None:
            self._labels.append(labels)
        self.moments.add(features)

    def add_appearance(self, images: ImagesU8) -> None:
        """Add the sharpness, contrast and noise of images (N, H, W) or (N, 3, H, W) uint8."""
        pixels = to_float(images)  # (N, C, H, W)
        for name, measure in APPEARANCE.items():
            self._sums[name] += float(measure(pixels).sum())

    @property
    def features(self) -> NDArray[np.float32]:
        """The features of the first 10,000 images, (N, D)."""
        return np.concatenate(self._features)

    @property
    def labels(self) -> ImagesU8 | None:
        """The class of each image by the feature network, (N,); None if it has no classes."""
        return np.concatenate(self._labels) if self._labels else None

    def appearance(self) -> dict[str, float | None]:
        """`sharpness, contrast, noise`: the means over all images."""
        return {name: total / len(self) if len(self) else None for name, total in self._sums.items()}


@dataclass(frozen=True, slots=True)
class Reference:
    """Real images that sets of images are compared with, and the feature network that compares them."""

    network: FeatureExtractor
    images: ImagesU8  # (N, H, W) or (N, 3, H, W)
    features: Features  # (N, D)
    labels: ImagesU8 | None  # (N,), by the feature network
    radii: Vector  # (N,) of the features, squared
    statistics: Statistics | None  # None for D images or fewer: a distance to them would mean little

    @property
    def distance_name(self) -> str:
        """The name of the distance in rows: FFD-1's own, or that of any Fréchet distance."""
        return "ffd_1" if self.network.name == FFD_1 else "distance"


@dataclass(frozen=True, slots=True)
class RealImages:
    """The test images as the reference, and training images that the feature network has not seen as a baseline."""

    reference: Reference
    unseen: ImageSet
    real_baseline: dict[str, Any]  # the row of `unseen`


def make_reference(images: ImagesU8, network: FeatureExtractor, fitted: Statistics | None = None) -> Reference:
    """The reference of real images, uint8; `fitted` is the Gaussian of their features if it is known.

    The features are cached on disk. Raises InputError for fewer images than MIN_COMPARED, for FFD-1 fewer than 97.
    """
    if len(images) < MIN_COMPARED:
        raise InputError.expected("the reference", f"{MIN_COMPARED} images or more", len(images), "add images")
    features, logits = network.of_real(images)
    gaussian = fitted or (statistics(features) if has_distance(network, len(features)) else None)
    radii = real_radii(images, network.label, features)
    return Reference(network, images, features, to_labels(logits), radii, gaussian)


def make_test_reference(data: Dataset, network: FeatureExtractor) -> Reference:
    """The test images as the reference; for FFD-1 the Gaussian is the pinned one."""
    pinned = ffd.load_pinned_metric().reference if network.name == FFD_1 else None
    return make_reference(data.test.images, network, pinned)


def measure_real(data: Dataset, network: FeatureExtractor, n: int = MAX_FEATURES) -> RealImages:
    """The test images as the reference, and n unseen training images (all 10,000 if n is larger) as the baseline.

    It takes as long as measuring 20,000 images: call it once for several tables of the same n. The features are
    cached on disk.
    """
    reference = make_test_reference(data, network)
    images, unseen = split_classifier_fit(data.train)[1].images[:n], ImageSet()
    features, logits = network.of_real(images)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        unseen.add_features(features[rows], None if logits is None else logits[rows])
        unseen.add_appearance(images[rows])
    return RealImages(reference, unseen, {**measure_set(REAL_BASELINE, unseen, reference), "class_preserved": None})


def real_appearance(images: ImagesU8) -> dict[str, float]:
    """`sharpness, contrast, noise`: the means over real images, uint8, computed once on a machine."""

    def compute() -> dict[str, NDArray[np.float64]]:
        pixels = to_float(images)
        return {name: np.asarray(measure(pixels).mean()) for name, measure in APPEARANCE.items()}

    return {name: float(value) for name, value in cached_arrays("appearance", images, compute).items()}


def collect(batches: SetBatches, network: FeatureExtractor) -> dict[str, ImageSet]:
    """The sets of images by name, from batches of images uint8 of one or more sets."""
    sets: dict[str, ImageSet] = {}
    for batch in batches:
        for name, images in batch.items():
            sets.setdefault(name, ImageSet()).add(images, network)
    return sets


def extract_features(images: ImagesF32, network: FeatureExtractor) -> ImageSet:
    """Features and labels of images (N, C, H, W) in [0, 1], rounded to 8 bits as in files; no appearance."""
    image_set = ImageSet()
    image_set.add_features(*network.outputs(to_uint8(images)))
    return image_set


def has_distance(network: FeatureExtractor, count: int) -> bool:
    """Whether so many images have a Fréchet distance by these features; FFD-1 refuses too few instead."""
    return count > network.width or network.name == FFD_1


def distance_to(reference: Reference, images: ImageSet) -> float | None:
    """The Fréchet distance of a set of images to the reference; None where either has too few images for it.

    Raises InputError for fewer than 97 images by FFD-1.
    """
    if reference.statistics is None or not has_distance(reference.network, len(images)):
        return None
    return frechet_distance(images.moments.statistics(), reference.statistics)


def score(reference: Reference, images: ImageSet) -> float:
    """What a strength is chosen by, the smaller the better: the Fréchet distance, or KID where there are few images."""
    distance = distance_to(reference, images)
    return kid(images.features, reference.features)[0] if distance is None else distance


def compare_with_reference(images: ImageSet, reference: Reference) -> dict[str, float | None]:
    """`distance, precision, recall, density, coverage` of a set. Raises InputError for too few images."""
    shared = overlap(reference.features, images.features, real_radii=reference.radii)
    return {"distance": distance_to(reference, images), **prdc(shared)}


def measure_set(name: str, images: ImageSet, reference: Reference) -> dict[str, Any]:
    """The row of a set in the generation table, without `class_preserved`; what needs more images is None."""
    return {"set": name, "n": len(images), **_distances(images, reference), **images.appearance()}


def _distances(images: ImageSet, reference: Reference) -> dict[str, float | None]:
    minimum = ffd.MIN_SAMPLES if reference.network.name == FFD_1 else MIN_COMPARED
    if len(images) < minimum:
        names = (reference.distance_name, "kid", "kid_se", "precision", "recall", "density", "coverage")
        return dict.fromkeys(names)
    compared = compare_with_reference(images, reference)
    kernel, error = kid(images.features, reference.features)
    return {reference.distance_name: compared.pop("distance"), "kid": kernel, "kid_se": error, **compared}
