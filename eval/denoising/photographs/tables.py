"""The table of denoising photographs: measure with settings and notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_denoise.console import Track, untracked
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB
from gan_denoise.eval.denoising.methods import Method, not_installed
from gan_denoise.eval.denoising.photographs.evaluate import (
    CLEAN,
    REAL,
    REAL_NOISES,
    evaluate_photographs,
    gaussian_noises,
)
from gan_denoise.eval.denoising.photographs.files import find_photograph_files
from gan_denoise.eval.denoising.photographs.methods import FILTERS, classical_methods, network_method
from gan_denoise.eval.denoising.tables import side_by_side
from gan_denoise.eval.labels import NETWORK
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.machine import describe_machine
from gan_denoise.options import PHOTO, Provider

REAL_COLUMNS = ("psnr_db", "ssim", "gain_db", "worst_gain_db")
COST_COLUMNS = ("ms_per_megapixel", "parameters", "multiply_adds_per_pixel")
PHOTOGRAPH_SIGMAS = (15 / 255, 25 / 255, 50 / 255)
NOTES = {
    "PSNR, SSIM": f"means over the images; PSNR at most {PSNR_CAP_DB:g} dB an image, the value for identical images",
    "ms/megapixel": "CPU time on one thread",
    "filters": "one set of parameters relative to sigma, chosen on photographs of scikit-image; BM3D as published",
    "BM3D": "in colour CBM3D; the authors' package, for non-commercial use only",
    "networks": "not told sigma; one of 3 channels is given grey as equal channels, one of 1 each channel of colour",
}
GAUSSIAN_NOTES = {
    "sigma": "standard deviation for pixels in [0, 1]; the filters are told it and return their input at 0",
    "noise": "float is unclipped, 8-bit is clipped and rounded; results are clipped and rounded; default_rng(seed + i)",
}
REAL_NOTES = {
    "PSNR, clean": "of the denoised clean files, which should not change; filters that are told sigma return them",
    "sigma": "the filters are told the estimate of scikit-image's estimate_sigma",
    "gain": "PSNR over that of the noisy image: the mean, and that of the worst image",
}


def photographs_report(
    model: str | None,
    clean: Path,
    noisy: Path | None = None,
    *,
    sigmas: Sequence[float] | None = None,
    n: int | None = None,
    seed: int = 0,
    threads: int = 0,
    track: Track = untracked,
    name: str = NETWORK,
    versus: Mapping[str, Path] | None = None,
    provider: Provider = Provider.cpu,
) -> ResultTable:
    """The rows of `evaluate_photographs` for the folder `clean`, of the first `n` images or all.

    With the folder `noisy` the noise is real, without it Gaussian noise of `sigmas` is added, by default that of
    PHOTOGRAPH_SIGMAS. `model` (None: the shipped one for photographs), called `name`, and those of `versus` are what
    `network_method` takes. Filters whose package is missing are skipped. Raises InputError for folders and models that
    cannot be measured.
    """
    photographs = find_photograph_files(clean, noisy, n)
    models: dict[str, str | Path] = {name: model or PHOTO, **(versus or {})}
    networks: dict[str, Method] = {}
    for title, path in models.items():
        networks[title] = network_method(path, provider)
        provider = networks[title].provider  # of the first one, where it is chosen
    machine = describe_machine(threads, provider)  # before this benchmark itself adds to the load
    noises = REAL_NOISES if noisy else gaussian_noises(sigmas or PHOTOGRAPH_SIGMAS)
    methods = {**networks, **classical_methods()}
    return ResultTable(
        command="eval denoising",
        title=f"Denoising of photographs with {'real' if noisy else 'Gaussian'} noise",
        rows=list(evaluate_photographs(methods, photographs, noises, seed, threads, track)),
        model_sha256=networks[name].sha256,
        machine=machine,
        settings={
            "clean": str(clean),
            **({"noisy": str(noisy)} if noisy else {"seed": seed}),
            "images": f"{len(photographs)}, {photographs[0].name} to {photographs[-1].name}",
            "networks": {title: method.sha256 and method.sha256[:12] for title, method in networks.items()},
        },
        notes=NOTES | (REAL_NOTES if noisy else GAUSSIAN_NOTES),
        skipped=not_installed(FILTERS),
    )


def without_images(table: ResultTable) -> ResultTable:
    """The table without the values of each image, which only JSON shows."""
    rows = [{key: value for key, value in row.items() if key != "per_image"} for row in table.rows]
    return dataclasses.replace(table, rows=rows)


def for_reading(table: ResultTable) -> ResultTable:
    """One line a method, without the values of single images: all sigmas side by side, or real noise and none."""
    real = {row["method"]: row for row in table.rows if row["noise"] == REAL}
    if not real:
        return side_by_side(table)
    clean = {row["method"]: row for row in table.rows if row["noise"] == CLEAN}
    rows = [
        {
            "n": row["n"],
            "method": name,
            **{key: "" if row.get(key) is None else row[key] for key in REAL_COLUMNS},
            "clean_db": clean[name]["psnr_db"],
            **{key: "" if row[key] is None else row[key] for key in COST_COLUMNS},
        }
        for name, row in real.items()
    ]
    return dataclasses.replace(table, rows=rows)
