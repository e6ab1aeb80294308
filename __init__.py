"""gan-denoise: train a GAN and a denoiser, export both as one ONNX graph, and measure what the denoiser does.

The names in `__all__` are the public API (docs/api.md). Each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_denoise.api import (
        GeneratedImages,
        Model,
        denoise,
        extract_features,
        ffd,
        frechet_distance,
        generate,
        load_model,
        prdc,
    )
    from gan_denoise.errors import GanDenoiseError, GateError, InputError, UsageError
    from gan_denoise.eval.metrics.kid import kid
    from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim

__version__ = "0.1.0"
__all__ = [
    "GanDenoiseError",
    "GateError",
    "GeneratedImages",
    "InputError",
    "Model",
    "UsageError",
    "denoise",
    "extract_features",
    "ffd",
    "frechet_distance",
    "generate",
    "kid",
    "load_model",
    "prdc",
    "psnr",
    "ssim",
]

_MODULES = {  # of the names that are not in gan_denoise.api
    "GanDenoiseError": "gan_denoise.errors",
    "GateError": "gan_denoise.errors",
    "InputError": "gan_denoise.errors",
    "UsageError": "gan_denoise.errors",
    "kid": "gan_denoise.eval.metrics.kid",
    "psnr": "gan_denoise.eval.metrics.psnr_ssim",
    "ssim": "gan_denoise.eval.metrics.psnr_ssim",
}


def __getattr__(name: str) -> object:
    """Import a public name (PEP 562): the command line imports this package and must start without numpy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES.get(name, "gan_denoise.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
