"""What else could be done to generated pictures, or in their place: rows that the denoiser's are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_denoise.data import fashion_mnist
from gan_denoise.data.fashion_mnist import Bytes, Dataset, to_float, to_uint8
from gan_denoise.eval import mixture
from gan_denoise.eval.baselines import Parameters, load_tuned, restore, tuned_for
from gan_denoise.eval.frechet import frechet_distance, statistics
from gan_denoise.eval.generation import FLOOR, RAW, Real, collect, generated, rows_of
from gan_denoise.eval.progress import Track, untracked
from gan_denoise.eval.reference import reference_of, see
from gan_denoise.export.runtime import BATCH, Graph, another_seed

BLUR, MEANS = "raw, Gaussian filter", "raw, non-local means"
MIXTURE, REAL_DENOISED = "Gaussian mixture", "real, denoised"
WIDTHS = (0.25, 0.3, 0.35, 0.4, 0.5)  # of the Gaussian filter, in pixels
SIGMAS = (0.0025, 0.005, 0.01, 0.02, 0.04)  # of the noise that non-local means are told of

Filter = Callable[[Bytes], Bytes]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A filter of pictures (N, H, W) uint8, its strength, and the strengths that it was chosen from."""

    filter: Filter
    strength: float
    offered: tuple[float, ...]


def filtered_rows(
    fused: Graph, real: Real, filters: Mapping[str, Chosen], n: int, seed: int, track: Track = untracked
) -> list[dict[str, Any]]:
    """Rows as of `evaluate_generation`: `raw`, `denoised`, and what each filter makes of the same raw pictures."""

    def batches() -> Iterator[dict[str, Bytes]]:
        for batch in generated(fused, n, seed, track):
            yield {**batch, **{name: chosen.filter(batch[RAW]) for name, chosen in filters.items()}}

    return list(rows_of(collect(batches(), real.network), real))


def chosen_filters(fused: Graph, network: Graph, dataset: Dataset, n: int, seed: int) -> dict[str, Chosen]:
    """A Gaussian filter and non-local means, each of the strength that suits the pictures of `fused` best.

    It takes n pictures of another seed nearest to the held-out training images, by the Fréchet distance on the
    features of `network`. Otherwise they are as tuned for the weakest noise of the denoising table.
    """
    held_out = reference_of(fashion_mnist.fit_and_holdout(dataset.train)[1].images, network)
    trial = np.concatenate([batch[RAW] for batch in generated(fused, n, another_seed(seed))])

    def distance(filtered: Filter) -> float:
        return frechet_distance(statistics(see(to_float(filtered(trial)), network).features), held_out.statistics)

    gaussian, means = (tuned_for(load_tuned(), name, "float", 15 / 255) for name in ("Gaussian", "non-local means"))
    blurs = {width: _filter("Gaussian", 0.0, {**gaussian, "width": width}) for width in WIDTHS}
    averages = {sigma: _filter("non-local means", sigma, means) for sigma in SIGMAS}
    chosen = {}
    for name, filters in ((BLUR, blurs), (MEANS, averages)):
        best = min(filters, key=lambda strength: distance(filters[strength]))
        chosen[name] = Chosen(filters[best], best, tuple(filters))
    return chosen


def mixture_row(real: Real, dataset: Dataset, n: int, seed: int) -> dict[str, Any]:
    """The row of n pictures from a Gaussian mixture, fitted and drawn with `seed`. Raises as `mixture.fit`."""
    fitted = mixture.fit(fashion_mnist.fit_and_holdout(dataset.train)[0].images[: mixture.FITTED], seed=seed)
    (row,) = rows_of(collect([{MIXTURE: mixture.sample(fitted, n, seed)}], real.network), real)
    return {**row, "same_class": None}  # there is no picture to agree with


def real_denoised_row(denoiser: Graph, real: Real, dataset: Dataset, n: int) -> dict[str, Any]:
    """The row of n training images that the feature network has not seen, after the denoiser and without any noise."""
    images = fashion_mnist.fit_and_unseen(dataset.train)[1].images[:n]

    def batches() -> Iterator[dict[str, Bytes]]:
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            yield {FLOOR: part, REAL_DENOISED: to_uint8(denoiser(to_float(part))[0].clip(0, 1))}

    _, denoised = rows_of(collect(batches(), real.network), real)
    return denoised


def _filter(method: str, sigma: float, parameters: Parameters) -> Filter:
    return lambda images: to_uint8(restore(method, to_float(images), sigma, parameters))
