"""The public Python API: load a model, generate and denoise images, compute metrics. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ArrayF32, ImagesF32, ImagesU8, from_pil, to_pil, to_uint8
from gan_denoise.errors import InputError
from gan_denoise.export import runtime
from gan_denoise.export.denoise import tiling
from gan_denoise.export.generate import generate_batches, parse_label
from gan_denoise.options import MAX_SEED

if TYPE_CHECKING:
    from PIL import Image

Pixels = TypeVar("Pixels", NDArray[Any], "Image.Image")
NOISE_LIMITS = -4.0, 5.0  # floats outside were not scaled to [0, 1]; noise of sigma 0.6 stays inside


class GeneratedImages(NamedTuple):
    """Generated images and the same images denoised, each float32 (N, C, H, W) in [0, 1]."""

    image: ImagesF32
    denoised: ImagesF32


class Model:
    """A generator and a denoiser as ONNX graphs; `load_model` makes it. A graph is read when it is first used."""

    def __init__(self, path: Path | None, threads: int) -> None:
        self._path, self._threads = path, threads
        self._graphs: dict[str, runtime.Graph] = {}  # by file, those that were used

    def generate(self, n: int = 64, *, seed: int = 0, label: str | int | None = None) -> GeneratedImages:
        """Generate `n` images: `(image, denoised)`, each float32 (n, C, H, W) in [0, 1].

        Image i depends on `seed` and i alone, so a larger `n` appends images. `label` selects one class by its number
        or by the start of its name. Raises InputError if the model has no fused graph or no classes, and UsageError
        for an unknown label.
        """
        if n < 1:
            raise InputError.expected("n", "1 or more", n)
        if not 0 <= seed <= MAX_SEED:
            raise InputError.expected("seed", f"0 to {MAX_SEED}", seed)
        class_number = None if label is None else parse_label(self._fused, str(label))
        raw, denoised = zip(*generate_batches(self._fused, seed, n, label=class_number), strict=True)
        return GeneratedImages(np.concatenate(raw), np.concatenate(denoised))

    def denoise(self, images: Pixels) -> Pixels:
        """Remove noise from images: the same kind, shape and dtype as given, floats in [0, 1].

        Takes a Pillow image (`L` or `RGB`), or an array (H, W), (H, W, C) or (N, C, H, W) of uint8 or of floats whose
        clean image is in [0, 1]; their noise may exceed this range. The noise level need not be known. Images larger
        than the model's, 28x28 for the shipped one, are denoised in overlapping tiles. Raises InputError for smaller
        images and for another shape, number of channels, dtype or range.
        """
        if not isinstance(images, np.ndarray):
            if images.mode not in ("L", "RGB"):
                raise InputError.expected("image", "mode L or RGB", images.mode, 'convert it: image.convert("L")')
            pixels = from_pil(images)  # (H, W) or (3, H, W)
            restored = self.denoise(pixels[None] if pixels.ndim == 3 else pixels)
            return to_pil(restored[0] if pixels.ndim == 3 else restored)
        batch = _to_batch(images, self._denoiser.input_shape)
        if batch.shape[1:] == self._denoiser.input_shape:
            (restored,) = self._denoiser.batched(batch)
        else:
            restored = np.concatenate([tiling.denoise_tiled(self._denoiser, image[None]) for image in batch])
        return _from_batch(restored.clip(0, 1), images)

    @property
    def _fused(self) -> runtime.Graph:
        return self._graph(runtime.FUSED)

    @property
    def _denoiser(self) -> runtime.Graph:
        return self._graph(runtime.DENOISER)

    def _graph(self, signature: runtime.Signature) -> runtime.Graph:
        with runtime.creation_lock():  # threads that call a model at once load its graph once
            if signature.file not in self._graphs:
                self._graphs[signature.file] = runtime.load_graph(signature, self._path, self._threads)
            return self._graphs[signature.file]


def load_model(path: str | Path | None = None, *, threads: int = 0) -> Model:
    """Load the shipped model, or the one in `path`: a folder that `gan-denoise export` wrote, or one ONNX file.

    `threads` 0 uses every available core. Raises InputError if `path` does not exist. A file that is no such graph
    raises InputError when it is first used.
    """
    if path is not None and not Path(path).exists():
        raise InputError(f"{path}: not found", "gan-denoise export RUN --out FOLDER writes a model")
    return Model(None if path is None else Path(path), threads)


_shipped = load_model()


def generate(n: int = 64, *, seed: int = 0, label: str | int | None = None) -> GeneratedImages:
    """Generate images with the shipped model; see `Model.generate`."""
    return _shipped.generate(n, seed=seed, label=label)


def denoise(images: Pixels) -> Pixels:
    """Remove noise from images with the shipped model; see `Model.denoise`."""
    return _shipped.denoise(images)


def ffd(images: NDArray[Any]) -> float:
    """FFD-1 of grey 28x28 images: their Fréchet distance to Fashion-MNIST's test images, 0 or more, lower is better.

    Takes uint8 (N, 28, 28) or float32 (N, 1, 28, 28) in [0, 1], at least 97 images. It falls as N grows, so publish N
    with it; 10,000 real images give 0.005. Raises InputError for other images and GateError if this onnxruntime gives
    different feature values.
    """
    from gan_denoise.eval.metrics import ffd as metric

    return metric.distance(_as_uint8(images), metric.load_network())


def extract_features(images: NDArray[Any]) -> ArrayF32:
    """Features float32 (N, 96) of images, from the feature network of FFD-1. Takes and raises what `ffd` does."""
    from gan_denoise.data.images import to_float
    from gan_denoise.eval.metrics import ffd as metric

    return metric.load_network().batched(to_float(_as_uint8(images)))[0]


def frechet_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Fréchet distance of two sets of features (N, D) and (M, D), each fitted by a Gaussian (arXiv:1706.08500).

    0 or more, in squared units of the features. Raises InputError if a set has fewer than D + 1 features, if the
    widths differ or if a value is not finite.
    """
    from gan_denoise.eval.metrics import frechet as metric

    return metric.frechet_distance(metric.statistics(a), metric.statistics(b))


