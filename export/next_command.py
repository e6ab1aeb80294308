"""Choose the command of a `next:` hint: one that works on the files just written, or none."""

from __future__ import annotations

from pathlib import Path

from gan_denoise.console import model_option
from gan_denoise.data.dataset_options import FASHION_MNIST
from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.export.runtime import Graph
from gan_denoise.export.training_data import from_metadata

FASHION_SHAPE = (1, SIDE, SIDE)  # the only images that `eval` measures: grey, 28x28
MIN_MEASURED = 97  # images that `eval ffd` needs

Command = tuple[object, ...]  # arguments after `gan-denoise`; empty when no command fits


def after_generate(graph: Graph, model: Path | None, out: Path, n: int) -> Command:
    """`eval ffd` for arrays or folders of enough images, else `eval generation`; none for other images or data."""
    if set(graph.output_shapes) != {FASHION_SHAPE}:
        return ()
    if out.suffix.lower() != ".png" and n >= MIN_MEASURED:
        return "eval", "ffd", out
    return ("eval", "generation", *model_option(model)) if _is_measured(graph) else ()


def after_denoise(graph: Graph, model: Path | str | None) -> Command:
    """`eval denoising` of the denoiser `graph`; none for other images or data."""
    fits = graph.input_shape == FASHION_SHAPE and _is_measured(graph)
    return ("eval", "denoising", *model_option(model)) if fits else ()


def generate_with(model: Path) -> Command:
    """`generate` with a fused graph, to a file that does not exist yet."""
    names = ("grid.png", *(f"grid-{i}.png" for i in range(2, 1000)))
    return "generate", "--model", model, "--out", next(name for name in names if not Path(name).exists())


def after_quantize(model: Path | None, out: Path, precision: str) -> Command:
    """`bench` of the quantized graph beside its original, or `generate` where `--vs` cannot take the file's name."""
    if "," in str(out):
        return generate_with(out)
    return "bench", *model_option(model), "--vs", f"{precision}={out}"


def _is_measured(graph: Graph) -> bool:
    """Whether the `eval` commands that compare with Fashion-MNIST take the model: trained on it, or on unknown data."""
    return all(data.name == FASHION_MNIST for data in from_metadata(graph.metadata))
