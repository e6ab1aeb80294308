"""Measure trained runs side by side: the effect of each denoiser on its generator's images."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset, split_holdout
from gan_denoise.data.dataset_options import FASHION_MNIST, DatasetOptions
from gan_denoise.data.datasets import load_images
from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.data.images import ImagesF32, format_shape, to_float, to_uint8
from gan_denoise.errors import InputError
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB
from gan_denoise.eval.denoising.filters import TunedParameters, load_tuned, restore, tuned_for
from gan_denoise.eval.denoising.resample import stochastic_denoise
from gan_denoise.eval.denoising.tuning import tuned_filters
from gan_denoise.eval.generation.by_features import compare_distances
from gan_denoise.eval.generation.evaluate import share_of_equal_classes
from gan_denoise.eval.generation.features import list_features, load_extractor
from gan_denoise.eval.generation.reference import (
    ImageSet,
    Reference,
    compare_with_reference,
    extract_features,
    make_reference,
    make_test_reference,
    real_appearance,
    score,
)
from gan_denoise.eval.inputs import check_training_data, describe_other_data
from gan_denoise.eval.metrics.kid import kid
from gan_denoise.eval.metrics.prdc import K
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import add_noise
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export.convert import weights
from gan_denoise.export.latents import another_seed, latents
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.export.training_data import from_fingerprint
from gan_denoise.machine import describe_machine, usable_cores
from gan_denoise.options import FFD_1
from gan_denoise.study.compare.crossover import CROSSOVER_RULE, crossovers
from gan_denoise.study.compare.snapshots import Selection, Snapshot, find_snapshots, missing_epochs, trained_stages
from gan_denoise.study.rows import GAUSSIAN, JOINT, JOINT_FILTERS, MEAN, NLM, NONE, SAMPLE, join_words

BATCH = 250
STEPS = 4  # of the denoiser `sample`
STRENGTHS = {  # candidates of what is tuned for each generator: of `sample` and NLM sigma, of the filter pixels
    SAMPLE: (0.02, 0.05, 0.1, 0.2),
    GAUSSIAN: (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0),
    NLM: (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.12, 0.16),
}
FILTERS = {GAUSSIAN: "Gaussian", NLM: "non-local means"}  # as denoising/filters.py names them
STRENGTH_COLUMN = {SAMPLE: "sigma", GAUSSIAN: "width_px", NLM: "sigma"}
TUNING_SAMPLES = {SAMPLE: 2_500, GAUSSIAN: 2_500, NLM: 500}  # images to tune on
RESTORED_IMAGES = 500  # real images that a denoiser restores
NOISE_LEVELS = {"psnr_15": 15 / 255, "psnr_25": 25 / 255, "psnr_50": 50 / 255, "clean_db": 0.0}
LOGGED = ("pair_accuracy", "denoised_pair_accuracy", "images_per_s", "seconds")
COMPARED = ("kid", "precision", "recall", "sharpness", "noise")  # before and after denoising

Row = dict[str, Any]
Network = Callable[[ImagesF32], ImagesF32]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What all rows share: the real images to compare with, and latents 0 to n - 1 of `seed`."""

    held_out: Reference  # strengths are chosen on it, by the first of `list_features`, whatever `reference` is
    reference: Reference
    tuned: TunedParameters  # of the filters for these images
    n: int
    seed: int

    def image_set(self, images: ImagesF32) -> ImageSet:
        """Features, classes and appearance of images (N, C, H, W) in [0, 1], rounded to 8 bits as in files."""
        image_set = ImageSet()
        image_set.add(to_uint8(images), self.reference.network)
        return image_set


def find_run_dataset(folders: Sequence[Path], name: str | None = None, path: Path | None = None) -> Dataset:
    """The images that runs are compared on: the data set `name`, else that of the first run that records one.

    Without one it is Fashion-MNIST. `path` replaces the path; images get the size that the runs were trained on. Raises
    InputError as `load_images` does.
    """
    stages = [stage for stage in trained_stages(folders) if stage.meta.exists()]
    recorded = None if name else next((images for stage in stages if (images := stage.read_images())), None)
    options = recorded or DatasetOptions(name or FASHION_MNIST)
    shape = next((stage.read_fingerprint().get("image_shape") for stage in stages), None)
    if options.size is None and shape:
        options = replace(options, size=shape[-1], channels=shape[0])
    return load_images(options if path is None else options.moved(path))


