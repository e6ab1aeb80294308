"""The methods of the denoising table: networks, classical filters, and support-vector regression."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import UsageError
from gan_denoise.eval.denoising import filters, svr
from gan_denoise.eval.denoising.filters import FILTERS, TunedParameters, tuned_for
from gan_denoise.eval.denoising.parallel import Restore
from gan_denoise.eval.inputs import load_model
from gan_denoise.eval.labels import NOISY, SUPPORT_VECTORS
from gan_denoise.export import graph_size, runtime
from gan_denoise.export.training_data import TrainingData, from_metadata
from gan_denoise.options import BATCH, Provider

CLASSICAL = (*FILTERS, SUPPORT_VECTORS)
NEEDS = {"BM3D": "bm3d", SUPPORT_VECTORS: "sklearn"}  # modules of the extra `compare`
HINT = 'pip install "gan-denoise[compare]"'

TRAINING_IMAGES = 1000
TRAINING_SEED = 3
IMAGES_PER_TASK = 10  # images of one call in a worker


@dataclass(frozen=True, slots=True)
class Method:
    """A denoising method. `prepare(noise, sigma)` returns the function that denoises images, `batch` of them in a call.

    A blind method does not use sigma. The others run Python code, so that two at once take two processes.
    """

    prepare: Callable[[str, float], Restore]
    batch: int
    blind: bool
    size: graph_size.GraphSize | None = None
    sha256: str | None = None
    trained_on: tuple[TrainingData, ...] = ()
    provider: Provider = Provider.cpu

    @property
    def is_timed(self) -> bool:
        """Whether the thread that calls it does all the work, so that its CPU time is the method's."""
        return self.provider is Provider.cpu


def network(
    model: Path | None, dataset: Dataset, other_data: bool = False, provider: Provider = Provider.cpu
) -> Method:
    """A denoiser.onnx (a file, its folder, or None for the shipped one) on one thread, for images of `dataset`.

    Raises as `load_model`.
    """
    graph = load_model(runtime.DENOISER, model, 1, dataset, other_data, provider)
    graph(np.zeros((BATCH, *graph.input_shape), np.float32))  # the first call allocates memory: not timed

    def restore(noisy: ImagesF32) -> ImagesF32:
        return graph(noisy)[0].clip(0, 1)

    size = graph_size.graph_size_of_file(runtime.graph_file(runtime.DENOISER, model))
    trained_on = tuple(from_metadata(graph.metadata))
    return Method(lambda noise, sigma: restore, BATCH, True, size, graph.sha256, trained_on, graph.provider)


def classical(tuned: TunedParameters, training: ImagesF32) -> dict[str, Method]:
    """The filters with their tuned parameters and the regression, which is fitted on training images (N, C, H, W).

    Methods of `not_installed` are left out. `prepare` raises InputError for a noise that was not tuned.
    """

    def tuned_filter(method: str, noise: str, sigma: float) -> Restore:
        parameters = tuned_for(tuned, method, noise, sigma)
        return partial(filters.restore, method, sigma=sigma, parameters=parameters)

    def regression(noise: str, sigma: float) -> Restore:
        fitted = svr.fit(training, sigma, noise, TRAINING_SEED)
        return partial(svr.restore, fitted, sigma=sigma)

    prepares: Mapping[str, Callable[[str, float], Restore]] = {
        **{method: partial(tuned_filter, method) for method in FILTERS},
        SUPPORT_VECTORS: regression,
    }
    missing = not_installed()
    return {
        name: Method(prepare, IMAGES_PER_TASK, blind=False) for name, prepare in prepares.items() if name not in missing
    }


def not_installed(methods: Collection[str] = CLASSICAL) -> dict[str, str]:
    """Those of `methods` whose package is missing, with the reason and the command that installs it.

    Imports nothing.
    """
    needs = {name: module for name, module in NEEDS.items() if name in methods}
    return {name: f"{module}: not installed, {HINT}" for name, module in needs.items() if find_spec(module) is None}


def parse_networks(versus: Sequence[str], main: str, methods: Collection[str] = CLASSICAL) -> dict[str, Path]:
    """The paths of networks `NAME=PATH` by name; `main` is the name of the measured network, `methods` are others.

    Raises UsageError when a name or a path is missing, or two rows would have the same name.
    """
    taken = {NOISY, *methods}
    if main in taken or not main:
        raise UsageError.expected("--name", "a name that no other row has", repr(main))
    paths: dict[str, Path] = {}
    for item in versus:
        name, _, path = item.partition("=")
        if not name or not path or name in taken | {main} | paths.keys():
            raise UsageError.expected("--versus", "NAME=FILE|FOLDER with a name that no other row has", repr(item))
        paths[name] = Path(path)
    return paths
