"""The denoising table: measure with settings and notes, and pivot to one line per method and one column per sigma."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_denoise.console import Track, untracked
from gan_denoise.data.dataset import Dataset, split_holdout
from gan_denoise.data.images import to_float
from gan_denoise.eval.columns import format_value
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB, Accuracy, evaluate_denoising
from gan_denoise.eval.denoising.methods import TRAINING_IMAGES, Method, classical, network, not_installed
from gan_denoise.eval.denoising.tuning import tuned_filters
from gan_denoise.eval.inputs import describe_other_data
from gan_denoise.eval.labels import NETWORK
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.machine import describe_machine
from gan_denoise.options import BATCH, Provider

NOTES = {
    "sigma": "standard deviation for pixels in [0, 1]; the filters are given it and return their input at 0",
    "noise": "float is unclipped, 8-bit is clipped and rounded; outputs are clipped",
    "PSNR": f"at most {PSNR_CAP_DB:g} dB an image, the value for identical images",
    "ms/image": f"CPU time on one thread; filters one image at a time, networks in batches of {BATCH}",
    "class accuracy": "of the model's own classifier on the restored images, by sigma",
    "BM3D": "the authors' package, for non-commercial use only",
}

TIMES = ("ms_per_image", "ms_per_megapixel")
SIZES = ("parameters", "multiply_adds", "multiply_adds_per_pixel")

Row = Mapping[str, Any]


def side_by_side(table: ResultTable) -> ResultTable:
    """The rows of a method with all sigmas in one line: `n, noise, method`, PSNR and SSIM, the costs.

    The time is the median over the sigmas. Costs that a method does not have are empty.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in table.rows:
        groups.setdefault((row["n"], row["noise"], row["method"]), []).append(row)
    rows = [_line(group) for group in groups.values()]
    return dataclasses.replace(table, title=f"{table.title}: PSNR in dB and SSIM", rows=rows)


def _line(rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    time = next(name for name in TIMES if name in first)
    times = [row[time] for row in rows if row[time] is not None]
    return {
        "n": first["n"],
        "noise": first["noise"],
        "method": first["method"],
        **{
            format_value("sigma", row["sigma"]): f"{format_value('psnr_db', row['psnr_db'])} {row['ssim']:.3f}"
            for row in rows
        },
        time: statistics.median(times) if times else "",
        **{name: "" if first[name] is None else first[name] for name in SIZES if name in first},
        **_accuracies(rows),
    }


def _accuracies(rows: Sequence[Row]) -> dict[str, str]:
    """The classifier's accuracy at all sigmas in one cell, lowest noise first; empty where it was not measured."""
    shares = [format_value("class_accuracy", row["class_accuracy"]) for row in rows if "class_accuracy" in row]
    return {"class_accuracy": " ".join(shares)} if shares else {}


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
    other_data: bool = False,
    accuracy: Accuracy | None = None,
    provider: Provider = Provider.cpu,
) -> ResultTable:
    """The rows of `evaluate_denoising` on the first n test images; if `whole`, the networks' on all after that.

    `model`, called `name` in the table, and the models of `versus` are denoisers. Methods whose package is missing are
    skipped. Raises InputError when a model is not a denoiser, or was trained on other data and `other_data` is not set.
    """
    models = {name: model, **(versus or {})}
    networks: dict[str, Method] = {}
    for title, path in models.items():
        networks[title] = network(path, dataset, other_data, provider)
        provider = networks[title].provider  # of the first one, where it is chosen
    recorded = dict.fromkeys(data for method in networks.values() for data in method.trained_on)
    fit, _ = split_holdout(dataset.train)
    methods = {**networks, **classical(tuned_filters(dataset, track), to_float(fit.images[:TRAINING_IMAGES]))}
    machine = describe_machine(threads, provider)  # before this benchmark itself adds to the load
    rows: list[dict[str, Any]] = []
    for compared, count in ((methods, n), (networks, len(dataset.test) if whole else 0)):
        if count:
            clean = to_float(dataset.test.images[:count])
            rows += evaluate_denoising(compared, clean, seed, threads=threads, track=track, accuracy=accuracy)
    all_images = ", then all of them for the networks" if whole else ""
    return ResultTable(
        command="eval denoising",
        title="Denoising of test images with Gaussian noise",
        rows=rows,
        model_sha256=networks[name].sha256,
        machine=machine,
        settings={
            "images": f"the first {min(n, len(dataset.test))} test images{all_images}",
            "networks": {title: method.sha256 and method.sha256[:12] for title, method in networks.items()},
            "seed": seed,
            "data_sha256": dataset.sha256,
            **describe_other_data(list(recorded), dataset),
        },
        notes=NOTES,
        skipped=not_installed(),
    )
