"""Generate images with the fused graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ArrayF32, ImagesF32
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export.latents import interpolate, latents, latents_of_seeds, set_class
from gan_denoise.export.runtime import Graph
from gan_denoise.options import BATCH, MAX_SEED

Draw = Callable[[int, int], ArrayF32]  # z (count, size) float32 of the images from `start`, by (start, count)

SEEDS = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)
PART = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)


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


def parse_seeds(text: str, limit: int, hint: str = "-n takes any number, with one --seed") -> list[int]:
    """The seeds that `text` lists, in its order: numbers and ranges such as `3,7,10-12`, both ends included.

    Raises UsageError for other text, for a seed that is listed twice, and with `hint` for more than `limit` seeds.
    """
    ranges: list[range] = []
    for part in text.split(","):
        match = SEEDS.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= MAX_SEED:
            raise UsageError.expected("--seeds", f"numbers from 0 to {MAX_SEED} and ranges, as 3,7,10-12", text)
        ranges.append(range(first, last + 1))
    count = sum(part.stop - part.start for part in ranges)  # len() fails above 2**63
    if count > limit:
        raise UsageError.expected("--seeds", f"at most {limit} seeds", count, hint)
    seeds = [seed for part in ranges for seed in part]
    if len(set(seeds)) < count:
        raise UsageError.expected("--seeds", "each seed once", text)
    return seeds


def parse_part(text: str) -> tuple[int, int]:
    """(k, n) of `text` such as `3/16`, with k from 1 to n. Raises UsageError for other text."""
    match = PART.fullmatch(text)
    part, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= parts:
        raise UsageError.expected("--part", "K/N with K from 1 to N, as 3/16", text)
    return part, parts


def draw_latents(graph: Graph, seed: int, seeds: Sequence[int] | None, count: int, frames: int) -> Draw:
    """The latents of images: the first `count` of `seed`, or the first of each of the `seeds`.

    With `frames`, those of a walk through them, of `frames` from each to the next; see `latents.interpolate`.
    """
    size = graph.input_shape[0]
    if not frames:
        if seeds is None:
            return lambda start, n: latents(seed, start, n, size)
        return lambda start, n: latents_of_seeds(seeds[start : start + n], size)
    walk = interpolate(draw_latents(graph, seed, seeds, count, 0)(0, count), frames, graph.classes)
    return lambda start, n: walk[start : start + n]


def generate_batches(
    graph: Graph,
    seed: int,
    count: int,
    batch: int = BATCH,
    label: int | None = None,
    first: int = 0,
    track: Track = untracked,
) -> Iterator[tuple[ImagesF32, ImagesF32]]:
    """`draw_batches` of the `count` latents of `seed` from `first`."""

    def draw(start: int, size: int) -> ArrayF32:
        return latents(seed, first + start, size, graph.input_shape[0])

    return draw_batches(graph, draw, count, batch, label, track)


def draw_batches(
    graph: Graph, draw: Draw, count: int, batch: int = BATCH, label: int | None = None, track: Track = untracked
) -> Iterator[tuple[ImagesF32, ImagesF32]]:
    """Batches of (image, denoised), each (n, C, H, W) float32 in [0, 1], for `count` latents from `draw`.

    With a `label` (see `parse_label`) all images are of that class. Raises InputError when the graph's output is
    outside [0, 1].
    """
    for start in track(range(0, count, batch)):
        z = draw(start, min(batch, count - start))
        image, denoised = graph(z if label is None else set_class(z, label, graph.classes))
        for name, pixels in (("image", image), ("denoised", denoised)):
            if not (pixels.min() >= 0 and pixels.max() <= 1):  # NaN fails too
                raise InputError.expected(name, "values in [0, 1]", f"{pixels.min():g} to {pixels.max():g}")
        yield image, denoised
