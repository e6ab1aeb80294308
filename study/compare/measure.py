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
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB
from gan_denoise.eval.denoising.resample import stochastic_denoise
from gan_denoise.eval.generation.reference import (
    ImageSet,
    Reference,
    compare_with_reference,
    distance_to,
    extract_features,
    features_name,
    make_reference,
    make_test_reference,
)
from gan_denoise.eval.inputs import check_training_data, describe_other_data
from gan_denoise.eval.metrics import class_balance, ffd
from gan_denoise.eval.metrics.prdc import K
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import add_noise
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export.convert import weights
from gan_denoise.export.latents import another_seed, latents
from gan_denoise.export.runtime import Graph
from gan_denoise.export.training_data import from_fingerprint
from gan_denoise.machine import describe_machine, usable_cores
from gan_denoise.study.compare.snapshots import Snapshot, find_snapshots, missing_epochs, trained_stages
from gan_denoise.study.compare.statistics import SAMPLE

BATCH = 250
SIGMAS, STEPS = (0.02, 0.05, 0.1, 0.2), 4  # of the denoiser `sample`, which uses the best sigma
TUNING_SAMPLES = 2_500  # images that sigma is chosen on
RESTORED_IMAGES = 500  # real images that a denoiser restores
NOISE_LEVELS = {"psnr_15": 15 / 255, "psnr_25": 25 / 255, "psnr_50": 50 / 255, "clean_db": 0.0}
LOGGED = ("pair_accuracy", "denoised_pair_accuracy", "images_per_s")

Row = dict[str, Any]
Network = Callable[[ImagesF32], ImagesF32]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What all rows share: FFD-1's network, the real images to compare with, and the latents 0 to n - 1 of `seed`."""

    network: Graph
    held_out: Reference  # sigma is chosen on it, also where `reference` is the test images
    reference: Reference
    n: int
    seed: int


def compare_runs(
    folders: Sequence[Path],
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    every_epoch: bool = False,
    on_test: bool = False,
    track: Track = untracked,
    other_data: bool = False,
) -> ResultTable:
    """The rows of `measure_snapshot` for all snapshots in the folders of runs.

    The reference is the last 5,000 training images, or if `on_test` the test images; then the distance is FFD-1.
    Raises as `find_snapshots`, `check_training_data`, `ffd.load_network` and `weights.load_generator` do.
    """
    snapshots = find_snapshots(folders, every_epoch)
    trained_on = {stage.path: from_fingerprint(stage.read_fingerprint()) for stage in trained_stages(folders)}
    for path, data in trained_on.items():
        check_training_data(path, [data], dataset, other_data)
    torch.set_num_threads(threads or usable_cores())
    network = ffd.load_network(threads=threads)
    held_out = make_reference(split_holdout(dataset.train)[1].images, network)
    reference = make_test_reference(dataset, network) if on_test else held_out
    measurement = Measurement(network, held_out, reference, n, seed)
    real = "test images: distances are FFD-1" if on_test else "held-out training images: distances are not FFD-1"
    return ResultTable(
        command="study compare",
        title="Trained runs: generated images before and after denoising",
        rows=[row for snapshot in track(snapshots) for row in measure_snapshot(snapshot, measurement)],
        model_sha256=None,
        machine=describe_machine(threads),
        settings={
            "folders": shlex.join(map(str, folders)),
            "epochs": "all" if every_epoch else "the last",
            "reference": f"{len(reference.images):,} {real}",
            "seed": seed,
            "data_sha256": dataset.sha256,
            **describe_other_data(list(dict.fromkeys(trained_on.values())), dataset),
        },
        notes={
            "epoch": "of the stage; for the denoiser joint, of joint training",
            "raw, denoised": f"Fréchet distances on {features_name(network)}, pixels rounded to 8 bits",
            "precision, recall": f"k = {K}",
            "PSNR": f"in dB, of the first {RESTORED_IMAGES} reference images, unclipped noise of seed 0, at most "
            f"{PSNR_CAP_DB:g}",
            "sigma": f"of the denoiser sample, {STEPS} steps: the best of {', '.join(map(str, SIGMAS))} on held-out "
            f"training images, with {min(n, TUNING_SAMPLES):,} images of seed {another_seed(seed)}",
        },
        skipped=missing_epochs(snapshots) if every_epoch else {},
    )


