"""Generate images with the fused graph."""

from __future__ import annotations

from collections.abc import Iterator

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export.latents import latents, set_class
from gan_denoise.export.runtime import Graph
from gan_denoise.options import BATCH


def parse_label(graph: Graph, text: str, what: str = "--label") -> int:
    """The class of the graph that `text` names: its number, or the start of its name in any case.

    `what` is what errors call it. Raises InputError when the graph has no classes, UsageError when `text` names none of
    them or several.
    """
    names = graph.class_names
    if not names:
        raise InputError.expected(what, "a model with classes", f"{text} for one without", f"leave {what} out")
    matches = [i for i, name in enumerate(names) if text == str(i) or name.lower().startswith(text.lower())]
    if not matches:
        known = ", ".join(f"{i} {name}" for i, name in enumerate(names))
        raise UsageError.expected(what, f"one of {known}", text)
    if len(matches) > 1:
        raise UsageError.expected(what, "one class", f"{text!r} (fits {', '.join(names[i] for i in matches)})")
    return matches[0]


def generate_batches(
    graph: Graph,
    seed: int,
    count: int,
    batch: int = BATCH,
    label: int | None = None,
    first: int = 0,
    track: Track = untracked,
) -> Iterator[tuple[ImagesF32, ImagesF32]]:
    """Batches of (image, denoised), each (n, C, H, W) float32 in [0, 1], for `count` latents of `seed` from `first`.

    With a `label` (see `parse_label`) all images are of that class. Raises InputError when the graph's output is
    outside [0, 1].
    """
    for start in track(range(0, count, batch)):
        z = latents(seed, first + start, min(batch, count - start), graph.input_shape[0])
        image, denoised = graph(z if label is None else set_class(z, label, graph.classes))
        for name, pixels in (("image", image), ("denoised", denoised)):
            if not (pixels.min() >= 0 and pixels.max() <= 1):  # NaN fails too
                raise InputError.expected(name, "values in [0, 1]", f"{pixels.min():g} to {pixels.max():g}")
        yield image, denoised
