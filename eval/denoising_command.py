"""`eval denoising`: parse the options, measure on a data set or on photographs, print the table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from gan_denoise.console import model_option, print_warning
from gan_denoise.errors import UsageError
from gan_denoise.options import (
    DENOISER_HELP,
    FASHION,
    PHOTO,
    PHOTO_GREY,
    FormatOption,
    JsonOption,
    MeasuredDatasetOption,
    MeasuredPathOption,
    OtherDataOption,
    Provider,
    ProviderOption,
    QuietOption,
    SeedOption,
    TableFormat,
    ThreadsOption,
)

FUSED_FILE = "fused.onnx"  # as in runtime.py, which is slow to import
PHOTOGRAPHS = "Photographs"  # a panel in the help
OF_DATASETS = ("whole", "dataset", "data", "other_data")
TEST_IMAGES = 500


def denoising(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE|FOLDER",
            help=DENOISER_HELP,
            show_default="fashion, or photo with --clean",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model in the table.")] = "network",
    versus: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE|FOLDER", help="Another denoiser; repeatable.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            min=1,
            max=10_000,
            help="Number of images, from the first.",
            show_default=f"{TEST_IMAGES} test images, or all photographs",
        ),
    ] = None,
    clean: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Measure on the image files of this folder, of any size, grey or in colour.",
            show_default="Fashion-MNIST",
            rich_help_panel=PHOTOGRAPHS,
        ),
    ] = None,
    noisy: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The images of --clean with real noise, in files of the same names.",
            show_default="Gaussian noise is added",
            rich_help_panel=PHOTOGRAPHS,
        ),
    ] = None,
    sigma: Annotated[
        str | None,
        typer.Option(
            metavar="S,...",
            help="Standard deviations of the Gaussian noise, for pixels in [0, 1].",
            show_default="15/255,25/255,50/255",
            rich_help_panel=PHOTOGRAPHS,
        ),
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="Also measure the networks on all test images.")] = False,
    dataset: MeasuredDatasetOption = None,
    data: MeasuredPathOption = None,
    other_data: OtherDataOption = False,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    provider: ProviderOption = Provider.cpu,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare denoisers and classical filters by PSNR, SSIM and cost, on a data set's test images or on photographs.

    Filters are told the sigma of the noise, networks are not.
    Example: gan-denoise eval denoising --clean clean --noisy noisy
    """
    from gan_denoise.console import tracked
    from gan_denoise.eval.denoising.methods import CLASSICAL, parse_networks
    from gan_denoise.eval.denoising.photographs.methods import FILTERS
    from gan_denoise.eval.noise import parse_sigmas
    from gan_denoise.eval.result_table import print_skipped, print_table

    _check_options(context, model, clean, noisy)
    networks = parse_networks(versus or [], name, CLASSICAL if clean is None else FILTERS)
    sigmas = parse_sigmas(sigma) if sigma is not None else None
    print_runtimes_warning()
    _print_load_warning()
    options: dict[str, Any] = {"track": tracked("denoising"), "name": name, "versus": networks, "provider": provider}
    next_command: tuple[object, ...] = ()
    if clean is None:
        from gan_denoise.eval.denoising.tables import denoising_report, side_by_side
        from gan_denoise.eval.generation.features import own_accuracy
        from gan_denoise.eval.inputs import find_dataset
        from gan_denoise.export.runtime import DENOISER

        path = _fashion_path(model)
        images = find_dataset(DENOISER, path, dataset, data)
        options["accuracy"] = own_accuracy(images, path, threads)
        table = denoising_report(
            path, images, n or TEST_IMAGES, seed, threads, whole=whole, other_data=other_data, **options
        )
        next_command = ("eval", "generation", *model_option(path)) if has_graph(path, FUSED_FILE) else ()
        shown = table if table_format is TableFormat.csv else side_by_side(table)
    else:
        from gan_denoise.eval.denoising.photographs.tables import for_reading, photographs_report, without_images

        table = photographs_report(model, clean, noisy, sigmas=sigmas, n=n, seed=seed, threads=threads, **options)
        shown = without_images(table) if table_format is TableFormat.csv else for_reading(table)
    print_skipped(table)
    print_table(table if as_json else shown, as_json=as_json, table_format=table_format, next_command=next_command)


def _check_options(context: typer.Context, model: str | None, clean: Path | None, noisy: Path | None) -> None:
    """Raise UsageError for options that the measured images do not have."""
    given = [
        parameter
        for parameter in context.command.params
        if (source := context.get_parameter_source(str(parameter.name))) is not None and source.name == "COMMANDLINE"
    ]
    names = {str(parameter.name): parameter.opts[0] for parameter in given}
    if clean is None:
        if wrong := next((names[key] for key in ("noisy", "sigma") if key in names), None):
            raise UsageError.expected(wrong, "--clean DIR with it", "no --clean")
        if model in (PHOTO, PHOTO_GREY):
            got = f"{model}, for photographs of any size"
            raise UsageError.expected("--model", "a denoiser of Fashion-MNIST images", got, "--clean DIR measures it")
    elif wrong := next((names[key] for key in OF_DATASETS if key in names), None):
        raise UsageError.expected(
            f"--clean, {wrong}", "one of them", "both", f"{wrong} is for the images of a data set"
        )
    elif noisy is not None and (wrong := next((names[key] for key in ("sigma", "seed") if key in names), None)):
        raise UsageError.expected(f"--noisy, {wrong}", "one of them", "both", f"{wrong} is for noise that is added")


def _fashion_path(model: str | None) -> Path | None:
    return None if model in (None, FASHION) else Path(str(model))


def has_graph(model: Path | None, file: str) -> bool:
    """Whether `--model` names a folder with this graph; the shipped folder has all."""
    return model is None or (model / file).exists()


def print_runtimes_warning() -> None:
    """Warn on stderr if two onnxruntime packages are installed."""
    from gan_denoise.export.providers import warn_of_packages

    warn_of_packages()


def _print_load_warning() -> None:
    from gan_denoise.machine import busy_cores, load_warning

    if busy := load_warning(busy_cores(), os.cpu_count() or 1):
        print_warning(busy)
