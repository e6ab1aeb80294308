"""The generation table: raw against denoised pictures, and the floor that real ones set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data import fashion_mnist
from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.errors import UsageError
from gan_denoise.eval import appearance
from gan_denoise.eval.frechet import Moments, Statistics, frechet_distance
from gan_denoise.eval.progress import Track, untracked
from gan_denoise.export.runtime import BATCH, Graph, latents

FLOOR = "real (unseen training images)"
APPEARANCE = {"sharpness": appearance.sharpness, "contrast": appearance.contrast, "noise": appearance.noise}


class PictureSet:
    """Sums up pictures batch by batch: the moments of their features and how they look."""

    def __init__(self, name: str, features: Graph) -> None:
        self.name, self.features = name, features
        self.moments = Moments()
        self._sums = dict.fromkeys(APPEARANCE, 0.0)

    def add(self, images: NDArray[np.uint8]) -> None:
        """Take in pictures (N, H, W) uint8."""
        pixels = fashion_mnist.to_float(images)  # (N, 1, H, W)
        self.moments.add(self.features(pixels)[0])
        for name, measure in APPEARANCE.items():
            self._sums[name] += float(measure(pixels).sum())

    def row(self, reference: Statistics) -> dict[str, Any]:
        """`set, n, frechet, features, sharpness, contrast, noise` against the reference; too few give no `frechet`."""
        return {
            "set": self.name,
            "n": self.moments.count,
            "frechet": self._frechet(reference),
            "features": features_name(self.features),
            **{name: total / self.moments.count if self.moments.count else None for name, total in self._sums.items()},
        }

    def _frechet(self, reference: Statistics) -> float | None:
        if self.moments.count <= len(reference.mean):
            return None
        return frechet_distance(self.moments.statistics(), reference)


def evaluate_generation(
    fused: Graph, features: Graph, data: Dataset, n: int = 10_000, seed: int = 0, track: Track = untracked
) -> Iterator[dict[str, Any]]:
    """Rows for `raw` and `denoised` pictures of latents 0 to n - 1 of `seed`, and for the real floor.

    The Fréchet distance is to all test images. The floor is n training images that the feature network has not
    seen, or all of them if n is larger. Generated pictures are rounded to 8 bits, as real ones are and files
    would be. Memory does not grow with n. Raises UsageError when n is too small for the features' width, InputError
    when the test images are too few.
    """
    wanted = features.output_shapes[0][0] + 1
    if n < wanted:
        raise UsageError(f"-n: {n} found, {wanted} or more wanted for {wanted - 1} features")
    raw, denoised = PictureSet("raw", features), PictureSet("denoised", features)
    for start in track(range(0, n, BATCH)):
        z = latents(seed, start, min(BATCH, n - start), fused.input_shape[0])
        for pictures, images in zip((raw, denoised), fused(z), strict=True):
            pictures.add(fashion_mnist.to_uint8(images))
    real = real_pictures(FLOOR, features, fashion_mnist.fit_and_unseen(data.train)[1].images[:n])
    reference = real_pictures("test", features, data.test.images).moments.statistics()
    for pictures in (raw, denoised, real):
        yield pictures.row(reference)


def real_pictures(name: str, features: Graph, images: NDArray[np.uint8]) -> PictureSet:
    """The set of real pictures (N, H, W) uint8, summed up."""
    pictures = PictureSet(name, features)
    for start in range(0, len(images), BATCH):
        pictures.add(images[start : start + BATCH])
    return pictures


def features_name(features: Graph) -> str:
    """Which features these are: their width and the start of the network's hash."""
    return f"fashion-features-{features.output_shapes[0][0]}@{features.sha256[:8]}"
