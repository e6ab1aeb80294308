"""Generate images with the fused graph."""

from __future__ import annotations

from collections.abc import Iterator

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export.latents import latents, set_class
from gan_denoise.export.runtime import Graph
from gan_denoise.options import BATCH


def parse_label(graph: Graph, name: str) -> int:
    """The class that `name` means to the graph: its number, or the start of its name in any case.

    Raises InputError when the graph draws no classes, UsageError when it has no such class.
    """
    names = graph.metadata.get("class_names", "").split(",")
    if names == [""]:
        raise InputError(f"label: {name} found, but this model draws no classes", "leave --label out")
    fits = [i for i, known in enumerate(names) if name == str(i) or known.lower().startswith(name.lower())]
    if len(fits) != 1:
        known = ", ".join(f"{i} {known}" for i, known in enumerate(names))
        may_be = f"which may be {', '.join(names[i] for i in fits)}; one class wanted"
        raise UsageError(f"--label: {name} found, {may_be if fits else f'one of {known} wanted'}")
    return fits[0]


def generate_batches(
    graph: Graph,
    seed: int,
    count: int,
    batch: int = BATCH,
    label: int | None = None,
    first: int = 0,
    track: Track = untracked,
) -> Iterator[tuple[ArrayF32, ArrayF32]]:
    """Batches of (image, denoised), each (n, C, H, W) float32 in [0, 1], for `count` latents of `seed` from `first` on.

    With a `label` (of `label_of`) all are of that class. Raises InputError when the graph gives anything outside of
    [0, 1].
    """
    size = graph.input_shape[0]
    for start in track(range(0, count, batch)):
        z = latents(seed, first + start, min(batch, count - start), size)
        image, denoised = graph(z if label is None else set_class(z, label, int(graph.metadata["classes"])))
        for name, pixels in (("image", image), ("denoised", denoised)):
            if not (pixels.min() >= 0 and pixels.max() <= 1):  # NaN fails too
                raise InputError(f"{name}: values {pixels.min():g} to {pixels.max():g} found, [0, 1] wanted")
        yield image, denoised
