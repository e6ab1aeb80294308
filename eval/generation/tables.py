"""The result tables of generated images: load the graphs and the data, measure, add settings and notes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset, split_classifier_fit, split_holdout
from gan_denoise.data.fashion_mnist import CLASSES
from gan_denoise.errors import InputError
from gan_denoise.eval.denoising.methods import HINT
from gan_denoise.eval.denoising.tuning import tuned_filters
from gan_denoise.eval.generation.by_features import feature_row
from gan_denoise.eval.generation.controls import (
    TUNING_SAMPLES,
    TunedFilter,
    filtered_rows,
    mixture_row,
    real_denoised_row,
    tune_filters,
)
from gan_denoise.eval.generation.diagnostics import class_rows, class_summary, copy_rows
from gan_denoise.eval.generation.evaluate import evaluate_generation, generate_raw, generate_sets
from gan_denoise.eval.generation.extractor import FeatureExtractor
from gan_denoise.eval.generation.features import list_features, load_extractor
from gan_denoise.eval.generation.gaussian_mixture import MIN_FITTED
from gan_denoise.eval.generation.reference import MAX_FEATURES, RealImages, collect, measure_real
from gan_denoise.eval.generation.subsets import subset_rows
from gan_denoise.eval.inputs import describe_other_data, load_image_sets, load_model
from gan_denoise.eval.labels import DENOISED, GAUSSIAN, MIXTURE, NLM, RAW, REAL_BASELINE, REAL_DENOISED
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.prdc import K
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export import runtime
from gan_denoise.export.latents import another_seed
from gan_denoise.export.runtime import Graph
from gan_denoise.export.training_data import from_metadata
from gan_denoise.machine import describe_machine
from gan_denoise.options import Provider

MEASURED_SETS = {"kid, precision, recall, density, coverage": f"of the first {MAX_FEATURES:,} images of a set, k = {K}"}
PIXELS = "rounded to 8 bits, not resized"


def generation_report(
    model: Path | None,
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    track: Track = untracked,
    *,
    other_data: bool = False,
    provider: Provider = Provider.cpu,
    features: str | None = None,
) -> ResultTable:
    """The rows of `evaluate_generation`, by the first of `list_features` or by `features`.

    Raises as `load_model` and `load_extractor` do.
    """
    fused = load_model(runtime.FUSED, model, threads, dataset, other_data, provider)
    real = measure_real(dataset, _load_network(features, dataset, model, threads), n)
    return ResultTable(
        command="eval generation",
        title="Generated images, raw and denoised, compared with real ones",
        rows=evaluate_generation(fused, real, n, seed, track),
        model_sha256=fused.sha256,
        machine=describe_machine(threads, fused.provider),
        settings=_settings(real, seed, dataset, fused),
        notes={"pixels": PIXELS, **MEASURED_SETS},
    )


def features_report(
    names: Sequence[str],
    model: Path | None,
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    track: Track = untracked,
    *,
    other_data: bool = False,
    provider: Provider = Provider.cpu,
    alone: Graph | None = None,
) -> ResultTable:
    """A row of `feature_row` for each of the features in `names`; `alone` is a generator trained without the denoiser.

    Raises as `load_model` and `load_extractor` do, before anything is measured.
    """
    fused = load_model(runtime.FUSED, model, threads, dataset, other_data, provider)
    extractors = [load_extractor(name, threads, dataset.train.shape, model) for name in dict.fromkeys(names)]
    batches = list(generate_sets(fused, n, seed, track))
    raw, denoised = (np.concatenate([batch[name] for batch in batches]) for name in (RAW, DENOISED))
    baseline = None if alone is None else generate_raw(alone, n, seed)
    skipped = {
        f"distance by {extractor.name}": f"it needs more than {extractor.width:,} images"
        for extractor in extractors
        if min(n, len(dataset.test), len(split_classifier_fit(dataset.train)[1])) <= extractor.width
    }
    return ResultTable(
        command="eval generation",
        title="Generated images, raw and denoised, compared with real ones by several features",
        rows=[feature_row(raw, denoised, dataset, extractor, track, baseline) for extractor in extractors],
        model_sha256=fused.sha256,
        machine=describe_machine(threads, fused.provider),
        settings={
            "features": ", ".join(extractor.label for extractor in extractors),
            "reference": f"the first {min(n, len(dataset.test)):,} test images, for ffd-1 all",
            "seed": seed,
            **({} if alone is None else {"alone": alone.name, "alone_sha256": alone.sha256}),
            **_data_settings(dataset, fused),
        },
        notes={
            "pixels": PIXELS,
            "real, raw, denoised": "Fréchet distances; real: of training images that no feature network was trained on",
            "ratio": "denoised / raw; low, high: 95 % interval over the latents of one training, by the distances' "
            "first derivatives (infinitesimal jackknife)",
            **({} if alone is None else {"alone": "of the generator trained without the denoiser, same latents"}),
            "ratio above real": "the same of what lies above the distance of the real images",
            "KID, precision, recall": f"of the first {MAX_FEATURES:,} images, k = {K}",
        },
        skipped=skipped,
    )


def controls_report(
    model: Path | None,
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    track: Track = untracked,
    *,
    other_data: bool = False,
    provider: Provider = Provider.cpu,
    features: str | None = None,
) -> ResultTable:
    """The rows of controls.py and the real baseline; the Gaussian mixture is skipped without scikit-learn.

    `model` is an exported folder, or None for the shipped one. Raises as `generation_report` and `tune_filters`.
    """
    fused = load_model(runtime.FUSED, model, threads, dataset, other_data, provider)
    denoiser = load_model(runtime.DENOISER, model, threads, dataset, other_data, fused.provider)
    network = _load_network(features, dataset, model, threads)
    tuning_samples = min(n, TUNING_SAMPLES)
    tuned = tuned_filters(dataset, track)
    filters = tune_filters(fused, network, tuned, dataset, tuning_samples, seed, track)
    real = measure_real(dataset, network, n)
    skipped = _skipped_mixture(dataset)
    mixture = [] if skipped else [mixture_row(real.reference, dataset, n, seed)]
    rows = [*filtered_rows(fused, real.reference, filters, n, seed, track), *mixture]
    return ResultTable(
        command="eval controls",
        title="Controls: filtered raw images, a Gaussian mixture, and denoised real images",
        rows=[*rows, real_denoised_row(denoiser, real, dataset, n), real.real_baseline],
        model_sha256=fused.sha256,
        machine=describe_machine(threads, fused.provider),
        settings=_settings(real, seed, dataset, fused, denoiser),
        notes={
            "pixels": PIXELS,
            **MEASURED_SETS,
            GAUSSIAN: f"width {_strength(filters[GAUSSIAN], ' pixels')}",
            NLM: f"sigma {_strength(filters[NLM])}",
            "tuned": f"on held-out training images, with {tuning_samples:,} images of seed {another_seed(seed)}",
            REAL_DENOISED: f"the images of the real baseline; {_trained_on(denoiser)}",
        },
        skipped=skipped,
    )


def classes_report(
    model: Path | None,
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    track: Track = untracked,
    *,
    other_data: bool = False,
    provider: Provider = Provider.cpu,
    features: str | None = None,
) -> ResultTable:
    """The rows of `class_rows`, with `class_summary` in the settings.

    Raises as `generation_report`, and if the features assign no classes.
    """
    fused = load_model(runtime.FUSED, model, threads, dataset, other_data, provider)
    real = measure_real(dataset, _load_network(features, dataset, model, threads), n)
    generated = collect(generate_sets(fused, n, seed, track), real.reference.network)
    sets = {**generated, REAL_BASELINE: real.unseen}
    classes = dataset.classes or CLASSES
    return ResultTable(
        command="eval classes",
        title="Class distribution and recall of each class",
        rows=class_rows(sets, real.reference, classes),
        model_sha256=fused.sha256,
        machine=describe_machine(threads, fused.provider),
        settings={**_settings(real, seed, dataset, fused), "summary": class_summary(sets, real.reference, classes)},
        notes={"pixels": PIXELS},
    )


def subsets_report(
    model: Path | None,
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    track: Track = untracked,
    *,
    other_data: bool = False,
    provider: Provider = Provider.cpu,
    features: str | None = None,
) -> ResultTable:
    """The rows of `subset_rows`. Raises as `generation_report`."""
    fused = load_model(runtime.FUSED, model, threads, dataset, other_data, provider)
    network = _load_network(features, dataset, model, threads)
    return ResultTable(
        command="eval subsets",
        title="Distances by the number of images, and of each class",
        rows=subset_rows(fused, dataset, network, n, seed, track),
        model_sha256=fused.sha256,
        machine=describe_machine(threads, fused.provider),
        settings={"features": network.label, "seed": seed, **_data_settings(dataset, fused)},
        notes={
            "pixels": PIXELS,
            "real, raw, denoised": "Fréchet distances to the test images, those of a class to the test images of it; "
            "real: of as many training images, where there are so many, that the network has not seen",
            "ratio": "denoised / raw; low, high: 95 % interval over the latents of one training",
        },
    )


def copies_report(
    model: Path | None,
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    track: Track = untracked,
    *,
    other_data: bool = False,
    provider: Provider = Provider.cpu,
) -> ResultTable:
    """The rows of `copy_rows`. Raises as `load_model`."""
    fused = load_model(runtime.FUSED, model, threads, dataset, other_data, provider)
    batches = list(generate_sets(fused, n, seed))
    sets = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return ResultTable(
        command="eval copies",
        title="Distance to the nearest training image",
        rows=copy_rows(sets, dataset, track),
        model_sha256=fused.sha256,
        machine=describe_machine(threads, fused.provider),
        settings={"seed": seed, **_data_settings(dataset, fused)},
        notes={
            "distance": f"to the nearest of {len(dataset.train):,} training images, Euclidean, of pixels in [0, 1]",
            "near copies": "fraction below the 1st percentile of the test images' distances",
        },
    )


def ffd_report(path: Path, threads: int) -> ResultTable:
    """FFD-1 of each set of images in a file or folder: `set, n, ffd_1`.

    Raises as `load_image_sets` and `ffd.distance`.
    """
    sets = load_image_sets(path)
    for name, images in sets.items():
        if len(images) < ffd.MIN_SAMPLES:
            hint = "generate more images"
            raise InputError.expected(f"{path}: set {name}", f"{ffd.MIN_SAMPLES} or more images", len(images), hint)
    network = ffd.load_network(threads=threads)
    return ResultTable(
        command="eval ffd",
        title=f"{ffd.NAME} of images",
        rows=[{"set": name, "n": len(images), "ffd_1": ffd.distance(images, network)} for name, images in sets.items()],
        model_sha256=None,
        machine=describe_machine(threads),
        settings={
            "images": str(path),
            "features": f"fashion-features-{network.output_shapes[0][0]}@{network.sha256[:8]}",
            "reference": f"{ffd.load_pinned_metric().reference.count} test images",
        },
        notes={"n": "published values use 10,000 images; fewer images give larger values"},
    )


def _load_network(features: str | None, dataset: Dataset, model: Path | None, threads: int) -> FeatureExtractor:
    """The extractor of a table of one kind of features: `features`, or what fits the images."""
    return load_extractor(features or list_features(dataset, model)[0], threads, dataset.train.shape, model)


def _skipped_mixture(dataset: Dataset) -> dict[str, str]:
    """Why there is no Gaussian mixture; empty where there is one."""
    if not find_spec("sklearn"):
        return {MIXTURE: f"sklearn: not installed, {HINT}"}
    fitted = len(split_holdout(dataset.train)[0])
    return {} if fitted >= MIN_FITTED else {MIXTURE: f"it needs {MIN_FITTED} training images"}


def _strength(tuned: TunedFilter, unit: str = "") -> str:
    candidates = ", ".join(f"{value:g}" for value in tuned.candidates)
    edges = {min(tuned.candidates): "smallest", max(tuned.candidates): "largest"}
    edge = edges.get(tuned.strength)
    text = f"{tuned.strength:g} (candidates {candidates}){unit}, then the black-level threshold"
    return text + (f"; this is the {edge} candidate, so a value outside may be better" if edge else "")


def _trained_on(denoiser: runtime.Graph) -> str:
    if runtime.is_shipped(denoiser):
        return "the shipped denoiser was trained on them too"
    return "this denoiser has seen them if it was trained on all training images"


def _settings(real: RealImages, seed: int, dataset: Dataset, *models: Graph) -> dict[str, object]:
    return {
        "features": real.reference.network.label,
        "reference": f"{len(real.reference.images)} test images",
        "seed": seed,
        **_data_settings(dataset, *models),
    }


def _data_settings(dataset: Dataset, *models: Graph) -> dict[str, object]:
    """The model's name, the hash of the reference, and the data of the models where they differ from it."""
    recorded = dict.fromkeys(data for model in models for data in from_metadata(model.metadata))
    name = "shipped" if runtime.is_shipped(models[0]) else models[0].name
    return {"model": name, "data_sha256": dataset.sha256, **describe_other_data(list(recorded), dataset)}
