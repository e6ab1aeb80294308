"""Trained runs side by side: what each denoiser makes of its generator's pictures, by the network of FFD-1."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gan_denoise.cores import usable_cores
from gan_denoise.data.fashion_mnist import Dataset, Floats, fit_and_holdout, to_float
from gan_denoise.eval import classes, ffd
from gan_denoise.eval.denoising import CEILING_DB
from gan_denoise.eval.frechet import frechet_distance, statistics
from gan_denoise.eval.generation import features_name
from gan_denoise.eval.machine import describe_machine
from gan_denoise.eval.prdc import K
from gan_denoise.eval.reference import Reference, Seen, against, reference_of, see
from gan_denoise.eval.restoration import add_noise, psnr
from gan_denoise.eval.sampling import resample
from gan_denoise.eval.tables import Report
from gan_denoise.export import weights
from gan_denoise.export.runtime import Graph, another_seed, latents
from gan_denoise.progress import Track, untracked
from gan_denoise.study.ages import Age, ages_of
from gan_denoise.study.summary import SAMPLE

BATCH = 250
SIGMAS, STEPS = (0.02, 0.05, 0.1, 0.2), 4  # of `sample`, which takes the best sigma
TRIALS = 2_500  # pictures that sigma is chosen on
NOISED = 500  # real pictures that a denoiser restores
LEVELS = {"psnr_15": 15 / 255, "psnr_25": 25 / 255, "psnr_50": 50 / 255, "clean_db": 0.0}
LOGGED = ("pair_accuracy", "denoised_pair_accuracy", "images_per_s")

Row = dict[str, Any]
Network = Callable[[Floats], Floats]


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
) -> Report:
    """The rows of `rows_of` for all that `ages_of` finds in the folders of runs.

    They are held against the last 5,000 training images, or if `on_test` the test images, which makes the distances
    FFD-1. Raises as `ages_of`, `ffd.load_network` and `weights.load_generator` do.
    """
    ages = ages_of(folders, every_epoch)
    torch.set_num_threads(threads or usable_cores())
    network = ffd.load_network(threads=threads)
    held_out = reference_of(fit_and_holdout(dataset.train)[1].images, network)
    reference = reference_of(dataset.test.images, network, ffd.pinned().reference) if on_test else held_out
    measure = Measure(network, held_out, reference, n, seed)
    real = "test images: distances are FFD-1" if on_test else "held-out training images: distances are no FFD-1"
    return Report(
        command="study compare",
        title="Trained runs: pictures as generated and as denoised",
        rows=[row for age in track(ages) for row in rows_of(age, measure)],
        model_sha256=None,
        machine=describe_machine(threads),
        settings={
            "folders": shlex.join(map(str, folders)),
            "epochs": "all" if every_epoch else "the last",
            "epoch": "of the stage, which for joined is the join",
            "reference": f"{len(reference.images):,} {real}",
            "raw, denoised": f"Fréchet distances on {features_name(network)}, pixels rounded to 8 bits",
            "precision, recall": f"k = {K}",
            "psnr, clean": f"dB, of the reference's first {NOISED}, noise of seed 0 unclipped, at most {CEILING_DB:g}",
            "sigma": f"of sample, {STEPS} steps: the best of {', '.join(map(str, SIGMAS))} on held-out training images "
            f"with {min(n, TRIALS):,} pictures of seed {another_seed(seed)}",
            "seed": seed,
            "data_sha256": dataset.sha256,
        },
    )


def rows_of(age: Age, measure: Measure) -> Iterator[Row]:
    """A row for each way in which a run denoises at an age.

    The columns: `run, seed, epoch, denoiser, n`; `raw, denoised` and their `ratio`, distances before and after the
    denoiser; `precision, recall` of both; `same_class`, the share that the feature network puts into the same class
    before and after; `psnr_15, psnr_25, psnr_50` in dB, of what the denoiser makes of real pictures with that noise of
    255, and `clean_db` without any; `pair_accuracy, denoised_pair_accuracy`, the shares of pairs of a real and a made
    picture that the discriminators put right in that epoch's training, and its `images_per_s`. What a run lacks is
    None. `sample` alone has the `sigma` of the noise that it adds.
    """
    generator = None if age.gan is None else weights.load_generator(age.gan)
    denoise = None if age.denoiser is None else on_arrays(weights.load_denoiser(age.denoiser))
    image = None if generator is None else drawn(generator, measure.n, measure.seed)
    before = None if image is None else see(image, measure.network)
    start = against(before, measure.reference)
    restored = _restored(denoise, to_float(measure.reference.images[:NOISED]))
    for name in age.denoisers:
        sigma, after = None, None
        if generator is not None and image is not None and denoise is not None:
            sigma = best_sigma(generator, denoise, measure) if name == SAMPLE else None
            after = see(denoised(image, denoise, sigma, measure.seed), measure.network)
        yield {
            "run": age.run,
            "seed": age.seed,
            "epoch": age.epoch,
            "denoiser": name,
            "n": None if before is None else len(before.labels),
            **_side_by_side(start, against(after, measure.reference)),
            "same_class": _same_class(before, after),
            **restored,
            **{name: age.log.get(name) for name in LOGGED},
            **({} if sigma is None else {"sigma": sigma}),
        }


def best_sigma(generator: weights.AnyGenerator, denoise: Network, measure: Measure) -> float:
    """The sigma of SIGMAS with which `sample` takes pictures of another seed closest to the held-out ones."""
    seed = another_seed(measure.seed)
    images = drawn(generator, min(measure.n, TRIALS), seed)

    def distance(sigma: float) -> float:
        seen = see(denoised(images, denoise, sigma, seed), measure.network)
        return frechet_distance(statistics(seen.features), measure.held_out.statistics)

    return min(SIGMAS, key=distance)


def drawn(generator: weights.AnyGenerator, n: int, seed: int) -> Floats:
    """The pictures (n, 1, 28, 28) in [0, 1] of latents 0 to n - 1 of `seed`."""
    return on_arrays(generator)(latents(seed, 0, n, generator.latent_size))


def denoised(images: Floats, denoise: Network, sigma: float | None, seed: int) -> Floats:
    """Images (N, 1, 28, 28) in [0, 1] after one pass, or with a sigma after `resample` in STEPS steps."""
    if sigma is None:
        return denoise(images)
    starts = range(0, len(images), BATCH)
    return np.concatenate([resample(images[s : s + BATCH], denoise, sigma, STEPS, seed, start=s) for s in starts])


def on_arrays(network: nn.Module) -> Network:
    """The network in evaluation as a function of arrays (N, ...) float32, its images clipped to [0, 1]."""

    @torch.no_grad()
    def run(samples: Floats) -> Floats:
        parts = [network(torch.from_numpy(samples[s : s + BATCH])) for s in range(0, len(samples), BATCH)]
        images: Floats = torch.cat(parts).clamp(0, 1).numpy()
        return images

    return run


def _restored(denoise: Network | None, clean: Floats) -> dict[str, float | None]:
    if denoise is None:
        return dict.fromkeys(LEVELS)
    restored = {name: denoise(add_noise(clean, sigma, "float", seed=0)) for name, sigma in LEVELS.items()}
    return {name: float(psnr(clean, found).clip(max=CEILING_DB).mean()) for name, found in restored.items()}


def _side_by_side(start: dict[str, float | None], end: dict[str, float | None]) -> Row:
    raw, after = start["distance"], end["distance"]
    row: Row = {"raw": raw, "denoised": after, "ratio": after / raw if raw and after is not None else None}
    for name in ("precision", "recall"):
        row |= {f"{name}_raw": start[name], f"{name}_denoised": end[name]}
    return row


def _same_class(before: Seen | None, after: Seen | None) -> float | None:
    return None if before is None or after is None else classes.agreement(before.labels, after.labels)
