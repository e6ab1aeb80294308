"""A feature network as evaluation uses it: from images to features and, if it is a classifier, to classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ImagesU8
from gan_denoise.eval.generation.feature_cache import Arrays, cached_arrays

Features = NDArray[np.float32]
Outputs = tuple[Features, Features | None]


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """A map from images (N, H, W) or (N, 3, H, W) uint8 to features (N, D) float32 and class logits, None without.

    `name` is what the user gives, `label` identifies the features: the network with its width D and its hash.
    """

    name: str
    label: str
    width: int
    outputs: Callable[[ImagesU8], Outputs]

    def extract(self, images: ImagesU8) -> Features:
        """The features of images, (N, D)."""
        return self.outputs(images)[0]

    def of_real(self, images: ImagesU8) -> Outputs:
        """Features and logits of real images, computed once on a machine."""

        def compute() -> Arrays:
            features, logits = self.outputs(images)
            return {"features": features} if logits is None else {"features": features, "logits": logits}

        arrays = cached_arrays(self.label, images, compute)
        return arrays["features"], arrays.get("logits")

    def with_classes(self, classifier: FeatureExtractor) -> FeatureExtractor:
        """The same features, with the classes of another network."""
        if classifier is self or classifier.label == self.label:
            return self

        def outputs(images: ImagesU8) -> Outputs:
            return self.extract(images), classifier.outputs(images)[1]

        return replace(self, label=f"{self.label}, classes {classifier.label}", outputs=outputs)


def to_labels(logits: Features | None) -> ImagesU8 | None:
    """The class of each image, uint8 (N,); None without logits."""
    return None if logits is None else logits.argmax(axis=1).astype(np.uint8)
