"""Measure trained runs side by side: the effect of each denoiser on its generator's images, on FFD-1's features."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset, split_holdout
from gan_denoise.data.images import ImagesF32, to_float, to_uint8
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB
from gan_denoise.eval.denoising.filters import load_tuned, restore, tuned_for
from gan_denoise.eval.denoising.resample import stochastic_denoise
from gan_denoise.eval.generation.by_features import compare_distances
from gan_denoise.eval.generation.features import FeatureExtractor, load_extractor
from gan_denoise.eval.generation.reference import (
    ImageSet,
    Reference,
    compare_with_reference,
    distance_to,
    extract_features,
    features_name,
    make_reference,
    make_test_reference,
    real_appearance,
)
from gan_denoise.eval.inputs import check_training_data, describe_other_data
from gan_denoise.eval.metrics import class_balance, ffd
from gan_denoise.eval.metrics.kid import kid
from gan_denoise.eval.metrics.prdc import K
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import add_noise
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export.convert import weights
from gan_denoise.export.latents import another_seed, latents
from gan_denoise.export.runtime import Graph
from gan_denoise.export.training_data import from_fingerprint
from gan_denoise.machine import describe_machine, usable_cores
from gan_denoise.options import FFD_1
from gan_denoise.study.compare.crossover import CROSSOVER_RULE, crossovers
from gan_denoise.study.compare.snapshots import Selection, Snapshot, find_snapshots, missing_epochs, trained_stages
from gan_denoise.study.rows import GAUSSIAN, JOINT, MEAN, NLM, NONE, SAMPLE

BATCH = 250
STEPS = 4  # of the denoiser `sample`
STRENGTHS = {  # candidates of what is tuned for each generator: of `sample` and NLM sigma, of the filter pixels
    SAMPLE: (0.02, 0.05, 0.1, 0.2),
    GAUSSIAN: (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0),
    NLM: (0.01, 0.02, 0.04, 0.08, 0.12, 0.16),
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
    """What all rows share: the feature networks, the real images to compare with, and latents 0 to n - 1 of `seed`."""

    network: Graph  # of FFD-1, which also assigns the classes
    held_out: Reference  # by FFD-1's features: strengths are chosen on it, whatever `reference` is
    reference: Reference
    n: int
    seed: int
    extractor: FeatureExtractor | None = None  # of the distances, where it is not FFD-1's

    def image_set(self, images: ImagesF32) -> ImageSet:
        """Features, classes and appearance of images (N, 1, 28, 28) in [0, 1], rounded to 8 bits as in files."""
        pixels, image_set = to_uint8(images), ImageSet()
        features, logits = self.network.batched(to_float(pixels))
        image_set.add_features(features if self.extractor is None else self.extractor.extract(pixels), logits)
        image_set.add_appearance(pixels)
        return image_set


def compare_runs(
    folders: Sequence[Path],
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    selection: Selection = Selection(),
    on_test: bool = False,
    features: str = FFD_1,
    track: Track = untracked,
    other_data: bool = False,
) -> ResultTable:
    """The rows of `measure_snapshot` for the selected snapshots in the folders of runs.

    The reference is the last 5,000 training images, or if `on_test` the test images; then the distance by the default
    features is FFD-1. By other features it is as many images as are generated. Raises as `find_snapshots`,
    `check_training_data`, `load_extractor` and `weights.load_generator` do.
    """
    snapshots = find_snapshots(folders, selection)
    trained_on = {stage.path: from_fingerprint(stage.read_fingerprint()) for stage in trained_stages(folders)}
    for path, data in trained_on.items():
        check_training_data(path, [data], dataset, other_data)
    torch.set_num_threads(threads or usable_cores())
    network = ffd.load_network(threads=threads)
    extractor = None if features == FFD_1 else load_extractor(features, threads)
    held_out_images = split_holdout(dataset.train)[1].images
    held_out = make_reference(held_out_images, network)
    if extractor is None:
        reference = make_test_reference(dataset, network) if on_test else held_out
    else:
        reference = extractor.make_reference((dataset.test.images if on_test else held_out_images)[:n], network)
    measurement = Measurement(network, held_out, reference, n, seed, extractor)
    kind = ("test images" if on_test else "held-out training images") + (
        "" if extractor else ": distances are FFD-1" if on_test else ": distances are not FFD-1"
    )
    tuned = {
        name: f"the best of {', '.join(f'{value:g}' for value in STRENGTHS[name])} by FFD-1's features, on held-out "
        f"training images, with {min(n, TUNING_SAMPLES[name]):,} images of seed {another_seed(seed)}"
        for name in selection.extra
    }
    rows = [row for snapshot in track(snapshots) for row in measure_snapshot(snapshot, measurement)]
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
            "features": features_name(network) if extractor is None else extractor.label,
            "reference": f"{len(reference.images):,} {kind}",
            "real": {name: float(f"{value:.4g}") for name, value in real_appearance(reference.images).items()},
            "crossover": crossovers(rows),
            "seed": seed,
            "data_sha256": dataset.sha256,
            **describe_other_data(list(dict.fromkeys(trained_on.values())), dataset),
            **({} if on_test else _describe_seen(folders, len(dataset.train) - len(held_out_images))),
        },
        notes={
            "epoch": "of the generator; for joint, of joint training. The denoiser mean is always the finished one",
            "raw, denoised": "Fréchet distances, pixels rounded to 8 bits",
            "KID, precision, recall": f"by the same features, k = {K}",
            "class preserved": "by FFD-1's classifier",
            "PSNR": f"in dB, of the first {RESTORED_IMAGES} reference images, unclipped noise of seed 0, at most "
            f"{PSNR_CAP_DB:g}",
            "crossover": CROSSOVER_RULE,
            **{f"{STRENGTH_COLUMN[name]} of {name}": text for name, text in tuned.items()},
        },
        skipped=missing_epochs(snapshots) if selection.every_epoch and not selection.epochs else {},
    )


def measure_snapshot(snapshot: Snapshot, measurement: Measurement) -> Iterator[Row]:
    """One row for each denoiser of a snapshot.

    The columns: `run, seed, epoch, denoiser, n`; `raw, denoised` and their `ratio`, Fréchet distances before and after
    denoising, with `ratio_low, ratio_high`, its 95 % interval over the latents; `kid, precision, recall, sharpness,
    noise` of both; `class_preserved`, the fraction of images that the network of FFD-1 assigns to the same class before
    and after; `psnr_15, psnr_25, psnr_50` in dB, of real images restored from noise of sigma 15/255, 25/255 and 50/255,
    and `clean_db` without noise, of trained denoisers; `pair_accuracy, denoised_pair_accuracy`, the fractions of pairs
    in which the discriminators score the real image above the generated one, `images_per_s` and `seconds`, all logged
    for that epoch. What a run lacks is None. Rows of `sample` and `nlm` have `sigma`, rows of `gaussian` have
    `width_px`: the strengths that were chosen.
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
            after = measurement.image_set(denoise_images(name, image, denoise, strength, measurement.seed))
        yield {
            "run": snapshot.run,
            "seed": snapshot.seed,
            "epoch": snapshot.epoch,
            "denoiser": name,
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
        denoised = denoise_images(name, images, denoise, strength, seed)
        return distance_to(measurement.held_out, extract_features(denoised, measurement.network))

    return min(STRENGTHS[name], key=distance)


def generate_images(generator: weights.AnyGenerator, n: int, seed: int) -> ImagesF32:
    """The images (n, 1, 28, 28) in [0, 1] of latents 0 to n - 1 of `seed`."""
    return as_numpy_function(generator)(latents(seed, 0, n, generator.latent_size))


def denoise_images(
    name: str, images: ImagesF32, denoise: Network | None, strength: float | None, seed: int
) -> ImagesF32:
    """Images (N, 1, 28, 28) in [0, 1] after the denoiser of that name, of STRENGTHS with a strength."""
    parameters = tuned_for(load_tuned(), FILTERS[name], "float", 15 / 255) if name in FILTERS else {}
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
    """The 95 % interval of the ratio over the latents, which both sets share."""
    if before is None or after is None:
        return dict.fromkeys(("ratio_low", "ratio_high"))
    _, _, (_, low, high) = compare_distances(before.features, after.features, reference.statistics)
    return {"ratio_low": low, "ratio_high": high}


def _class_preserved(before: ImageSet | None, after: ImageSet | None) -> float | None:
    return None if before is None or after is None else class_balance.agreement(before.labels, after.labels)