def prdc(real: NDArray[np.floating], generated: NDArray[np.floating], *, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage of generated features (M, D) against real ones (N, D).

    Precision, recall and coverage are from 0 to 1; density is 0 or more, about 1 for equal distributions. `k` is the
    neighbour whose distance is a ball's radius. Raises InputError if a set has k features or fewer, if the widths
    differ or if a value is not finite. Sources: arXiv:1904.06991, arXiv:2002.09797.
    """
    from gan_denoise.eval.metrics import prdc as metric

    return metric.prdc(metric.overlap(real, generated, k), k)


def _to_batch(images: NDArray[Any], shape: tuple[int, ...]) -> ImagesF32:
    """The images as float32 (N, C, H, W). Raises InputError unless a model of `shape` (C, H, W) can denoise them."""
    channels, height, width = shape
    batch = images[None, None] if images.ndim == 2 else images
    batch = batch.transpose(2, 0, 1)[None] if images.ndim == 3 else batch
    if batch.ndim != 4 or batch.shape[1] != channels or batch.shape[2] < height or batch.shape[3] < width:
        expected = f"(H, W), (H, W, C) or (N, C, H, W) with C = {channels}, H >= {height} and W >= {width}"
        raise InputError.expected("images", expected, images.shape)
    if not len(batch):
        raise InputError.expected("images", "one or more", images.shape)
    if images.dtype == np.uint8:
        return batch.astype(np.float32) / np.float32(255)
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError.expected("images", "uint8, or floats in [0, 1]", images.dtype)
    low, high = images.min(), images.max()
    if not (low >= NOISE_LIMITS[0] and high <= NOISE_LIMITS[1]):  # NaN fails too
        raise InputError.expected("images", "floats in [0, 1], apart from noise", f"{low:g} to {high:g}")
    return batch.astype(np.float32)


def _from_batch(batch: ImagesF32, like: NDArray[Any]) -> NDArray[Any]:
    """A batch (N, C, H, W) in the shape and dtype of the array that it was made from."""
    images = batch[0, 0] if like.ndim == 2 else batch[0].transpose(1, 2, 0) if like.ndim == 3 else batch
    return np.rint(images * 255).astype(np.uint8) if like.dtype == np.uint8 else images.astype(like.dtype)


def _as_uint8(images: NDArray[Any]) -> ImagesU8:
    return images if images.dtype == np.uint8 else to_uint8(images)
