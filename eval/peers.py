"""Eager PyTorch as a contender in the benchmark; torch is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from gan_denoise.errors import missing_extra

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float32]
Pipeline = Callable[[Array], tuple[Array, ...]]


def torch_installed() -> bool:
    """Whether torch can be imported; does not import it."""
    return find_spec("torch") is not None


def load_eager(folder: Path, threads: int = 0) -> Pipeline:
    """A function z (N, latent) -> (image, denoised), run by PyTorch with the weights in `folder`.

    `threads` 0 leaves torch its own number. Raises InputError when torch is not installed or there are no weights
    that are whole.
    """
    if not torch_installed():
        raise missing_extra("torch", "train")
    try:
        import torch

        from gan_denoise.export import weights
    except ModuleNotFoundError as error:  # half an extra
        raise missing_extra(error.name or "torch", "train") from error
    if threads:
        torch.set_num_threads(threads)
    return eager_pipeline(weights.load_generator(folder), weights.load_denoiser(folder))


def eager_pipeline(generator: nn.Module, denoiser: nn.Module) -> Pipeline:
    """The two modules one after the other, in evaluation and without gradients, from arrays to arrays."""
    import torch

    generator.eval()
    denoiser.eval()

    @torch.inference_mode()
    def run(z: Array) -> tuple[Array, ...]:
        image = generator(torch.from_numpy(z))
        return cast(Array, image.numpy()), cast(Array, denoiser(image).numpy())

    return run
