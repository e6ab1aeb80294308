"""`bench` and what `eval` measures: parse, call one function, print."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import model_option
from gan_denoise.errors import UsageError
from gan_denoise.eval import artifact_commands
from gan_denoise.options import (
    DataOption,
    FormatOption,
    JsonOption,
    ModelFolderOption,
    ModelOption,
    QuietOption,
    SeedOption,
    TableFormat,
    ThreadsOption,
)

Measured = Annotated[int, typer.Option("-n", min=97, help="How many images to generate.")]

app = typer.Typer(
    no_args_is_help=True, help="Measure denoising and generation.\n\nExample: gan-denoise eval generation -n 1000"
)


def bench(
    model: ModelOption = None,
    vs: Annotated[
        str | None,
        typer.Option(
            metavar="PEER,...",
            help="What to time beside it: torch, compile, openvino where installed, another model as NAME=FILE|FOLDER.",
            show_default="torch",
        ),
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="The time of each node in place of the peers.")] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Calls for each batch size.")] = 100,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Time the fused graph against its two graphs and against what else could run it.

    Example: gan-denoise bench --repeats 20 --format markdown
    Example: gan-denoise bench --vs torch,compile,openvino,int8=int8.onnx
    """
    from gan_denoise.console import tracked
    from gan_denoise.eval.bench.backends import parse_backends
    from gan_denoise.eval.bench.tables import bench_report, profile_report
    from gan_denoise.eval.result_table import print_table

    if profile and vs is not None:
        raise UsageError("--profile --vs: both found, one wanted")
    peers, models = parse_backends("torch" if vs is None else vs)
    _warn()
    if profile:
        lighter = ("quantize", "int8", *(() if model is None else (model,)), "--out", "int8.onnx")
        report = profile_report(model, repeats, threads)
        print_table(report, as_json=as_json, table_format=table_format, next_command=lighter)
        return
    report = bench_report(model, repeats, threads, peers, models, tracked("timing"))
    for name, reason in report.settings["not measured"].items():
        typer.echo(f"{name}: not measured ({reason})", err=True)
    if unstable := sum(row["stable"] is False for row in report.rows):
        typer.echo(f"{unstable} of {len(report.rows)} rows: unstable, the rounds differ by more than 20 %", err=True)
    print_table(
        report,
        as_json=as_json,
        table_format=table_format,
        next_command=("bench", *model_option(model), "--profile"),
    )


@app.command()
def denoising(
    model: ModelOption = None,
    name: Annotated[str, typer.Option(help="What the model is called in the table.")] = "network",
    versus: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE|FOLDER", help="Another denoiser; can be given often.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many test images, from the first.")] = 500,
    whole: Annotated[bool, typer.Option("--all", help="Measure the networks on all test images too.")] = False,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    data: DataOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare denoisers and classical filters by PSNR, SSIM and cost.

    Example: gan-denoise eval denoising -n 100 --json
    Example: gan-denoise eval denoising --model exported --versus shipped=export/shipped --all
    """
    from gan_denoise.console import tracked
    from gan_denoise.data import sources
    from gan_denoise.eval.denoising.methods import parse_networks
    from gan_denoise.eval.denoising.tables import denoising_report, side_by_side
    from gan_denoise.eval.result_table import print_table

    others = parse_networks(versus or [], name)
    _warn()
    track = tracked("denoising")
    report = denoising_report(
        model, sources.load_fashion_mnist(data), n, seed, threads, track, name=name, versus=others, whole=whole
    )
    for method, reason in report.settings["not measured"].items():
        typer.echo(f"{method}: not measured ({reason})", err=True)
    table = report if as_json or table_format is TableFormat.csv else side_by_side(report)
    print_table(table, as_json=as_json, table_format=table_format, next_command=("eval", "generation"))


@app.command()
def generation(
    model: ModelOption = None,
    n: Measured = 10_000,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    data: DataOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare raw and denoised generated images with real ones.

    Example: gan-denoise eval generation -n 1000 --format markdown
    """
    from gan_denoise.console import tracked
    from gan_denoise.data import sources
    from gan_denoise.eval.generation.tables import generation_report
    from gan_denoise.eval.result_table import print_table

    report = generation_report(model, sources.load_fashion_mnist(data), n, seed, threads, tracked("generating"))
    print_table(
        report, as_json=as_json, table_format=table_format, next_command=("eval", "classes", *model_option(model))
    )


@app.command()
def controls(
    model: ModelFolderOption = None,
    n: Measured = 10_000,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    data: DataOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare the denoiser with plain filters of the same images, a Gaussian mixture, and denoised real images.

    Example: gan-denoise eval controls --format markdown
    """
    from gan_denoise.console import tracked
    from gan_denoise.data import sources
    from gan_denoise.eval.generation.tables import controls_report
    from gan_denoise.eval.result_table import print_table

    report = controls_report(model, sources.load_fashion_mnist(data), n, seed, threads, tracked("controls"))
    for name, reason in report.settings["not measured"].items():
        typer.echo(f"{name}: not measured ({reason})", err=True)
    print_table(report, as_json=as_json, table_format=table_format, next_command=("bench", *model_option(model)))


@app.command("classes")
def classes_command(
    model: ModelOption = None,
    n: Measured = 10_000,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    data: DataOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Show the classes of generated images, and what they miss of each.

    Example: gan-denoise eval classes -n 1000
    """
    from gan_denoise.console import tracked
    from gan_denoise.data import sources
    from gan_denoise.eval.generation.tables import classes_report
    from gan_denoise.eval.result_table import print_table

    report = classes_report(model, sources.load_fashion_mnist(data), n, seed, threads, tracked("generating"))
    print_table(
        report, as_json=as_json, table_format=table_format, next_command=("eval", "copies", *model_option(model))
    )


@app.command()
def copies(
    model: ModelOption = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many images, and test images beside them.")] = 10_000,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    data: DataOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Look for copies of training images among generated images.

    Example: gan-denoise eval copies -n 1000
    """
    from gan_denoise.console import tracked
    from gan_denoise.data import sources
    from gan_denoise.eval.generation.tables import copies_report
    from gan_denoise.eval.result_table import print_table

    report = copies_report(model, sources.load_fashion_mnist(data), n, seed, threads, tracked("searching"))
    print_table(report, as_json=as_json, table_format=table_format, next_command=("eval", "controls"))


@app.command("ffd")
def ffd_command(
    images: Annotated[Path, typer.Argument(help="An .npz file, or a folder of PNG files, as generate writes them.")],
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Measure FFD-1 of any 28x28 images; needs no data set.

    Example: gan-denoise eval ffd images.npz
    """
    from gan_denoise.eval.generation.tables import ffd_report
    from gan_denoise.eval.result_table import print_table

    report = ffd_report(images, threads)
    print_table(report, as_json=as_json, table_format=table_format, next_command=("eval", "generation"))


app.command()(artifact_commands.tune)
app.command(hidden=True)(artifact_commands.ffd_reference)


def _warn() -> None:
    from gan_denoise.machine import load_average, load_warning, runtimes_warning

    for warning in (
        load_warning(load_average(), os.cpu_count() or 1),
        runtimes_warning(),
    ):  # the load is the whole machine's
        if warning:
            typer.echo(warning, err=True)
