"""The models that the tables about Fashion-MNIST take: those of its pictures."""

from __future__ import annotations

from pathlib import Path

from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.errors import InputError
from gan_denoise.export import runtime
from gan_denoise.export.runtime import DENOISER, Graph, Signature


def load_for_tables(signature: Signature, path: Path | None, threads: int) -> Graph:
    """The graph that `runtime.load` gives. Raises InputError as it does, and when the pictures are not 28x28 grey."""
    graph = runtime.load(signature, path, threads)
    shape = graph.input_shape if signature == DENOISER else graph.output_shapes[0]
    if shape != (1, SIDE, SIDE):
        message = f"{runtime.file_of(signature, path)}: pictures of {list(shape)} found, {[1, SIDE, SIDE]} wanted"
        raise InputError(message, "these tables are about Fashion-MNIST; generate and denoise take any model")
    return graph
