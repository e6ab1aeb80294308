"""Trained runs side by side: what each denoiser makes of its generator's images, by the network of FFD-1."""

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
from gan_denoise.eval.metrics import class_balance, ffd
from gan_denoise.eval.metrics.prdc import K
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import add_noise
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export.convert import weights
from gan_denoise.export.latents import another_seed, latents
from gan_denoise.export.runtime import Graph
from gan_denoise.machine import describe_machine, usable_cores
from gan_denoise.study.compare.snapshots import Snapshot, find_snapshots
from gan_denoise.study.compare.statistics import SAMPLE

BATCH = 250
SIGMAS, STEPS = (0.02, 0.05, 0.1, 0.2), 4  # of `sample`, which takes the best sigma
TUNING_SAMPLES = 2_500  # images that sigma is chosen on
RESTORED_IMAGES = 500  # real images that a denoiser restores
LEVELS = {"psnr_15": 15 / 255, "psnr_25": 25 / 255, "psnr_50": 50 / 255, "clean_db": 0.0}
LOGGED = ("pair_accuracy", "denoised_pair_accuracy", "images_per_s")

Row = dict[str, Any]
Network = Callable[[ImagesF32], ImagesF32]


@dataclass(frozen=True, slots=True)
class Measure:
    """What all rows share: the network of FFD-1, the reference, and the latents 0 to n - 1 of `seed`."""

    network: Graph
    held_out: Reference  # sigma is chosen on it, whatever the rows are measured on
    reference: Reference
    n: int
    seed: int


def compare_report(
    folders: Sequence[Path],
    dataset: Dataset,
    n: int,
    seed: int,
    threads: int,
    every_epoch: bool = False,
    on_test: bool = False,
    track: Track = untracked,
) -> ResultTable:
    """The rows of `rows_of` for all that `ages_of` finds in the folders of runs.

    They are held against the last 5,000 training images, or if `on_test` the test images, which makes the distances
    FFD-1. Raises as `ages_of`, `ffd.load_network` and `weights.load_generator` do.
    """
    ages = find_snapshots(folders, every_epoch)
    torch.set_num_threads(threads or usable_cores())
    network = ffd.load_network(threads=threads)
    held_out = make_reference(split_holdout(dataset.train)[1].images, network)
    reference = make_test_reference(dataset, network) if on_test else held_out
    measure = Measure(network, held_out, reference, n, seed)
    real = "test images: distances are FFD-1" if on_test else "held-out training images: distances are not FFD-1"
    return ResultTable(
        command="study compare",
        title="Trained runs: images as generated and as denoised",
        rows=[row for age in track(ages) for row in rows_of(age, measure)],
        model_sha256=None,
        machine=describe_machine(threads),
        settings={
            "folders": shlex.join(map(str, folders)),
            "epochs": "all" if every_epoch else "the last",
            "reference": f"{len(reference.images):,} {real}",
            "seed": seed,
            "data_sha256": dataset.sha256,
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
    )


def rows_of(age: Snapshot, measure: Measure) -> Iterator[Row]:
    """A row for each way in which a run denoises at an age.

    The columns: `run, seed, epoch, denoiser, n`; `raw, denoised` and their `ratio`, distances before and after the
    denoiser; `precision, recall` of both; `class_preserved`, the share that the feature network puts into the same class
    before and after; `psnr_15, psnr_25, psnr_50` in dB, of what the denoiser makes of real images with that noise of
    255, and `clean_db` without any; `pair_accuracy, denoised_pair_accuracy`, the shares of pairs of a real and a made
    image that the discriminators put right in that epoch's training, and its `images_per_s`. What a run lacks is
    None. `sample` alone has the `sigma` of the noise that it adds.
    """
    generator = None if age.gan is None else weights.load_generator(age.gan)
    denoise = None if age.denoiser is None else as_numpy_function(weights.load_denoiser(age.denoiser))
    image = None if generator is None else generate_images(generator, measure.n, measure.seed)
    before = None if image is None else extract_features(image, measure.network)
    start = _compared(before, measure.reference)
    restored = _restored(denoise, to_float(measure.reference.images[:RESTORED_IMAGES]))
    for name in age.denoisers:
        sigma, after = None, None
        if generator is not None and image is not None and denoise is not None:
            sigma = best_sigma(generator, denoise, measure) if name == SAMPLE else None
            after = extract_features(denoise_images(image, denoise, sigma, measure.seed), measure.network)
        yield {
            "run": age.run,
            "seed": age.seed,
            "epoch": age.epoch,
            "denoiser": name,
            "n": None if before is None else len(before),
            **_side_by_side(start, _compared(after, measure.reference)),
            "class_preserved": _same_class(before, after),
            **restored,
            **{name: age.log.get(name) for name in LOGGED},
            **({} if sigma is None else {"sigma": sigma}),
        }


def best_sigma(generator: weights.AnyGenerator, denoise: Network, measure: Measure) -> float:
    """The sigma of SIGMAS with which `sample` takes images of another seed closest to the held-out ones."""
    seed = another_seed(measure.seed)
    images = generate_images(generator, min(measure.n, TUNING_SAMPLES), seed)

    def distance(sigma: float) -> float:
        denoised = extract_features(denoise_images(images, denoise, sigma, seed), measure.network)
        return distance_to(measure.held_out, denoised)

    return min(SIGMAS, key=distance)


def generate_images(generator: weights.AnyGenerator, n: int, seed: int) -> ImagesF32:
    """The images (n, 1, 28, 28) in [0, 1] of latents 0 to n - 1 of `seed`."""
    return as_numpy_function(generator)(latents(seed, 0, n, generator.latent_size))


def denoise_images(images: ImagesF32, denoise: Network, sigma: float | None, seed: int) -> ImagesF32:
    """Images (N, 1, 28, 28) in [0, 1] after one pass, or with a sigma after `resample` in STEPS steps."""
    if sigma is None:
        return denoise(images)
    starts = range(0, len(images), BATCH)
    return np.concatenate(
        [stochastic_denoise(images[s : s + BATCH], denoise, sigma, STEPS, seed, start=s) for s in starts]
    )


def as_numpy_function(network: nn.Module) -> Network:
    """The network in evaluation as a function of arrays (N, ...) float32, its images clipped to [0, 1]."""

    @torch.no_grad()
    def run(samples: ImagesF32) -> ImagesF32:
        parts = [network(torch.from_numpy(samples[s : s + BATCH])) for s in range(0, len(samples), BATCH)]
        images: ImagesF32 = torch.cat(parts).clamp(0, 1).numpy()
        return images

    return run


def _restored(denoise: Network | None, clean: ImagesF32) -> dict[str, float | None]:
    if denoise is None:
        return dict.fromkeys(LEVELS)
    restored = {name: denoise(add_noise(clean, sigma, "float", seed=0)) for name, sigma in LEVELS.items()}
    return {name: float(psnr(clean, found).clip(max=PSNR_CAP_DB).mean()) for name, found in restored.items()}


def _compared(images: ImageSet | None, reference: Reference) -> Row:
    return {} if images is None else dict(compare_with_reference(images, reference))


def _side_by_side(start: Row, end: Row) -> Row:
    raw, after = start.get("distance"), end.get("distance")
    row: Row = {"raw": raw, "denoised": after, "ratio": after / raw if raw and after is not None else None}
    for name in ("precision", "recall"):
        row |= {f"{name}_raw": start.get(name), f"{name}_denoised": end.get(name)}
    return row


def _same_class(before: ImageSet | None, after: ImageSet | None) -> float | None:
    return None if before is None or after is None else class_balance.agreement(before.labels, after.labels)
