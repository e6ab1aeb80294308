"""The command `train photo`: parse, call one function, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import print_result
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.options import MAX_SEED, OUTPUT, DatasetName, JsonOption, QuietOption, ThreadsOption
from gan_denoise.study.config import PhotoDenoiserConfig, config_sha256, to_json
from gan_denoise.study.options import (
    ConfigOption,
    Device,
    DeviceOption,
    DryRunOption,
    Precision,
    PrecisionOption,
    ResumeInexactOption,
    ResumeOption,
    SetOption,
    TensorBoardOption,
    check_torch,
    run_options,
)
from gan_denoise.study.overrides import read_config, set_fields

PhotographsOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Folder of the photographs.", show_default="the cache"),
]


def photo(
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs. Default: the configuration's.")] = None,
    assignments: SetOption = None,
    config_file: ConfigOption = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MAX_SEED, help="Random seed. Default: that of --config, or 0.")
    ] = None,
    device: DeviceOption = Device.auto,
    threads: ThreadsOption = 0,
    precision: PrecisionOption = Precision.float32,
    data: PhotographsOption = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE|FOLDER",
            help="Start from weights: the shipped photo or photo-grey, a file, or denoiser.safetensors in a folder.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder.", rich_help_panel=OUTPUT)] = Path("runs/photo"),
    resume: ResumeOption = False,
    resume_inexact: ResumeInexactOption = False,
    tensorboard: TensorBoardOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the denoiser for photographs, which `denoise` uses; takes hours. One channel: the one for grey photographs.

    Example: gan-denoise train photo --epochs 2 --out runs/photo
    Example: gan-denoise train photo --set network.channels=1 --out runs/photo-grey
    Example: gan-denoise train photo --start photo --set learning_rate=3e-4 --out runs/longer
    """
    base = PhotoDenoiserConfig()
    config, file_seed = (base, None) if config_file is None else read_config(config_file, base)
    config = set_fields(config, [*(assignments or ()), *([f"epochs={epochs}"] if epochs else [])])
    seed = seed if seed is not None else file_seed or 0
    settings = {**to_json(config), "seed": seed, "config_sha256": config_sha256(config)}
    if dry_run:
        typer.echo(json.dumps(settings, indent=1))
        return
    check_torch()
    from gan_denoise.data.datasets import load_dataset
    from gan_denoise.study.run import ranks
    from gan_denoise.study.train.image_shape import check_size
    from gan_denoise.study.train.photo_denoiser import train_photo_denoiser

    options = run_options(seed, device, threads, precision, resume, tensorboard, resume_inexact)
    with ranks.joined(options.device):
        dataset = load_dataset(DatasetName.photos, data)
        check_size(config, dataset.train.shape[-1])
        train_photo_denoiser(config, dataset, out, options, start)
    stage = RunFolder(out).denoiser.path
    settings |= {"device": device, "threads": threads, "precision": precision}
    following = ("export", out, "--out", "exported")
    print_result("train photo", [stage], as_json, following, settings=settings, written=[stage])
