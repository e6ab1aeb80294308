"""The generation table: sets of images compared with real ones, and the baseline that real images set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ImagesU8, to_uint8
from gan_denoise.eval.generation.reference import (
    MAX_FEATURES,
    ImageSet,
    RealImages,
    Reference,
    SetBatches,
    collect,
    measure_set,
)
from gan_denoise.eval.labels import DENOISED, RAW
from gan_denoise.eval.metrics import class_balance
from gan_denoise.export.latents import latents
from gan_denoise.export.runtime import Graph
from gan_denoise.models.z_layout import chosen_class
from gan_denoise.options import BATCH


def evaluate_sets(batches: SetBatches, real: RealImages) -> list[dict[str, Any]]:
    """A row for each set of images and one for the real baseline.

    `batches` map the name of a set to images uint8; sets that correspond image by image, such as raw and filtered
    images, come in the same batches and in the same order. The columns: `set, n`; `ffd_1` (or `distance`, by other
    features) of all n; `kid, kid_se, precision, recall, density, coverage` of the first 10,000; `sharpness, contrast,
    noise`, means over all n; `class_preserved`, the fraction of images that the feature network puts into the same
    class as the corresponding image of the first set, None without classes or where the sets differ in size. What
    needs more images is None. Memory grows by one byte per image.
    """
    return [*measure_sets(collect(batches, real.reference.network), real.reference), real.real_baseline]


def measure_sets(sets: Mapping[str, ImageSet], reference: Reference) -> Iterator[dict[str, Any]]:
    """The rows of `evaluate_sets` for accumulated sets, without the real baseline."""
    first = next(iter(sets.values())).labels
    for name, images in sets.items():
        yield {**measure_set(name, images, reference), "class_preserved": share_of_equal_classes(first, images.labels)}


def share_of_equal_classes(first: ImagesU8 | None, second: ImagesU8 | None) -> float | None:
    """The fraction of corresponding images of the same class; None without classes, or for sets of another size."""
    if first is None or second is None or len(first) != len(second):
        return None
    return class_balance.agreement(first, second)


def evaluate_generation(
    fused: Graph, real: RealImages, n: int = MAX_FEATURES, seed: int = 0, track: Track = untracked
) -> list[dict[str, Any]]:
    """The rows of `evaluate_sets` for `raw` and `denoised` images of latents 0 to n - 1 of `seed`, and the baseline.

    Rows of a class-conditional graph also have `class_accuracy`: the fraction of images that the feature network puts
    into the class that the latent selects.
    """
    sets = collect(generate_sets(fused, n, seed, track), real.reference.network)
    rows = list(measure_sets(sets, real.reference))
    requested = requested_classes(fused, n, seed)
    if requested is not None and real.unseen.labels is not None:
        for row in rows:
            row["class_accuracy"] = share_of_equal_classes(sets[row["set"]].labels, requested)
    return [*rows, real.real_baseline]


def generate_sets(fused: Graph, n: int, seed: int, track: Track = untracked) -> Iterator[dict[str, ImagesU8]]:
    """Batches of `raw` and `denoised` images of latents 0 to n - 1, uint8 as in files."""
    for start in track(range(0, n, BATCH)):
        z = latents(seed, start, min(BATCH, n - start), fused.input_shape[0])
        yield {name: to_uint8(images) for name, images in zip((RAW, DENOISED), fused(z), strict=True)}


def generate_raw(generator: Graph, n: int, seed: int) -> ImagesU8:
    """The images, uint8, of latents 0 to n - 1, by the first output of a graph."""
    starts = range(0, n, BATCH)
    batches = (generator(latents(seed, s, min(BATCH, n - s), generator.input_shape[0]))[0] for s in starts)
    return np.concatenate([to_uint8(images) for images in batches])


def requested_classes(fused: Graph, n: int, seed: int) -> ImagesU8 | None:
    """The class that each latent selects, (n,), uint8; None for an unconditional graph."""
    if not fused.classes:
        return None
    batches = (latents(seed, start, min(BATCH, n - start), fused.input_shape[0]) for start in range(0, n, BATCH))
    requested: ImagesU8 = np.concatenate([chosen_class(z, fused.classes) for z in batches]).astype(np.uint8)
    return requested
