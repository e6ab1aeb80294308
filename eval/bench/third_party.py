"""Third-party runtimes as alternatives to onnxruntime; each package is imported on first use."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import missing_extra

if TYPE_CHECKING:
    from torch import nn

Pipeline = Callable[[ArrayF32], tuple[ArrayF32, ...]]


def torch_installed() -> bool:
    """Whether torch can be imported; does not import it."""
    return find_spec("torch") is not None


def openvino_installed() -> bool:
    """Whether OpenVINO can be imported; does not import it."""
    return find_spec("openvino") is not None


def compiler_installed() -> bool:
    """Whether there is a C++ compiler under the name that torch.compile uses."""
    return shutil.which("g++") is not None or sys.platform == "win32"


def load_eager(folder: Path, threads: int = 0) -> Pipeline:
    """A function z (N, latent) -> (image, denoised) that runs PyTorch with the weights in `folder`.

    `threads` 0 keeps torch's default. Raises InputError when torch is not installed, or weights are missing or damaged.
    """
    return eager_pipeline(*_networks(folder, threads))


def load_compiled(folder: Path, threads: int = 0) -> Pipeline:
    """As `load_eager`, with both networks compiled into one function with frozen weights for each batch size.

    The first call of a batch size takes a minute. Raises as `load_eager`.
    """
    return compiled_pipeline(*_networks(folder, threads))


def eager_pipeline(generator: nn.Module, denoiser: nn.Module) -> Pipeline:
    """Run the two modules in sequence on arrays, in evaluation mode and without gradients."""
    return _as_numpy_function(_in_sequence(generator, denoiser))


def compiled_pipeline(generator: nn.Module, denoiser: nn.Module) -> Pipeline:
    """As `eager_pipeline`, through torch.compile with inductor's freezing."""
    import torch

    return _as_numpy_function(
        torch.compile(_in_sequence(generator, denoiser), dynamic=False, options={"freezing": True})
    )


def load_openvino(file: Path, threads: int, throughput: bool, precision: str = "f32") -> Pipeline:
    """A function z (N, latent) -> (image, denoised) that runs the fused graph in `file` with OpenVINO.

    It computes in float32 as all backends do, unless `precision` is empty: then in OpenVINO's own choice, bfloat16
    where the processor supports it, which changes pixels by up to 0.03. With `throughput` the batch is split into
    OpenVINO's optimal number of parallel requests.
    Raises InputError when OpenVINO is not installed.
    """
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise missing_extra("openvino", "bench") from error
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT" if throughput else "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        **({"INFERENCE_PRECISION_HINT": precision} if precision else {}),
    }
    compiled = openvino.Core().compile_model(str(file), "CPU", hints)
    if not throughput:
        return _one_request(compiled.create_infer_request())
    return _many_requests(openvino.AsyncInferQueue(compiled))


def _one_request(request: Any) -> Pipeline:
    def run(z: ArrayF32) -> tuple[ArrayF32, ...]:
        request.infer({0: z})
        return _outputs(request)

    return run


def _many_requests(queue: Any) -> Pipeline:
    done: dict[int, tuple[ArrayF32, ...]] = {}
    queue.set_callback(lambda request, i: done.__setitem__(i, _outputs(request)))

    def run(z: ArrayF32) -> tuple[ArrayF32, ...]:
        done.clear()
        for i, part in enumerate(np.array_split(z, min(len(queue), len(z)))):
            queue.start_async({0: part}, i)
        queue.wait_all()
        return tuple(np.concatenate(parts) for parts in zip(*(done[i] for i in sorted(done)), strict=True))

    return run


def _outputs(request: Any) -> tuple[ArrayF32, ...]:
    """Copies, because the next call writes into the same memory."""
    return tuple(np.array(request.get_output_tensor(i).data) for i in range(2))


def _networks(folder: Path, threads: int) -> tuple[nn.Module, nn.Module]:
    if not torch_installed():
        raise missing_extra("torch", "train")
    try:
        import torch

        from gan_denoise.export.convert import weights
    except ModuleNotFoundError as error:  # a part of the extra is missing
        raise missing_extra(error.name or "torch", "train") from error
    if threads:
        torch.set_num_threads(threads)
    return weights.load_generator(folder), weights.load_denoiser(folder)


def _in_sequence(generator: nn.Module, denoiser: nn.Module) -> Callable[[Any], tuple[Any, Any]]:
    generator.eval()
    denoiser.eval()

    def both(z: Any) -> tuple[Any, Any]:
        image = generator(z)
        return image, denoiser(image)

    return both


def _as_numpy_function(both: Callable[[Any], tuple[Any, Any]]) -> Pipeline:
    import torch

    @torch.inference_mode()
    def run(z: ArrayF32) -> tuple[ArrayF32, ...]:
        return cast(tuple[ArrayF32, ...], tuple(output.numpy() for output in both(torch.from_numpy(z))))

    return run
