"""The generation table: sets of images against real ones, and the floor that real ones set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ImagesU8, to_uint8
from gan_denoise.eval.generation.reference import MAX_FEATURES, ImageSet, RealImages, SetBatches, collect, measure_set
from gan_denoise.eval.labels import DENOISED, RAW
from gan_denoise.eval.metrics import class_balance
from gan_denoise.export.latents import latents
from gan_denoise.export.runtime import Graph
from gan_denoise.models.z_layout import chosen_class
from gan_denoise.options import BATCH


def evaluate_sets(batches: SetBatches, real: RealImages) -> list[dict[str, Any]]:
    """A row for each set of images and one for the floor.

    `batches` give images (N, 28, 28) uint8 by the name of their set; sets that belong together, such as images
    and what a filter makes of them, come in the same batches and in the same order. The columns:
    `set, n`; `ffd_1`, of all n; `kid, kid_se` and `precision, recall, density, coverage`, of the first 10,000;
    `sharpness, contrast, noise`, means over all n; `class_preserved`, the share that the feature network puts into the same
    class as the first set's image of that place, None where the sets are not as large. Fewer than 97 images have
    no distances. Memory grows by a byte an image.
    """
    return [*measure_sets(collect(batches, real.network), real), real.floor]


def measure_sets(sets: Mapping[str, ImageSet], real: RealImages) -> Iterator[dict[str, Any]]:
    """The rows of `evaluate_sets` for sets that are summed up already, without the floor."""
    first = next(iter(sets.values())).labels
    for name, images in sets.items():
        same = class_balance.agreement(first, images.labels) if images.moments.count == len(first) else None
        yield {**measure_set(name, images, real.test, real.radii), "class_preserved": same}


def evaluate_generation(
    fused: Graph, real: RealImages, n: int = MAX_FEATURES, seed: int = 0, track: Track = untracked
) -> list[dict[str, Any]]:
    """The rows of `evaluate_sets` for `raw` and `denoised` images of latents 0 to n - 1 of `seed`, and the floor.

    A graph whose latents choose the class also has `class_accuracy`: the share of images that the feature network puts
    into that class.
    """
    sets = collect(generate_sets(fused, n, seed, track), real.network)
    rows = list(measure_sets(sets, real))
    asked = requested_classes(fused, n, seed)
    if asked is not None:
        for row in rows:
            row["class_accuracy"] = class_balance.agreement(sets[row["set"]].labels, asked)
    return [*rows, real.floor]


def generate_sets(fused: Graph, n: int, seed: int, track: Track = untracked) -> Iterator[dict[str, ImagesU8]]:
    """Batches of `raw` and `denoised` images of latents 0 to n - 1, uint8 as files would hold them."""
    for start in track(range(0, n, BATCH)):
        z = latents(seed, start, min(BATCH, n - start), fused.input_shape[0])
        yield {name: to_uint8(images) for name, images in zip((RAW, DENOISED), fused(z), strict=True)}


def requested_classes(fused: Graph, n: int, seed: int) -> ImagesU8 | None:
    """The class that each latent asks for, (n,): the largest of its last `classes`; None when the graph has none."""
    if not fused.classes:
        return None
    batches = (latents(seed, start, min(BATCH, n - start), fused.input_shape[0]) for start in range(0, n, BATCH))
    requested: ImagesU8 = np.concatenate([chosen_class(z, fused.classes) for z in batches]).astype(np.uint8)
    return requested