def measure_snapshot(snapshot: Snapshot, measurement: Measurement) -> Iterator[Row]:
    """One row for each denoiser of a snapshot.

    The columns: `run, seed, epoch, denoiser, n`; `raw, denoised` and their `ratio`, Fréchet distances before and after
    denoising; `precision, recall` of both; `class_preserved`, the fraction of images that the feature network assigns
    to the same class before and after; `psnr_15, psnr_25, psnr_50` in dB, of real images restored from noise of
    sigma 15/255, 25/255 and 50/255, and `clean_db` without noise; `pair_accuracy, denoised_pair_accuracy`, the
    fractions of pairs in which the discriminators score the real image above the generated one, and `images_per_s`,
    all logged for that epoch. What a run lacks is None. Only rows of `sample` have `sigma`, the noise that it adds.
    """
    generator = None if snapshot.gan is None else weights.load_generator(snapshot.gan)
    denoise = None if snapshot.denoiser is None else as_numpy_function(weights.load_denoiser(snapshot.denoiser))
    image = None if generator is None else generate_images(generator, measurement.n, measurement.seed)
    before = None if image is None else extract_features(image, measurement.network)
    raw = _compare(before, measurement.reference)
    restored = _restoration_columns(denoise, to_float(measurement.reference.images[:RESTORED_IMAGES]))
    for name in snapshot.denoisers:
        sigma, after = None, None
        if generator is not None and image is not None and denoise is not None:
            sigma = best_sigma(generator, denoise, measurement) if name == SAMPLE else None
            after = extract_features(denoise_images(image, denoise, sigma, measurement.seed), measurement.network)
        yield {
            "run": snapshot.run,
            "seed": snapshot.seed,
            "epoch": snapshot.epoch,
            "denoiser": name,
            "n": None if before is None else len(before),
            **_distance_columns(raw, _compare(after, measurement.reference)),
            "class_preserved": _class_preserved(before, after),
            **restored,
            **{name: snapshot.log.get(name) for name in LOGGED},
            **({} if sigma is None else {"sigma": sigma}),
        }


def best_sigma(generator: weights.AnyGenerator, denoise: Network, measurement: Measurement) -> float:
    """The sigma of SIGMAS for which `sample` gives the smallest distance, on another seed and the held-out images."""
    seed = another_seed(measurement.seed)
    images = generate_images(generator, min(measurement.n, TUNING_SAMPLES), seed)

    def distance(sigma: float) -> float:
        denoised = extract_features(denoise_images(images, denoise, sigma, seed), measurement.network)
        return distance_to(measurement.held_out, denoised)

    return min(SIGMAS, key=distance)


def generate_images(generator: weights.AnyGenerator, n: int, seed: int) -> ImagesF32:
    """The images (n, 1, 28, 28) in [0, 1] of latents 0 to n - 1 of `seed`."""
    return as_numpy_function(generator)(latents(seed, 0, n, generator.latent_size))


def denoise_images(images: ImagesF32, denoise: Network, sigma: float | None, seed: int) -> ImagesF32:
    """Images (N, 1, 28, 28) in [0, 1] after one pass, or with a sigma after `stochastic_denoise` in STEPS steps."""
    if sigma is None:
        return denoise(images)
    starts = range(0, len(images), BATCH)
    return np.concatenate(
        [stochastic_denoise(images[s : s + BATCH], denoise, sigma, STEPS, seed, start=s) for s in starts]
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


def _compare(images: ImageSet | None, reference: Reference) -> Row:
    return {} if images is None else dict(compare_with_reference(images, reference))


def _distance_columns(raw: Row, denoised: Row) -> Row:
    before, after = raw.get("distance"), denoised.get("distance")
    row: Row = {"raw": before, "denoised": after, "ratio": after / before if before and after is not None else None}
    for name in ("precision", "recall"):
        row |= {f"{name}_raw": raw.get(name), f"{name}_denoised": denoised.get(name)}
    return row


def _class_preserved(before: ImageSet | None, after: ImageSet | None) -> float | None:
    return None if before is None or after is None else class_balance.agreement(before.labels, after.labels)
