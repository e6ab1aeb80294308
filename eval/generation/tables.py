"""The tables with everything that they depend on: load the graphs and the data, measure, describe."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset
from gan_denoise.eval.denoising.methods import HINT
from gan_denoise.eval.generation.controls import (
    TUNING_SAMPLES,
    TunedFilter,
    chosen_filters,
    filtered_rows,
    mixture_row,
    real_denoised_row,
)
from gan_denoise.eval.generation.diagnostics import class_rows, class_summary, copy_rows
from gan_denoise.eval.generation.evaluate import evaluate_generation, generate_sets
from gan_denoise.eval.generation.reference import MAX_FEATURES, RealImages, collect, features_name, measure_real
from gan_denoise.eval.inputs import load_fashion_model, load_image_sets
from gan_denoise.eval.labels import GAUSSIAN, MIXTURE, NLM, REAL_BASELINE, REAL_DENOISED
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.prdc import K
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export import runtime
from gan_denoise.export.latents import another_seed
from gan_denoise.machine import describe_machine


def generation_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> ResultTable:
    """The rows of `evaluate_generation`. Raises as `load_for_tables` and `ffd.load_network` do."""
    fused = load_fashion_model(runtime.FUSED, model, threads)
    real = measure_real(dataset, ffd.load_network(threads=threads), n)
    return ResultTable(
        command="eval generation",
        title="Generated images, raw and denoised, against real ones",
        rows=evaluate_generation(fused, real, n, seed, track),
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={
            **_image_settings(real, seed, dataset),
            **_of_a_set(),
        },
    )


def controls_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> ResultTable:
    """The rows of controls.py and the floor; `settings["not measured"]` maps sets to reasons.

    `model` is an exported folder, or None for the shipped one. Raises as `generation_report` and `chosen_filters`.
    """
    fused, denoiser = (load_fashion_model(part, model, threads) for part in (runtime.FUSED, runtime.DENOISER))
    network = ffd.load_network(threads=threads)
    filters = chosen_filters(fused, network, dataset, min(n, TUNING_SAMPLES), seed, track)
    real = measure_real(dataset, network, n)
    missing = {} if find_spec("sklearn") else {MIXTURE: f"sklearn: not installed, {HINT}"}
    drawn = [] if missing else [mixture_row(real, dataset, n, seed)]
    rows = [*filtered_rows(fused, real, filters, n, seed, track), *drawn]
    return ResultTable(
        command="eval controls",
        title="What else could be done to generated images, or in their place",
        rows=[*rows, real_denoised_row(denoiser, real, dataset, n), real.floor],
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={
            **_image_settings(real, seed, dataset),
            **_of_a_set(),
            GAUSSIAN: f"width in pixels {_chosen(filters[GAUSSIAN])}, then haze removed",
            NLM: f"told of noise of {_chosen(filters[NLM])}, then haze removed",
            "chosen": f"on held-out training images with {min(n, TUNING_SAMPLES):,} images of seed {another_seed(seed)}",
            REAL_DENOISED: "the floor's images; the shipped denoiser was trained on them too",
            "not measured": missing,
        },
    )


def classes_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> ResultTable:
    """The rows of `class_rows`, with `class_summary` in the settings. Raises as `generation_report`."""
    fused = load_fashion_model(runtime.FUSED, model, threads)
    real = measure_real(dataset, ffd.load_network(threads=threads), n)
    sets = {**collect(generate_sets(fused, n, seed, track), real.network), REAL_BASELINE: real.unseen}
    return ResultTable(
        command="eval classes",
        title="The classes that images fall into, and the recall of each",
        rows=class_rows(sets, real),
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={**_image_settings(real, seed, dataset), **class_summary(sets, real)},
    )


def copies_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> ResultTable:
    """The rows of `copy_rows`. Raises as `load_for_tables`."""
    fused = load_fashion_model(runtime.FUSED, model, threads)
    batches = list(generate_sets(fused, n, seed))
    sets = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return ResultTable(
        command="eval copies",
        title="The nearest training image",
        rows=copy_rows(sets, dataset, track),
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={
            "seed": seed,
            "distance": f"to the nearest of {len(dataset.train):,} training images, Euclidean, of pixels from 0 to 1",
            "near_copy_fraction": "share below the 1st percentile of the test images' distances",
            "data_sha256": dataset.sha256,
        },
    )


def ffd_report(path: Path, threads: int) -> ResultTable:
    """FFD-1 of each set of images in a file or folder: `set, n, ffd_1`. Raises as `read_sets` and `ffd.distance`."""
    sets = load_image_sets(path)
    network = ffd.load_network(threads=threads)
    return ResultTable(
        command="eval ffd",
        title=f"{ffd.NAME} of images",
        rows=[{"set": name, "n": len(images), "ffd_1": ffd.distance(images, network)} for name, images in sets.items()],
        model_sha256=None,
        machine=describe_machine(threads),
        settings={
            "images": str(path),
            "n": "10,000 make a figure to compare; fewer come out higher",
            "features": features_name(network),
            "reference": f"{ffd.load_pinned_metric().reference.count} test images",
        },
    )


def _of_a_set() -> dict[str, str]:
    return {"kid, precision, recall, density, coverage": f"of the first {MAX_FEATURES:,} images of a set, k = {K}"}


def _chosen(filtered: TunedFilter) -> str:
    return f"{filtered.strength:g} of {', '.join(f'{strength:g}' for strength in filtered.offered)}"


def _image_settings(real: RealImages, seed: int, dataset: Dataset) -> dict[str, object]:
    return {
        "features": features_name(real.network),
        "reference": f"{real.test.moments.count} test images",
        "seed": seed,
        "pixels": "rounded to 8 bits, 28x28, not resized",
        "data_sha256": dataset.sha256,
    }
