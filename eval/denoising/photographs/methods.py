"""The methods for photographs: networks, and classical filters with one set of parameters for every noise level."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import InputError
from gan_denoise.eval.denoising import filters
from gan_denoise.eval.denoising.filters import Filter
from gan_denoise.eval.denoising.methods import Method, not_installed
from gan_denoise.eval.denoising.parallel import Restore
from gan_denoise.export import runtime
from gan_denoise.export.denoise.denoisers import SHIPPED
from gan_denoise.export.denoise.tiling import check_denoiser, denoise_pixels
from gan_denoise.export.graph_size import GraphSize, graph_size
from gan_denoise.export.provider_choice import choose_graph
from gan_denoise.export.runtime import Graph, Signature
from gan_denoise.options import PHOTO, PHOTO_GREY, Provider

SIDE = 64  # pixels a side for which multiply-adds are counted

# Relative to sigma. The best means over sigma 15, 25 and 50 of 255 on six crops of 192x192 of scikit-image's camera,
# chelsea, astronaut, coffee and rocket, of a grid around the values in scikit-image's documentation; BM3D as published.
FILTERS: dict[str, tuple[Filter, dict[str, Any]]] = {
    "median": (filters.median, {"footprint": "diamond of 13", "border": "reflect"}),
    "bilateral": (filters.bilateral, {"range": 3, "width": 2}),
    "total variation": (filters.total_variation, {"weight": 0.8}),
    "wavelet": (filters.wavelet, {"wavelet": "db1", "levels": None, "method": "BayesShrink", "threshold": 1.0}),
    "non-local means": (filters.non_local_means, {"patch": 5, "distance": 6, "h": 0.6, "noise": 1.0}),
    "BM3D": (filters.bm3d, {"block": 8, "strength": 1.0}),
}
BLIND = ("median",)

HINT = "a denoiser maps noisy images (N, C, H, W) in [0, 1] to images of the same shape"


def classical_methods() -> dict[str, Method]:
    """The filters whose packages are installed, for images (1, C, H, W)."""
    missing = not_installed(FILTERS)
    return {name: Method(partial(_filter, name), 1, blind=name in BLIND) for name in FILTERS if name not in missing}


def network_method(model: str | Path, provider: Provider = Provider.cpu) -> Method:
    """A denoiser of images (1, C, H, W) on one thread: a name of SHIPPED, a file, or a folder with denoiser.onnx.

    Any ONNX graph with one float input, the noisy images in [0, 1], and one output of its shape, of 1 or 3 channels and
    of free height and width or of one size; the metadata `multiple` and `receptive_field` are those of `Graph`. A
    graph of 3 channels is given grey images as equal channels, one of 1 channel each channel of a colour image. PHOTO
    stands for two networks, of which grey images get that of PHOTO_GREY; size and hash are those of the one for colour.
    Raises InputError for another graph.
    """
    graph, size = _load(model, provider)
    grey = _load(PHOTO_GREY, graph.provider)[0] if model == PHOTO else graph

    def restore(noisy: ImagesF32) -> ImagesF32:
        return _denoise(grey if noisy.shape[1] == 1 else graph, noisy)

    return Method(lambda noise, sigma: restore, 1, True, size, graph.sha256, provider=graph.provider)


def _load(model: str | Path, provider: Provider) -> tuple[Graph, GraphSize]:
    """The graph of `network_method`, ready to run, and its size for one pixel. Raises InputError."""
    shipped = SHIPPED.get(model) if isinstance(model, str) else None
    signature, path = (shipped, None) if shipped else (runtime.DENOISER, Path(model))
    file = signature.file if path is None else runtime.graph_file(signature, path)
    content = runtime.read_graph(signature, path)
    onnx_model = onnx.load_model_from_string(content)
    make = partial(Graph, content, _find_names(onnx_model, file), str(file), 1)
    graph = choose_graph(provider, make)
    check_denoiser(graph, file, HINT)
    height, width = _counted_size(graph)
    graph(np.zeros((1, graph.input_shape[0], height, width), np.float32))  # the first call allocates: not timed
    return graph, _size_per_pixel(onnx_model, graph)


def _denoise(graph: Graph, noisy: ImagesF32) -> ImagesF32:
    """Denoise (1, C, H, W), clipped, as `denoise` does: in tiles where the image is large."""
    image = noisy[0]
    if len(image) == 1 or graph.input_shape[0] == 3:
        restored = denoise_pixels(graph, image if len(image) == 3 else image[0])
    else:
        restored = np.stack([denoise_pixels(graph, plane) for plane in image])
    return np.asarray(restored, np.float32).reshape(noisy.shape)


def _find_names(model: onnx.ModelProto, file: object) -> Signature:
    """The names of the only input that is no weight and of the only output. Raises InputError if there are others."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry.name for entry in model.graph.input if entry.name not in weights]
    outputs = [entry.name for entry in model.graph.output]
    if len(inputs) != 1 or len(outputs) != 1:
        got = f"{', '.join(inputs) or 'nothing'} -> {', '.join(outputs) or 'nothing'}"
        raise InputError.expected(file, "a graph with one input and one output", got, HINT)
    return Signature("", inputs[0], (outputs[0],), any_size=True)


def _size_per_pixel(model: onnx.ModelProto, graph: Graph) -> GraphSize:
    """Parameters, and multiply-adds for one pixel."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    height, width = _counted_size(graph)
    for entry in sized.graph.input:
        if entry.name == graph.signature.input:
            for side, pixels in zip(entry.type.tensor_type.shape.dim[2:], (height, width), strict=True):
                side.dim_value = pixels
    size = graph_size(sized)
    return GraphSize(size.parameters, size.multiply_adds and round(size.multiply_adds / (height * width)))


def _counted_size(graph: Graph) -> tuple[int, int]:
    """Height and width of an image that the graph takes as it is, about SIDE where it takes any."""
    free = graph.multiple * math.ceil(SIDE / graph.multiple)
    height, width = (side or free for side in graph.input_shape[1:])
    return height, width


def _filter(name: str, noise: str, sigma: float) -> Restore:
    return partial(_restore, name, sigma)


def _restore(name: str, sigma: float, noisy: ImagesF32) -> ImagesF32:
    function, parameters = FILTERS[name]
    image = noisy[0] if noisy.shape[1] == 3 else noisy[0, 0]  # (3, H, W) or (H, W)
    return function(image, sigma, parameters).reshape(noisy.shape)