def compare_runs(
    folders: Sequence[Path],
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    selection: Selection = Selection(),
    on_test: bool = False,
    features: str | None = None,
    track: Track = untracked,
    other_data: bool = False,
) -> ResultTable:
    """The rows of `measure_snapshot` for the selected snapshots in the folders of runs.

    The reference is the last 5,000 training images, or if `on_test` the test images. The features are `features`, or
    the first of `list_features`; classes are assigned by the latter. By other features than FFD-1 the reference is as
    many images as are generated. Raises as `find_snapshots`, `check_training_data`, `load_extractor` and
    `weights.load_generator` do.
    """
    snapshots = find_snapshots(folders, selection)
    fingerprints = {stage.path: stage.read_fingerprint() for stage in trained_stages(folders)}
    trained_on = {path: from_fingerprint(fingerprint) for path, fingerprint in fingerprints.items()}
    for path, data in trained_on.items():
        _check_image_shape(path, fingerprints[path], dataset)
        check_training_data(path, [data], dataset, other_data)
    torch.set_num_threads(threads or usable_cores())
    shape, model = dataset.train.shape, RunFolder(folders[0]).export
    headline = load_extractor(list_features(dataset, model)[0], threads, shape, model)
    network = headline if features is None else load_extractor(features, threads, shape, model)
    network = network.with_classes(headline)
    held_out_images = split_holdout(dataset.train)[1].images
    held_out = make_reference(held_out_images, headline)
    is_ffd = network.name == FFD_1
    if is_ffd:
        reference = make_test_reference(dataset, network) if on_test else held_out
    else:
        reference = make_reference((dataset.test.images if on_test else held_out_images)[:n], network)
    tuned_parameters = tuned_filters(dataset, track) if selection.extra else {}
    measurement = Measurement(held_out, reference, tuned_parameters, n, seed)
    kind = ("test images" if on_test else "held-out training images") + (
        "" if not is_ffd else ": distances are FFD-1" if on_test else ": distances are not FFD-1"
    )
    tuned = {
        name: f"the best of {', '.join(f'{value:g}' for value in STRENGTHS[name])} by {headline.label}, on held-out "
        f"training images, with {min(n, TUNING_SAMPLES[name]):,} images of seed {another_seed(seed)}"
        for name in selection.extra
    }
    rows = [row for snapshot in track(snapshots) for row in measure_snapshot(snapshot, measurement)]
    tuned = {name: text + _describe_edges(rows, name) for name, text in tuned.items()}
    return ResultTable(
        command="study compare",
        title="Trained runs: generated images before and after denoising",
        rows=rows,
        model_sha256=None,
        machine=describe_machine(threads),
        settings={
            "folders": shlex.join(map(str, folders)),
            "epochs": _describe_epochs(selection),
            **({"with": ", ".join(selection.extra)} if selection.extra else {}),
            "features": network.label,
            "reference": f"{len(reference.images):,} {kind}",
            "real": {name: float(f"{value:.4g}") for name, value in real_appearance(reference.images).items()},
            "crossover": crossovers(rows),
            "seed": seed,
            "data_sha256": dataset.sha256,
            **describe_other_data(list(dict.fromkeys(trained_on.values())), dataset),
            **({} if on_test and not tuned else _describe_seen(folders, len(dataset.train) - len(held_out_images))),
        },
        notes={
            "epoch": "of the generator; for joint, of joint training. The denoiser mean is always the finished one",
            "raw, denoised": "Fréchet distances, pixels rounded to 8 bits",
            "KID, precision, recall": f"by the same features, k = {K}",
            "class preserved": f"by {headline.label}",
            "PSNR": f"in dB, of the first {RESTORED_IMAGES} reference images, unclipped noise of seed 0, at most "
            f"{PSNR_CAP_DB:g}",
            "crossover": CROSSOVER_RULE,
            **{f"{STRENGTH_COLUMN[name]} of {name}": text for name, text in tuned.items()},
        },
        skipped=missing_epochs(snapshots, selection.epochs) if selection.every_epoch else {},
    )


