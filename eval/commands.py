"""`bench` and the `eval` commands that measure: parse the options, call one function, print the table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import model_option
from gan_denoise.errors import UsageError
from gan_denoise.eval import artifact_commands, denoising_command
from gan_denoise.eval.denoising_command import FUSED_FILE, has_graph, print_runtimes_warning
from gan_denoise.options import (
    ALL,
    MACHINE,
    FormatOption,
    JsonOption,
    MeasuredDatasetOption,
    MeasuredPathOption,
    ModelFolderOption,
    ModelOption,
    OtherDataOption,
    Provider,
    ProviderOption,
    QuietOption,
    SeedOption,
    TableFormat,
    ThreadsOption,
)

Samples = Annotated[int, typer.Option("-n", min=97, help="Number of images to generate.")]

OneFeatureOption = Annotated[
    str | None,
    typer.Option(
        "--features",
        metavar="NAME|FILE",
        help="Compare by these features, as in `eval generation`.",
        show_default="what fits the images",
    ),
]
FeaturesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        metavar="NAME|FILE",
        help="Compare by these features: ffd-1, classifier-2, classifier (the run's own), imagenet, pixels, all that "
        "fit the images, an ONNX file, or torch-fidelity's Inception-v3 (.pth), for FID; repeatable.",
        show_default="what fits the images",
    ),
]

DENOISER_FILE = "denoiser.onnx"  # as in runtime.py, which is slow to import

app = typer.Typer(
    no_args_is_help=True, help="Measure denoising and generation.\n\nExample: gan-denoise eval generation -n 1000"
)


def bench(
    model: ModelOption = None,
    vs: Annotated[
        str | None,
        typer.Option(
            metavar="BACKEND,...",
            help="Backends to compare with: torch, compile, openvino, or another model as NAME=FILE|FOLDER.",
            show_default="torch",
        ),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Profile each graph node instead of comparing backends.")
    ] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Calls for each batch size.")] = 100,
    pause: Annotated[
        float, typer.Option(min=0, max=60, help="Seconds between the turns of two backends.", rich_help_panel=MACHINE)
    ] = 0.25,
    threads: ThreadsOption = 0,
    provider: ProviderOption = Provider.cpu,
    force_busy: Annotated[
        bool,
        typer.Option("--force-busy", help="Measure although other programs use the cores.", rich_help_panel=MACHINE),
    ] = False,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Time the fused graph and compare it with two separate graphs and with other backends.

    Example: gan-denoise bench --vs torch,compile,openvino,int8=int8.onnx
    """
    from gan_denoise.console import tracked
    from gan_denoise.eval.bench.backends import parse_backends
    from gan_denoise.eval.bench.tables import bench_report, profile_report
    from gan_denoise.eval.result_table import print_skipped, print_table

    if profile and vs is not None:
        raise UsageError.expected("--profile, --vs", "one of them", "both")
    if profile and provider is not Provider.cpu:
        raise UsageError.expected("--profile", "--provider cpu, whose nodes it times", provider)
    third_party, models = parse_backends("torch" if vs is None else vs)
    print_runtimes_warning()
    if profile:
        table = profile_report(model, repeats, threads, force_busy=force_busy)
        next_command: tuple[object, ...] = ("bench", *model_option(model))
    else:
        track = tracked("timing")
        table = bench_report(
            model,
            repeats,
            threads,
            third_party,
            models,
            track,
            provider=provider,
            pause_s=pause,
            force_busy=force_busy,
        )
        next_command = ("bench", *model_option(model), "--profile")
        print_skipped(table)
    if unstable := sum(row.get("stable") is False for row in table.rows):
        status = f"{unstable} of {len(table.rows)} rows are unstable: the rounds differ by more than 20 %"
        typer.echo(status, err=True)
    print_table(table, as_json=as_json, table_format=table_format, next_command=next_command)


app.command()(denoising_command.denoising)


