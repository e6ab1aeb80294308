"""FFD-1: the Fréchet distance of images to Fashion-MNIST's test images, pinned so that values stay comparable.

A value is FFD-1 if its features are those of the shipped feature network, identified by its hash, and its reference
is the mean and covariance in `ffd-1.npz`; images are 28x28 grey, 8 bits, not resized. Another network or reference
needs another name. The file also holds eight test images with their features and logits, which detect a machine that
computes different values. `gan-denoise eval ffd-reference` writes the file.
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
MIN_SAMPLES = 97  # images; with fewer the covariance of 96 features is singular


@dataclass(frozen=True, slots=True)
class PinnedMetric:
    """The content of `ffd-1.npz`: the network's hash, the reference, and the test vectors with their tolerance."""

    sha256: str
    reference: Statistics
    images: ImagesU8  # (8, 28, 28)
    features: NDArray[np.float32]  # (8, 96)
    logits: NDArray[np.float32]  # (8, 10)
    tolerance: float


def load_pinned_metric(file: Path = FILE) -> PinnedMetric:
    """Read the pinned metric. Raises InputError when the file is missing or damaged."""
    try:
        with np.load(file) as arrays:
            return PinnedMetric(
                sha256=str(arrays["sha256"]),
                reference=Statistics(arrays["mean"], arrays["covariance"], int(arrays["count"])),
                images=arrays["images"],
                features=arrays["features"],
                logits=arrays["logits"],
                tolerance=float(arrays["tolerance"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        got, hint = f"{type(error).__name__} ({error})", "pip install --force-reinstall gan-denoise"
        raise InputError.expected(file, f"the reference of {NAME}", got, hint) from error


def load_network(path: Path | None = None, threads: int = 0) -> Graph:
    """Load the feature network of FFD-1 from `path`, or the shipped one, and verify its test vectors.

    Raises InputError for another network, GateError when the test vectors differ on this machine.
    """
    network = runtime.load_graph(runtime.FEATURES, path, threads)
    metric = load_pinned_metric()
    if network.sha256 != metric.sha256:
        hint = "measure with the shipped features.onnx"
        raise InputError.expected(NAME, f"a feature network with SHA-256 {metric.sha256}", network.sha256, hint)
    verify_test_vectors(network, metric)
    return network


def verify_test_vectors(network: Graph, metric: PinnedMetric) -> float:
    """The largest absolute difference from the test vectors. Raises GateError when it is above their tolerance."""
    outputs = network(to_float(metric.images))
    pairs = zip(outputs, (metric.features, metric.logits), strict=True)
    difference = float(np.max([np.abs(output - vector).max() for output, vector in pairs]))
    if not difference <= metric.tolerance:  # NaN fails too
        expected, hint = f"test vectors within {metric.tolerance:g}", "try another version of onnxruntime"
        got = f"{difference:.3g}: this onnxruntime gives different feature values"
        raise GateError.expected(NAME, expected, got, hint)
    return difference


def distance(images: ImagesU8, network: Graph) -> float:
    """FFD-1 of images (N, 28, 28) uint8, 0 or more: 0.005 for 10,000 real images. It decreases with N: state N with it.

    Raises InputError when N is below 97 or the images have another shape or type.
    """
    if len(images) < MIN_SAMPLES:
        raise InputError.expected(NAME, f"{MIN_SAMPLES} or more images", len(images), "generate more images")
    moments = Moments()
    for start in range(0, len(images), BATCH):
        moments.add(network(to_float(images[start : start + BATCH]))[0])
    return frechet_distance(moments.statistics(), load_pinned_metric().reference)


def reference_file(test_images: ImagesU8, network: Graph) -> bytes:
    """The bytes of `ffd-1.npz`, from all test images (10,000, 28, 28) uint8 and the feature network."""
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