def _describe_edges(rows: Sequence[Row], name: str) -> str:
    """How often the chosen strength is the smallest or the largest candidate; empty if never."""
    chosen = [row.get(STRENGTH_COLUMN[name]) for row in rows if row["denoiser"] in (name, JOINT_FILTERS.get(name))]
    counts = {which: chosen.count(edge(STRENGTHS[name])) for which, edge in (("smallest", min), ("largest", max))}
    edges = [f"{count} the {which} candidate" for which, count in counts.items() if count]
    return f"; of {len(chosen)} chosen, {join_words(edges)}: values outside may be better" if edges else ""


def _check_image_shape(stage: Path, fingerprint: Mapping[str, Any], dataset: Dataset) -> None:
    """Raises InputError for a stage that was trained on images of another shape."""
    shape, expected = tuple(fingerprint.get("image_shape", (1, SIDE, SIDE))), dataset.train.shape
    if shape != expected:
        hint = "leave this folder out, or choose its images by --dataset and --data"
        got = f"one trained on {format_shape(shape)}"
        raise InputError.expected(stage, f"a stage trained on images of {format_shape(expected)}", got, hint)


def measure_snapshot(snapshot: Snapshot, measurement: Measurement) -> Iterator[Row]:
    """One row for each denoiser of a snapshot.

    The columns: `run, seed, epoch, denoiser, n`; `raw, denoised` and their `ratio`, Fréchet distances before and after
    denoising, with `ratio_low, ratio_high`, its 95 % interval over the latents; `kid, precision, recall, sharpness,
    noise` of both; `class_preserved`, the fraction of images that the classifier assigns to the same class before
    and after; `psnr_15, psnr_25, psnr_50` in dB, of real images restored from noise of sigma 15/255, 25/255 and 50/255,
    and `clean_db` without noise, of trained denoisers; `pair_accuracy, denoised_pair_accuracy`, the fractions of pairs
    in which the discriminators score the real image above the generated one, `images_per_s` and `seconds`, all logged
    for that epoch. What a run lacks is None. A filter of a jointly trained generator's images is named by
    JOINT_FILTERS. Rows of `sample` and of NLM have `sigma`, rows of GAUSSIAN have `width_px`: the strengths that were
    chosen.
    """
    generator = None if snapshot.gan is None else weights.load_generator(snapshot.gan)
    denoise = None if snapshot.denoiser is None else as_numpy_function(weights.load_denoiser(snapshot.denoiser))
    image = None if generator is None else generate_images(generator, measurement.n, measurement.seed)
    before = None if image is None else measurement.image_set(image)
    raw = _compare(before, measurement.reference)
    restored = _restoration_columns(denoise, to_float(measurement.reference.images[:RESTORED_IMAGES]))
    for name in snapshot.denoisers:
        strength, after = None, None
        if generator is not None and image is not None and name != NONE:
            strength = best_strength(name, generator, denoise, measurement) if name in STRENGTHS else None
            denoised = denoise_images(name, image, denoise, strength, measurement.seed, measurement.tuned)
            after = measurement.image_set(denoised)
        yield {
            "run": snapshot.run,
            "seed": snapshot.seed,
            "epoch": snapshot.epoch,
            "denoiser": JOINT_FILTERS.get(name, name) if JOINT in snapshot.denoisers else name,
            "n": None if before is None else len(before),
            **_compared_columns(raw, _compare(after, measurement.reference)),
            **_interval_columns(before, after, measurement.reference),
            "class_preserved": _class_preserved(before, after),
            **(restored if name in (MEAN, SAMPLE, JOINT) else dict.fromkeys(NOISE_LEVELS)),
            **{column: snapshot.log.get(column) for column in LOGGED},
            **({} if strength is None else {STRENGTH_COLUMN[name]: strength}),
        }


def best_strength(
    name: str, generator: weights.AnyGenerator, denoise: Network | None, measurement: Measurement
) -> float:
    """The strength of STRENGTHS that gives the smallest distance, on another seed and the held-out images."""
    seed = another_seed(measurement.seed)
    images = generate_images(generator, min(measurement.n, TUNING_SAMPLES[name]), seed)

    def distance(strength: float) -> float:
        denoised = denoise_images(name, images, denoise, strength, seed, measurement.tuned)
        return score(measurement.held_out, extract_features(denoised, measurement.held_out.network))

    return min(STRENGTHS[name], key=distance)


