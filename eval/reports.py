"""The three tables with everything that they depend on: load the graphs and the data, measure, describe."""

from __future__ import annotations

from pathlib import Path

from gan_denoise.data import fashion_mnist
from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.eval.baselines import load_tuned
from gan_denoise.eval.bench import run_bench
from gan_denoise.eval.denoising import evaluate_denoising
from gan_denoise.eval.generation import evaluate_generation
from gan_denoise.eval.machine import describe_machine
from gan_denoise.eval.progress import Track, untracked
from gan_denoise.eval.tables import Report
from gan_denoise.export import runtime


def bench_report(model: Path | None, repeats: int, threads: int, track: Track = untracked) -> Report:
    """The timings of `run_bench`; `settings["not measured"]` maps contenders to reasons. Raises what it raises."""
    fused = runtime.load(runtime.FUSED, model, threads=1)  # one thread starts no pool that could disturb
    machine = describe_machine(threads)  # before the load is our own
    rows, skipped = run_bench(model, fused.input_shape[0], threads, repeats, track=track)
    return Report(
        command="bench",
        title="z to image and denoised: a process each, in turn",
        rows=rows,
        model_sha256=fused.sha256,
        machine=machine,
        settings={"repeats": repeats, "not measured": skipped},
    )


def denoising_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> Report:
    """The rows of `evaluate_denoising` on the first n test images. Raises InputError when `model` is no denoiser."""
    denoiser = runtime.load(runtime.DENOISER, model, threads)
    clean = fashion_mnist.to_float(dataset.test.images[:n])
    return Report(
        command="eval denoising",
        title=f"Gaussian noise removed from {len(clean)} test images",
        rows=list(evaluate_denoising(denoiser, clean, load_tuned(), seed, track=track)),
        model_sha256=denoiser.sha256,
        machine=describe_machine(threads),
        settings={
            "images": f"the first {len(clean)} test images",
            "seed": seed,
            "sigma": "of pixels in [0, 1]",
            "noise": "float is unclipped, 8-bit clipped and rounded; outputs are clipped",
            "times": "filters one image at a time on one thread, the network batches of 64",
            "data_sha256": dataset.sha256,
        },
    )


def generation_report(
    model: Path | None, dataset: Dataset, n: int, seed: int, threads: int, track: Track = untracked
) -> Report:
    """The rows of `evaluate_generation` with the shipped feature network. Raises as it does, and as `runtime.load`."""
    fused = runtime.load(runtime.FUSED, model, threads)
    features = runtime.load(runtime.FEATURES, threads=threads)
    return Report(
        command="eval generation",
        title="Generated pictures, raw and denoised, against real ones",
        rows=list(evaluate_generation(fused, features, dataset, n, seed, track)),
        model_sha256=fused.sha256,
        machine=describe_machine(threads),
        settings={
            "reference": f"{len(dataset.test)} test images",
            "seed": seed,
            "pixels": "rounded to 8 bits, 28x28, not resized",
            "data_sha256": dataset.sha256,
        },
    )
