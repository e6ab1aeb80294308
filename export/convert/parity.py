"""The parity check: compare ONNX with PyTorch, and the fused graph with its two parts, before a graph is published."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import GateError
from gan_denoise.export.runtime import Graph

BATCHES = (1, 2, 7, 64)
TOLERANCE = 1e-4  # worst absolute difference of a pixel in [0, 1]


def check_network(graph: Graph, network: nn.Module, samples: ArrayF32) -> float:
    """The worst absolute difference between graph and network over all batch sizes of BATCHES, for samples (64, ...).

    Raises GateError when it is above TOLERANCE or NaN.
    """
    return _check(graph.signature.file, graph, _torch_runner(network), samples)


def check_fused(fused: Graph, generator: Graph, denoiser: Graph, z: ArrayF32) -> float:
    """The same for the fused graph and for generator and denoiser run one after the other, z (64, latent_size)."""

    def run_in_sequence(samples: ArrayF32) -> tuple[ArrayF32, ...]:
        (image,) = generator(samples)
        return image, *denoiser(image)

    return _check(fused.signature.file, fused, run_in_sequence, z)


def _check(name: str, graph: Graph, reference: Callable[[ArrayF32], tuple[ArrayF32, ...]], samples: ArrayF32) -> float:
    worst = 0.0
    for batch in BATCHES:
        for output, expected in zip(graph(samples[:batch]), reference(samples[:batch]), strict=True):
            difference = float(np.abs(output - expected).max())
            if not difference <= TOLERANCE:  # NaN fails too
                raise GateError.expected(
                    name, f"a difference of at most {TOLERANCE}", f"{difference:.3g} at batch {batch}"
                )
            worst = max(worst, difference)
    return worst


def _torch_runner(network: nn.Module) -> Callable[[ArrayF32], tuple[ArrayF32, ...]]:
    @torch.no_grad()
    def run(samples: ArrayF32) -> tuple[ArrayF32, ...]:
        outputs = network.eval()(torch.from_numpy(samples))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(output.numpy() for output in outputs)

    return run