def generate_images(generator: weights.AnyGenerator, n: int, seed: int) -> ImagesF32:
    """The images (n, C, H, W) in [0, 1] of latents 0 to n - 1 of `seed`."""
    return as_numpy_function(generator)(latents(seed, 0, n, generator.latent_size))


def denoise_images(
    name: str,
    images: ImagesF32,
    denoise: Network | None,
    strength: float | None,
    seed: int,
    tuned: TunedParameters | None = None,
) -> ImagesF32:
    """Images (N, C, H, W) in [0, 1] after the denoiser of that name, of STRENGTHS with a strength.

    `tuned` are the filters' parameters, those for Fashion-MNIST by default.
    """
    parameters = tuned_for(tuned or load_tuned(), FILTERS[name], "float", 15 / 255) if name in FILTERS else {}
    match name:
        case "gaussian":
            return restore(FILTERS[name], images, 0.0, {**parameters, "width": strength})
        case "nlm":
            return restore(FILTERS[name], images, strength or 0.0, parameters)
    assert denoise is not None
    if strength is None:
        return denoise(images)
    starts = range(0, len(images), BATCH)
    return np.concatenate(
        [stochastic_denoise(images[s : s + BATCH], denoise, strength, STEPS, seed, start=s) for s in starts]
    )


def as_numpy_function(network: nn.Module) -> Network:
    """The network as a function of arrays (N, ...) float32 in batches, its images clipped to [0, 1]."""

    @torch.no_grad()
    def run(samples: ImagesF32) -> ImagesF32:
        batches = [network(torch.from_numpy(samples[s : s + BATCH])) for s in range(0, len(samples), BATCH)]
        images: ImagesF32 = torch.cat(batches).clamp(0, 1).numpy()
        return images

    return run


def _restoration_columns(denoise: Network | None, clean: ImagesF32) -> dict[str, float | None]:
    if denoise is None:
        return dict.fromkeys(NOISE_LEVELS)
    restored = {name: denoise(add_noise(clean, sigma, "float", seed=0)) for name, sigma in NOISE_LEVELS.items()}
    return {name: float(psnr(clean, images).clip(max=PSNR_CAP_DB).mean()) for name, images in restored.items()}


def _describe_epochs(selection: Selection) -> str:
    if not selection.every_epoch:
        return "the last"
    return ",".join(map(str, sorted(selection.epochs))) or "all"


def _describe_seen(folders: Sequence[Path], fitted: int) -> dict[str, str]:
    """The setting `seen`: the runs that were trained on held-out images too, which are after the first `fitted`."""
    stages = trained_stages(folders)
    seen = [stage.path for stage in stages if stage.read_fingerprint()["config"].get("images", 0) > fitted]
    names = dict.fromkeys(path.parent.name for path in seen)
    return {"seen": f"held-out images were part of the training of {', '.join(names)}"} if names else {}


def _compare(images: ImageSet | None, reference: Reference) -> Row:
    if images is None:
        return {}
    kernel, _ = kid(images.features, reference.features)
    return {**compare_with_reference(images, reference), "kid": kernel, **images.appearance()}


def _compared_columns(raw: Row, denoised: Row) -> Row:
    before, after = raw.get("distance"), denoised.get("distance")
    row: Row = {"raw": before, "denoised": after, "ratio": after / before if before and after is not None else None}
    for name in COMPARED:
        row |= {f"{name}_raw": raw.get(name), f"{name}_denoised": denoised.get(name)}
    return row


def _interval_columns(before: ImageSet | None, after: ImageSet | None, reference: Reference) -> Row:
    """The 95 % interval of the ratio over the latents, which both sets share; None without distances."""
    if before is None or after is None or reference.statistics is None or len(before) <= reference.network.width:
        return dict.fromkeys(("ratio_low", "ratio_high"))
    _, _, (_, low, high) = compare_distances(before.features, after.features, reference.statistics)
    return {"ratio_low": low, "ratio_high": high}


def _class_preserved(before: ImageSet | None, after: ImageSet | None) -> float | None:
    return None if before is None or after is None else share_of_equal_classes(before.labels, after.labels)
