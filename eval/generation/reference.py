"""Images against real ones of any choice: Fréchet distance, precision and recall by the network of FFD-1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.dataset import Dataset, split_classifier_fit
from gan_denoise.data.images import ImagesF32, ImagesU8, Vector, to_float, to_uint8
from gan_denoise.eval.generation.feature_cache import real_features
from gan_denoise.eval.labels import REAL_BASELINE
from gan_denoise.eval.metrics import ffd, no_reference
from gan_denoise.eval.metrics.frechet import Moments, Statistics, frechet_distance, statistics
from gan_denoise.eval.metrics.kid import kid
from gan_denoise.eval.metrics.prdc import overlap, prdc, squared_radii
from gan_denoise.export.runtime import Graph
from gan_denoise.options import BATCH

MAX_FEATURES = 10_000  # images of a set whose features are kept
APPEARANCE = {"sharpness": no_reference.sharpness, "contrast": no_reference.contrast, "noise": no_reference.noise}

SetBatches = Iterable[Mapping[str, ImagesU8]]


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Images as the feature network sees them."""

    features: NDArray[np.float32]  # (N, D)
    labels: ImagesU8  # (N,)


@dataclass(frozen=True, slots=True)
class Reference:
    """Real images that others are held against."""

    images: ImagesU8  # (N, 28, 28)
    statistics: Statistics
    features: NDArray[np.float32]  # (N, D)
    radii: Vector  # (N,) of the features, squared


def extract_features(images: ImagesF32, network: Graph) -> ImageFeatures:
    """What the feature network makes of images (N, 1, 28, 28) in [0, 1], rounded to 8 bits as files hold them."""
    features, logits = network.batched(to_float(to_uint8(images)))
    return ImageFeatures(features, logits.argmax(axis=1).astype(np.uint8))


def make_reference(images: ImagesU8, network: Graph, fitted: Statistics | None = None) -> Reference:
    """Real images (N, 28, 28) uint8, N of 97 or more, as a reference; `fitted` is their Gaussian if it is known."""
    features, _ = real_features(images, network)
    return Reference(images, fitted or statistics(features), features, squared_radii(features))


def compare_with_reference(seen: ImageFeatures | None, reference: Reference) -> dict[str, float | None]:
    """`distance, precision, recall` of images, 97 or more; None where there are no images."""
    if seen is None:
        return dict.fromkeys(("distance", "precision", "recall"))
    shares = prdc(overlap(reference.features, seen.features, real_radii=reference.radii))
    distance = frechet_distance(statistics(seen.features), reference.statistics)
    return {"distance": distance, "precision": shares["precision"], "recall": shares["recall"]}


class ImageSet:
    """Sums up images batch by batch: how they look, the moments of their features, their labels.

    It keeps the features of the first 10,000 and a byte an image.
    """

    def __init__(self) -> None:
        self.moments = Moments()
        self._sums = dict.fromkeys(APPEARANCE, 0.0)
        self._features: list[NDArray[np.float32]] = []
        self._labels: list[ImagesU8] = []

    def add(self, images: ImagesU8, network: Graph) -> None:
        """Take in images (N, H, W) uint8."""
        self.add_seen(images, *network(to_float(images)))

    def add_seen(self, images: ImagesU8, features: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
        """Take in images (N, H, W) uint8 with what the network makes of them, (N, D) and (N, classes)."""
        pixels = to_float(images)  # (N, 1, H, W)
        self._features.append(features[: max(0, MAX_FEATURES - self.moments.count)])
        self._labels.append(logits.argmax(axis=1).astype(np.uint8))
        self.moments.add(features)
        for name, measure in APPEARANCE.items():
            self._sums[name] += float(measure(pixels).sum())

    @property
    def features(self) -> NDArray[np.float32]:
        """The features of the first 10,000 images, (N, D)."""
        return np.concatenate(self._features)

    @property
    def labels(self) -> ImagesU8:
        """The class that the feature network sees in each image, (N,)."""
        return np.concatenate(self._labels)

    def appearance(self) -> dict[str, float | None]:
        """`sharpness, contrast, noise`: the means over all images."""
        count = self.moments.count
        return {name: total / count if count else None for name, total in self._sums.items()}


@dataclass(frozen=True, slots=True)
class RealImages:
    """What images are held against: the test images, and training images that the feature network has not seen."""

    network: Graph
    test: ImageSet
    radii: Vector  # (N,) of the test images' features, squared
    unseen: ImageSet
    floor: dict[str, Any]  # the row of `unseen`


def measure_real(data: Dataset, network: Graph, n: int = MAX_FEATURES) -> RealImages:
    """The test images and n unseen training images (all 10,000 if n is larger), measured by the network of FFD-1.

    It takes as long as measuring 20,000 images, so make it once for several tables of the same n. The features stay
    in the cache.
    """
    test = _measured(data.test.images, network)
    radii = squared_radii(test.features)
    unseen = _measured(split_classifier_fit(data.train)[1].images[:n], network)
    return RealImages(
        network, test, radii, unseen, {**measure_set(REAL_BASELINE, unseen, test, radii), "class_preserved": None}
    )


def collect(batches: SetBatches, network: Graph) -> dict[str, ImageSet]:
    """The sets of images by name, from batches that each hold images (N, 28, 28) uint8 of one or more sets."""
    sets: dict[str, ImageSet] = {}
    for batch in batches:
        for name, images in batch.items():
            sets.setdefault(name, ImageSet()).add(images, network)
    return sets


def features_name(features: Graph) -> str:
    """Which features these are: their width and the start of the network's hash."""
    return f"fashion-features-{features.output_shapes[0][0]}@{features.sha256[:8]}"


def _measured(images: ImagesU8, network: Graph) -> ImageSet:
    image_set, seen = ImageSet(), real_features(images, network)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        image_set.add_seen(images[rows], *(values[rows] for values in seen))
    return image_set


def measure_set(name: str, images: ImageSet, test: ImageSet, radii: Vector) -> dict[str, Any]:
    distances = _distances(images, test, radii)
    return {"set": name, "n": images.moments.count, **distances, **images.appearance()}


def _distances(images: ImageSet, test: ImageSet, radii: Vector) -> dict[str, float | None]:
    if images.moments.count < ffd.MIN_SAMPLES:
        return dict.fromkeys(("ffd_1", "kid", "kid_se", "precision", "recall", "density", "coverage"))
    distance = frechet_distance(images.moments.statistics(), ffd.load_pinned_metric().reference)
    kernel, error = kid(images.features, test.features)
    found = overlap(test.features, images.features, real_radii=radii)
    return {"ffd_1": distance, "kid": kernel, "kid_se": error, **prdc(found)}