@app.command()
def generation(
    model: ModelOption = None,
    n: Samples = 10_000,
    features: FeaturesOption = None,
    alone: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="With --features: also compare with a generator that was trained without the denoiser.",
            show_default="none",
        ),
    ] = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    dataset: MeasuredDatasetOption = None,
    data: MeasuredPathOption = None,
    other_data: OtherDataOption = False,
    provider: ProviderOption = Provider.cpu,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare raw and denoised generated images with real images.

    Example: gan-denoise eval generation -n 3000 --features all
    """
    from gan_denoise.console import tracked
    from gan_denoise.eval.generation.features import list_features
    from gan_denoise.eval.generation.tables import features_report, generation_report
    from gan_denoise.eval.inputs import find_dataset, load_model
    from gan_denoise.eval.result_table import print_skipped, print_table
    from gan_denoise.export.runtime import FUSED, GENERATOR

    images, track = find_dataset(FUSED, model, dataset, data), tracked("generating")
    names = [part for name in features or () for part in (list_features(images, model) if name == ALL else [name])]
    if names:
        generator = None if alone is None else load_model(GENERATOR, alone, threads, images, other_data, provider)
        table = features_report(
            names, model, images, n, seed, threads, track, other_data=other_data, provider=provider, alone=generator
        )
        print_skipped(table)
    elif alone is not None:
        raise UsageError.expected("--alone", "--features with it", "none", "add --features all")
    else:
        table = generation_report(model, images, n, seed, threads, track, other_data=other_data, provider=provider)
    next_command = ("eval", "classes", *model_option(model))
    print_table(table, as_json=as_json, table_format=table_format, next_command=next_command)


@app.command()
def controls(
    model: ModelFolderOption = None,
    n: Samples = 10_000,
    features: OneFeatureOption = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    dataset: MeasuredDatasetOption = None,
    data: MeasuredPathOption = None,
    other_data: OtherDataOption = False,
    provider: ProviderOption = Provider.cpu,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare the denoiser with filters of the same images, a Gaussian mixture, and denoised real images.

    Example: gan-denoise eval controls -n 1000
    """
    from gan_denoise.console import tracked
    from gan_denoise.eval.generation.tables import controls_report
    from gan_denoise.eval.inputs import find_dataset
    from gan_denoise.eval.result_table import print_skipped, print_table
    from gan_denoise.export.runtime import FUSED

    images, track = find_dataset(FUSED, model, dataset, data), tracked("controls")
    table = controls_report(
        model, images, n, seed, threads, track, other_data=other_data, provider=provider, features=features
    )
    print_skipped(table)
    next_command = ("bench", *model_option(model))
    print_table(table, as_json=as_json, table_format=table_format, next_command=next_command)


@app.command("classes")
def classes_command(
    model: ModelOption = None,
    n: Samples = 10_000,
    features: OneFeatureOption = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    dataset: MeasuredDatasetOption = None,
    data: MeasuredPathOption = None,
    other_data: OtherDataOption = False,
    provider: ProviderOption = Provider.cpu,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Show the class distribution and the recall of each class of generated images.

    Example: gan-denoise eval classes -n 1000
    """
    from gan_denoise.console import tracked
    from gan_denoise.eval.generation.tables import classes_report
    from gan_denoise.eval.inputs import find_dataset
    from gan_denoise.eval.result_table import print_table
    from gan_denoise.export.runtime import FUSED

    images, track = find_dataset(FUSED, model, dataset, data), tracked("generating")
    table = classes_report(
        model, images, n, seed, threads, track, other_data=other_data, provider=provider, features=features
    )
    next_command = ("eval", "copies", *model_option(model))
    print_table(table, as_json=as_json, table_format=table_format, next_command=next_command)


@app.command()
def subsets(
    model: ModelOption = None,
    n: Annotated[int, typer.Option("-n", min=97, max=10_000, help="Number of images to generate.")] = 10_000,
    features: OneFeatureOption = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    dataset: MeasuredDatasetOption = None,
    data: MeasuredPathOption = None,
    other_data: OtherDataOption = False,
    provider: ProviderOption = Provider.cpu,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare raw and denoised images by their number and class: does the verdict depend on them?

    Example: gan-denoise eval subsets -n 2000
    """
    from gan_denoise.console import tracked
    from gan_denoise.eval.generation.tables import subsets_report
    from gan_denoise.eval.inputs import find_dataset
    from gan_denoise.eval.result_table import print_table
    from gan_denoise.export.runtime import FUSED

    images, track = find_dataset(FUSED, model, dataset, data), tracked("generating")
    table = subsets_report(
        model, images, n, seed, threads, track, other_data=other_data, provider=provider, features=features
    )
    next_command = ("eval", "classes", *model_option(model))
    print_table(table, as_json=as_json, table_format=table_format, next_command=next_command)


@app.command()
def copies(
    model: ModelOption = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Number of images, and of test images as the baseline.")] = 10_000,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    dataset: MeasuredDatasetOption = None,
    data: MeasuredPathOption = None,
    other_data: OtherDataOption = False,
    provider: ProviderOption = Provider.cpu,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Search generated images for copies of training images.

    Example: gan-denoise eval copies -n 1000
    """
    from gan_denoise.console import tracked
    from gan_denoise.eval.generation.tables import copies_report
    from gan_denoise.eval.inputs import find_dataset
    from gan_denoise.eval.result_table import print_table
    from gan_denoise.export.runtime import FUSED

    images, track = find_dataset(FUSED, model, dataset, data), tracked("searching")
    table = copies_report(model, images, n, seed, threads, track, other_data=other_data, provider=provider)
    complete = has_graph(model, FUSED_FILE) and has_graph(model, DENOISER_FILE)
    next_command = ("eval", "controls" if complete else "generation", *model_option(model))
    print_table(table, as_json=as_json, table_format=table_format, next_command=next_command)


@app.command("ffd")
def ffd_command(
    images: Annotated[Path, typer.Argument(help="An .npz file or a folder of image files, as written by generate.")],
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Measure FFD-1 of any 28x28 images, without the data set.

    Example: gan-denoise eval ffd images.npz
    """
    from gan_denoise.eval.generation.tables import ffd_report
    from gan_denoise.eval.result_table import print_table

    table = ffd_report(images, threads)
    print_table(table, as_json=as_json, table_format=table_format)


app.command()(artifact_commands.tune)
app.command(hidden=True)(artifact_commands.ffd_reference)
