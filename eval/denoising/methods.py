"""The ways to denoise that stand in one table: networks, classical filters, and support-vector regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import UsageError
from gan_denoise.eval.denoising import filters, svr
from gan_denoise.eval.denoising.filters import FILTERS, TunedParameters, tuned_for
from gan_denoise.eval.denoising.parallel import Restore
from gan_denoise.eval.inputs import load_fashion_model
from gan_denoise.eval.labels import NOISY
from gan_denoise.export import graph_size, runtime
from gan_denoise.options import BATCH

SUPPORT_VECTORS = "support-vector regression"
CLASSICAL = (*FILTERS, SUPPORT_VECTORS)
NEEDS = {"BM3D": "bm3d", SUPPORT_VECTORS: "sklearn"}  # the module of another package, from the extra `compare`
HINT = 'pip install "gan-denoise[compare]"'

TRAINING_IMAGES = 1000
TRAINING_SEED = 3
IMAGES_PER_TASK = 10  # images that a worker filters in a call


@dataclass(frozen=True, slots=True)
class Method:
    """A way to denoise. `prepare(noise, sigma)` gives the function that restores images in that noise, `batch` a call.

    A blind one is not told the noise. One that is not blind is Python, so that running two at once takes two processes.
    """

    prepare: Callable[[str, float], Restore]
    batch: int
    blind: bool
    size: graph_size.GraphSize | None = None
    sha256: str | None = None


def network(model: Path | None) -> Method:
    """A denoiser.onnx (a file, its folder, or None for the shipped one) on one thread. Raises as `load_for_tables`."""
    graph = load_fashion_model(runtime.DENOISER, model, threads=1)
    graph(np.zeros((BATCH, *graph.input_shape), np.float32))  # the first call allocates

    def restore(noisy: ImagesF32) -> ImagesF32:
        return graph(noisy)[0].clip(0, 1)

    size = graph_size.graph_size_of_file(runtime.graph_file(runtime.DENOISER, model))
    return Method(lambda noise, sigma: restore, BATCH, blind=True, size=size, sha256=graph.sha256)


def classical(tuned: TunedParameters, training: ImagesF32) -> dict[str, Method]:
    """The filters with their tuned parameters and the regression, which learns from training images (N, 1, H, W).

    Without those of `not_installed`. Preparing one raises InputError when it was not tuned for that noise.
    """

    def tuned_filter(method: str, noise: str, sigma: float) -> Restore:
        parameters = tuned_for(tuned, method, noise, sigma)
        return partial(filters.restore, method, sigma=sigma, parameters=parameters)

    def regression(noise: str, sigma: float) -> Restore:
        learned = svr.fit(training, sigma, noise, TRAINING_SEED)
        return partial(svr.restore, learned, sigma=sigma)

    prepares: Mapping[str, Callable[[str, float], Restore]] = {
        **{method: partial(tuned_filter, method) for method in FILTERS},
        SUPPORT_VECTORS: regression,
    }
    missing = not_installed()
    return {
        name: Method(prepare, IMAGES_PER_TASK, blind=False) for name, prepare in prepares.items() if name not in missing
    }


def not_installed() -> dict[str, str]:
    """The methods whose package is missing, and what brings it; imports nothing."""
    return {name: f"{module}: not installed, {HINT}" for name, module in NEEDS.items() if find_spec(module) is None}


def parse_networks(versus: Sequence[str], main: str) -> dict[str, Path]:
    """The paths of networks `NAME=PATH` by name, beside one called `main`.

    Raises UsageError when a name or a path is missing, or a name is that of another row.
    """
    taken = {NOISY, *CLASSICAL}
    if main in taken or not main:
        raise UsageError(f"--name: {main!r} found, a name that no other row has wanted")
    paths: dict[str, Path] = {}
    for item in versus:
        name, _, path = item.partition("=")
        if not name or not path or name in taken | {main} | paths.keys():
            raise UsageError(f"--versus: {item!r} found, NAME=FILE|FOLDER with a name that no other row has wanted")
        paths[name] = Path(path)
    return paths
