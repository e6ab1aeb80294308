"""The tables with everything that they depend on: load the graphs and the data, measure, describe."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from gan_denoise.data import fashion_mnist
from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.eval import ffd
from gan_denoise.eval.baselines import load_tuned
from gan_denoise.eval.controls import (
    BLUR,
    MEANS,
    MIXTURE,
    REAL_DENOISED,
    TRIALS,
    Chosen,
    chosen_filters,
    filtered_rows,
    mixture_row,
    real_denoised_row,
)
from gan_denoise.eval.denoising import CEILING_DB, evaluate_denoising
from gan_denoise.eval.details import class_rows, class_summary, copy_rows
from gan_denoise.eval.generation import (
    FLOOR,
    KEPT,
    Real,
    collect,
    evaluate_generation,
    features_name,
    generated,
    real_pictures,
)
from gan_denoise.eval.machine import describe_machine
from gan_denoise.eval.methods import HINT, NETWORK, TRAINING_IMAGES, classical, network, not_installed
from gan_denoise.eval.models import load_for_tables
from gan_denoise.eval.picture_files import read_sets
from gan_denoise.eval.prdc import K
from gan_denoise.eval.tables import Report
from gan_denoise.export import runtime
from gan_denoise.export.runtime import another_seed
from gan_denoise.progress import Track, untracked


def denoising_report(
    model: Path | None,
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    track: Track = untracked,
    *,
    name: str = NETWORK,
    versus: Mapping[str, Path] | None = None,
    whole: bool = False,
) -> Report:
    """The rows of `evaluate_denoising` on the first n test images; if `whole`, the networks' on all after that.

    `model`, called `name`, and those of `versus` are denoisers; `settings["not measured"]` maps methods to reasons.
    Raises InputError when a model is no denoiser.
    """
    networks = {title: network(path) for title, path in {name: model, **(versus or {})}.items()}
    fit, _ = fashion_mnist.fit_and_holdout(dataset.train)
    methods = {**networks, **classical(load_tuned(), fashion_mnist.to_float(fit.images[:TRAINING_IMAGES]))}
    machine = describe_machine(threads)  # before the load is our own
    more = ", then all of them for the networks" if whole else ""
    rows: list[dict[str, Any]] = []
    for compared, count in ((methods, n), (networks, len(dataset.test) if whole else 0)):
        if count:
            clean = fashion_mnist.to_float(dataset.test.images[:count])
            rows += evaluate_denoising(compared, clean, seed, threads=threads, track=track)
    return Report(
        command="eval denoising",
        title="Gaussian noise removed from test images",
        rows=rows,
        model_sha256=networks[name].sha256,
        machine=machine,
        settings={
            "images": f"the first {min(n, len(dataset.test))} test images{more}",
            "networks": {title: method.sha256 and method.sha256[:12] for title, method in networks.items()},
            "seed": seed,
            "sigma": "of pixels in [0, 1]; the filters are told it and return their input at 0",
            "noise": "float is unclipped, 8-bit clipped and rounded; outputs are clipped",
            "psnr": f"at most {CEILING_DB:g} dB an image, as for identical ones",
            "times": "of the processor on one thread, filters one image at a time, networks in batches of 64",
            "BM3D": "the authors' package, for non-commercial use only",
            "not measured": not_installed(),
            "data_sha256": dataset.sha256,
        },
    )


def generation_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> Report:
    """The rows of `evaluate_generation`. Raises as `load_for_tables` and `ffd.load_network` do."""
    fused = load_for_tables(runtime.FUSED, model, threads)
    real = real_pictures(dataset, ffd.load_network(threads=threads), n)
    return Report(
        command="eval generation",
        title="Generated pictures, raw and denoised, against real ones",
        rows=evaluate_generation(fused, real, n, seed, track),
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={
            **_picture_settings(real, seed, dataset),
            **_of_a_set(),
        },
    )


def controls_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> Report:
    """The rows of controls.py and the floor; `settings["not measured"]` maps sets to reasons.

    `model` is an exported folder, or None for the shipped one. Raises as `generation_report` and `chosen_filters`.
    """
    fused, denoiser = (load_for_tables(part, model, threads) for part in (runtime.FUSED, runtime.DENOISER))
    network = ffd.load_network(threads=threads)
    filters = chosen_filters(fused, network, dataset, min(n, TRIALS), seed, track)
    real = real_pictures(dataset, network, n)
    missing = {} if find_spec("sklearn") else {MIXTURE: f"sklearn: not installed, {HINT}"}
    drawn = [] if missing else [mixture_row(real, dataset, n, seed)]
    rows = [*filtered_rows(fused, real, filters, n, seed, track), *drawn]
    return Report(
        command="eval controls",
        title="What else could be done to generated pictures, or in their place",
        rows=[*rows, real_denoised_row(denoiser, real, dataset, n), real.floor],
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={
            **_picture_settings(real, seed, dataset),
            **_of_a_set(),
            BLUR: f"width in pixels {_chosen(filters[BLUR])}, then haze removed",
            MEANS: f"told of noise of {_chosen(filters[MEANS])}, then haze removed",
            "chosen": f"on held-out training images with {min(n, TRIALS):,} pictures of seed {another_seed(seed)}",
            REAL_DENOISED: "the floor's pictures; the shipped denoiser was trained on them too",
            "not measured": missing,
        },
    )


def classes_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> Report:
    """The rows of `class_rows`, with `class_summary` in the settings. Raises as `generation_report`."""
    fused = load_for_tables(runtime.FUSED, model, threads)
    real = real_pictures(dataset, ffd.load_network(threads=threads), n)
    sets = {**collect(generated(fused, n, seed, track), real.network), FLOOR: real.unseen}
    return Report(
        command="eval classes",
        title="The classes that pictures fall into, and the recall of each",
        rows=class_rows(sets, real),
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={**_picture_settings(real, seed, dataset), **class_summary(sets, real)},
    )


def copies_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> Report:
    """The rows of `copy_rows`. Raises as `load_for_tables`."""
    fused = load_for_tables(runtime.FUSED, model, threads)
    batches = list(generated(fused, n, seed))
    sets = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return Report(
        command="eval copies",
        title="The nearest training image",
        rows=copy_rows(sets, dataset, track),
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={
            "seed": seed,
            "distance": f"to the nearest of {len(dataset.train):,} training images, Euclidean, of pixels from 0 to 1",
            "closer": "share below the 1st percentile of the test images' distances",
            "data_sha256": dataset.sha256,
        },
    )


def ffd_report(path: Path, threads: int) -> Report:
    """FFD-1 of each set of pictures in a file or folder: `set, n, ffd_1`. Raises as `read_sets` and `ffd.distance`."""
    sets = read_sets(path)
    network = ffd.load_network(threads=threads)
    return Report(
        command="eval ffd",
        title=f"{ffd.NAME} of pictures",
        rows=[{"set": name, "n": len(images), "ffd_1": ffd.distance(images, network)} for name, images in sets.items()],
        model_sha256=None,
        machine=describe_machine(threads),
        settings={
            "pictures": str(path),
            "n": "10,000 make a figure to compare; fewer come out higher",
            "features": features_name(network),
            "reference": f"{ffd.pinned().reference.count} test images",
        },
    )


def _of_a_set() -> dict[str, str]:
    return {"kid, precision, recall, density, coverage": f"of the first {KEPT:,} pictures of a set, k = {K}"}


def _chosen(filtered: Chosen) -> str:
    return f"{filtered.strength:g} of {', '.join(f'{strength:g}' for strength in filtered.offered)}"


def _picture_settings(real: Real, seed: int, dataset: Dataset) -> dict[str, object]:
    return {
        "features": features_name(real.network),
        "reference": f"{real.test.moments.count} test images",
        "seed": seed,
        "pixels": "rounded to 8 bits, 28x28, not resized",
        "data_sha256": dataset.sha256,
    }
