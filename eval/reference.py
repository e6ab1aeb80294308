"""Pictures against real ones of any choice: Fréchet distance, precision and recall by the network of FFD-1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.fashion_mnist import Bytes, Floats, to_float, to_uint8
from gan_denoise.eval.cache import real_features
from gan_denoise.eval.frechet import Statistics, frechet_distance, statistics
from gan_denoise.eval.prdc import Values, overlap, prdc, squared_radii
from gan_denoise.export.runtime import Graph


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures as the feature network sees them."""

    features: NDArray[np.float32]  # (N, D)
    labels: Bytes  # (N,)


@dataclass(frozen=True, slots=True)
class Reference:
    """Real pictures that others are held against."""

    images: Bytes  # (N, 28, 28)
    statistics: Statistics
    features: NDArray[np.float32]  # (N, D)
    radii: Values  # (N,) of the features, squared


def see(images: Floats, network: Graph) -> Seen:
    """What the feature network makes of images (N, 1, 28, 28) in [0, 1], rounded to 8 bits as files hold them."""
    features, logits = network.batched(to_float(to_uint8(images)))
    return Seen(features, logits.argmax(axis=1).astype(np.uint8))


def reference_of(images: Bytes, network: Graph, fitted: Statistics | None = None) -> Reference:
    """Real pictures (N, 28, 28) uint8, N of 97 or more, as a reference; `fitted` is their Gaussian if it is known."""
    features, _ = real_features(images, network)
    return Reference(images, fitted or statistics(features), features, squared_radii(features))


def against(seen: Seen | None, reference: Reference) -> dict[str, float | None]:
    """`distance, precision, recall` of pictures, 97 or more; None where there are no pictures."""
    if seen is None:
        return dict.fromkeys(("distance", "precision", "recall"))
    shares = prdc(overlap(reference.features, seen.features, real_radii=reference.radii))
    distance = frechet_distance(statistics(seen.features), reference.statistics)
    return {"distance": distance, "precision": shares["precision"], "recall": shares["recall"]}
