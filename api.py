"""The public Python API: load a model, generate and denoise images, compute metrics. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ArrayF32, ImagesF32, ImagesU8, to_uint8
from gan_denoise.errors import InputError
from gan_denoise.export import runtime
from gan_denoise.export.denoise import arrays
from gan_denoise.export.denoise.denoisers import SHIPPED, Denoisers
from gan_denoise.export.generate import generate_batches, parse_label
from gan_denoise.options import MAX_SEED, MAX_STRENGTH

if TYPE_CHECKING:
    from PIL import Image

Pixels = TypeVar("Pixels", NDArray[Any], "Image.Image")


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

    def denoise(self, images: Pixels, *, strength: float = 1) -> Pixels:
        """Remove noise from images: the same kind, shape and dtype as given, floats in [0, 1].

        Takes a Pillow image (`L`, `LA`, `RGB`, `RGBA` or `I;16`), or an array (H, W), (H, W, C) with C = 1, 3 or 4, or
        (N, C, H, W) with N of 1 or more and C = 1 or 3, of uint8, uint16 or of floats whose clean image is in [0, 1];
        their noise may exceed this range. A fourth channel is alpha and stays as it is. The noise level need not be
        known. `strength` 0 to 1.5 blends input and result; above 1 it extrapolates. Images larger than the model's,
        28x28 for the shipped one, are denoised in overlapping tiles. The result is clipped to the range of its dtype,
        integers are rounded. Raises InputError for smaller images, for colours if the model is for grey images, and for
        another shape, dtype, range or strength.
        """
        return _denoise(lambda _: self._denoiser, images, strength)

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
_denoisers: dict[str | None, tuple[object, Denoisers]] = {}  # by `model` of `denoise`; its file's state with it


def generate(n: int = 64, *, seed: int = 0, label: str | int | None = None) -> GeneratedImages:
    """Generate images with the shipped model; see `Model.generate`."""
    return _shipped.generate(n, seed=seed, label=label)


def denoise(images: Pixels, model: str | None = None, *, strength: float = 1) -> Pixels:
    """Remove noise from photographs, grey or in colour, of any size; takes and returns what `Model.denoise` does.

    `model` is `photo`, which is a network for colour and one for grey images, `fashion` (grey images), a file or an
    exported folder, which is read again when it has changed. None is `photo`, except for a grey image of 28x28:
    `fashion`. Raises InputError as `Model.denoise` does, and if there is no such model.
    """
    with runtime.creation_lock():
        state = None if model is None or model in SHIPPED else _file_state(Path(model))
        known, denoisers = _denoisers.get(model, (state, None))
        if denoisers is None or known != state:
            denoisers = Denoisers(model)
            _denoisers[model] = state, denoisers
    return _denoise(denoisers.choose, images, strength)


def _file_state(model: Path) -> tuple[int, int] | None:
    """Time of change and size of the file of a denoiser; None if there is none."""
    if not model.exists():
        return None
    state = runtime.graph_file(runtime.DENOISER, model).stat()
    return state.st_mtime_ns, state.st_size


def _denoise(choose: arrays.Choose, images: Pixels, strength: float) -> Pixels:
    if not 0 <= strength <= MAX_STRENGTH:  # NaN too
        raise InputError.expected("strength", f"0 to {MAX_STRENGTH}", strength)
    if isinstance(images, np.ndarray):
        return arrays.denoise_array(choose, images, strength)
    if not hasattr(images, "mode"):
        raise InputError.expected("images", "a numpy array or a Pillow image", type(images).__name__)
    return arrays.denoise_image(choose, images, strength)


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


def _as_uint8(images: NDArray[Any]) -> ImagesU8:
    return images if images.dtype == np.uint8 else to_uint8(images)
