"""FFD-1: the Fréchet distance of images to Fashion-MNIST's test images, pinned so that figures compare for good.

A figure is FFD-1 if its features are the shipped feature network's, named by its hash, and its reference the mean and
covariance in `ffd-1.npz`; images are 28x28 grey, 8 bits, not resized. Another network or reference is another metric
with another name. The file also holds eight test images with the features and logits that they must give, so
that a machine that computes something else is found out. `gan-denoise eval ffd-reference` made it.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ImagesU8, to_float
from gan_denoise.errors import GateError, InputError
from gan_denoise.eval.metrics.frechet import Moments, Statistics, frechet_distance
from gan_denoise.export import runtime
from gan_denoise.export.runtime import Graph
from gan_denoise.options import BATCH

NAME = "FFD-1"
FILE = Path(__file__).parent / "ffd-1.npz"
VECTORS = 8  # test images in the file
TOLERANCE = 1e-4  # of features up to 2 and logits up to 8; float32 on another machine differs by 1e-6 or so
MIN_SAMPLES = 97  # images; of fewer the covariance of 96 features is singular


@dataclass(frozen=True, slots=True)
class PinnedMetric:
    """What `ffd-1.npz` holds: the network's hash, the reference, and the test vectors with their tolerance."""

    sha256: str
    reference: Statistics
    images: ImagesU8  # (8, 28, 28)
    features: NDArray[np.float32]  # (8, 96)
    logits: NDArray[np.float32]  # (8, 10)
    tolerance: float


def load_pinned_metric(file: Path = FILE) -> PinnedMetric:
    """The metric as it was pinned. Raises InputError when the file is missing or damaged."""
    try:
        with np.load(file) as held:
            return PinnedMetric(
                sha256=str(held["sha256"]),
                reference=Statistics(held["mean"], held["covariance"], int(held["count"])),
                images=held["images"],
                features=held["features"],
                logits=held["logits"],
                tolerance=float(held["tolerance"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        message = f"{file}: {type(error).__name__} ({error}) found, the reference of {NAME} wanted"
        raise InputError(message, "pip install --force-reinstall gan-denoise") from error


def load_network(path: Path | None = None, threads: int = 0) -> Graph:
    """The feature network of FFD-1, from `path` or the shipped one, once it has shown that it computes what it should.

    Raises InputError when it is another network, GateError when its test vectors come out otherwise on this machine.
    """
    network = runtime.load_graph(runtime.FEATURES, path, threads)
    metric = load_pinned_metric()
    if network.sha256 != metric.sha256:
        found = f"a feature network with SHA-256 {network.sha256} found, {metric.sha256} wanted"
        raise InputError(f"{NAME}: {found}", "measure with the shipped features.onnx")
    verify_test_vectors(network, metric)
    return network


def verify_test_vectors(network: Graph, metric: PinnedMetric) -> float:
    """The worst absolute difference from the test vectors. Raises GateError when it is above their tolerance."""
    outputs = network(to_float(metric.images))
    wanted = (metric.features, metric.logits)
    worst = float(np.max([np.abs(found - known).max() for found, known in zip(outputs, wanted, strict=True)]))
    if not worst <= metric.tolerance:  # NaN fails too
        message = f"{NAME}: test vectors {worst:.3g} off found, {metric.tolerance:g} or less wanted"
        raise GateError(message, "this onnxruntime computes something else; try another version")
    return worst


def distance(images: ImagesU8, network: Graph) -> float:
    """FFD-1 of images (N, 28, 28) uint8, 0 or more: 0.005 for 10,000 real ones. It falls with N, so state N with it.

    Raises InputError when N is below 97 or the images have another shape or type.
    """
    if len(images) < MIN_SAMPLES:
        raise InputError(f"{NAME}: {len(images)} images found, {MIN_SAMPLES} or more wanted", "generate more")
    moments = Moments()
    for start in range(0, len(images), BATCH):
        moments.add(network(to_float(images[start : start + BATCH]))[0])
    return frechet_distance(moments.statistics(), load_pinned_metric().reference)


def reference_file(test_images: ImagesU8, network: Graph) -> bytes:
    """The bytes of an `ffd-1.npz` from all test images (10,000, 28, 28) uint8 and the network."""
    features, logits = network.batched(to_float(test_images))
    moments = Moments()
    moments.add(features)
    statistics = moments.statistics()
    content = io.BytesIO()
    np.savez_compressed(
        content,
        name=NAME,
        sha256=network.sha256,
        mean=statistics.mean,
        covariance=statistics.covariance,
        count=statistics.count,
        images=test_images[:VECTORS],
        features=features[:VECTORS],
        logits=logits[:VECTORS],
        tolerance=TOLERANCE,
    )
    return content.getvalue()
