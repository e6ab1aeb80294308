"""`bench` and `eval`: parse, call one function, print."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.errors import UsageError, missing_extra
from gan_denoise.limits import MAX_SEED, MAX_THREADS

Model = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE|FOLDER", help="The model, or an exported folder.", show_default="shipped"),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of Fashion-MNIST's files.", show_default="searched"),
]
Threads = Annotated[int, typer.Option(min=0, max=MAX_THREADS, help="Threads; 0 is one a core.")]
Seed = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of latents and noise.")]
Measured = Annotated[int, typer.Option("-n", min=97, help="How many pictures to generate.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print a markdown table.")]

app = typer.Typer(no_args_is_help=True, help="Measure the networks on Fashion-MNIST's test images.")


def bench(
    model: Model = None,
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
    threads: Threads = 0,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Time the fused graph against its two graphs and against what else could run it.

    Example: gan-denoise bench --repeats 20 --markdown
             gan-denoise bench --vs torch,compile,openvino,int8=int8.onnx
    """
    from gan_denoise.eval.contenders import peers_of
    from gan_denoise.eval.reports import bench_report, profile_report
    from gan_denoise.eval.tables import show
    from gan_denoise.progress import tracked

    one_format(as_json, as_markdown)
    if profile and vs is not None:
        raise UsageError("--profile --vs: both found, one wanted")
    peers, models = peers_of("torch" if vs is None else vs)
    _warn()
    if profile:
        show(profile_report(model, repeats, threads), as_json=as_json, as_markdown=as_markdown)
        return
    report = bench_report(model, repeats, threads, peers, models, tracked("timing"))
    for name, reason in report.settings["not measured"].items():
        typer.echo(f"{name}: not measured ({reason})", err=True)
    if unstable := sum(row["stable"] is False for row in report.rows):
        typer.echo(f"{unstable} of {len(report.rows)} rows: unstable, the rounds differ by more than 20 %", err=True)
    show(report, as_json=as_json, as_markdown=as_markdown)


@app.command()
def denoising(
    model: Model = None,
    name: Annotated[str, typer.Option(help="What the model is called in the table.")] = "network",
    versus: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE|FOLDER", help="Another denoiser; can be given often.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many test images, from the first.")] = 500,
    whole: Annotated[bool, typer.Option("--all", help="Measure the networks on all test images too.")] = False,
    seed: Seed = 0,
    threads: Threads = 0,
    data: Data = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Compare denoisers and classical filters by PSNR, SSIM and cost.

    Example: gan-denoise eval denoising -n 100 --json
             gan-denoise eval denoising --model exported --versus shipped=export/shipped --all
    """
    from gan_denoise.data import sources
    from gan_denoise.eval.methods import named
    from gan_denoise.eval.reports import denoising_report
    from gan_denoise.eval.side_by_side import side_by_side
    from gan_denoise.eval.tables import show
    from gan_denoise.progress import tracked

    one_format(as_json, as_markdown)
    others = named(versus or [], name)
    _warn()
    track = tracked("denoising")
    report = denoising_report(model, sources.load(data), n, seed, threads, track, name=name, versus=others, whole=whole)
    for method, reason in report.settings["not measured"].items():
        typer.echo(f"{method}: not measured ({reason})", err=True)
    show(report if as_json else side_by_side(report), as_json=as_json, as_markdown=as_markdown)


@app.command()
def generation(
    model: Model = None,
    n: Measured = 10_000,
    seed: Seed = 0,
    threads: Threads = 0,
    data: Data = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Compare raw and denoised generated pictures with real ones.

    Example: gan-denoise eval generation -n 1000 --markdown
    """
    from gan_denoise.data import sources
    from gan_denoise.eval.reports import generation_report
    from gan_denoise.eval.tables import show
    from gan_denoise.progress import tracked

    one_format(as_json, as_markdown)
    report = generation_report(model, sources.load(data), n, seed, threads, tracked("generating"))
    show(report, as_json=as_json, as_markdown=as_markdown)


@app.command()
def controls(
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="An exported folder.", show_default="shipped")
    ] = None,
    n: Measured = 10_000,
    seed: Seed = 0,
    threads: Threads = 0,
    data: Data = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Compare the denoiser with plain filters of the same pictures, a Gaussian mixture, and denoised real pictures.

    Example: gan-denoise eval controls --markdown
    """
    from gan_denoise.data import sources
    from gan_denoise.eval.reports import controls_report
    from gan_denoise.eval.tables import show
    from gan_denoise.progress import tracked

    one_format(as_json, as_markdown)
    report = controls_report(model, sources.load(data), n, seed, threads, tracked("controls"))
    for name, reason in report.settings["not measured"].items():
        typer.echo(f"{name}: not measured ({reason})", err=True)
    show(report, as_json=as_json, as_markdown=as_markdown)


@app.command("classes")
def classes_command(
    model: Model = None,
    n: Measured = 10_000,
    seed: Seed = 0,
    threads: Threads = 0,
    data: Data = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Show the classes of generated pictures, and what they miss of each.

    Example: gan-denoise eval classes -n 1000
    """
    from gan_denoise.data import sources
    from gan_denoise.eval.reports import classes_report
    from gan_denoise.eval.tables import show
    from gan_denoise.progress import tracked

    one_format(as_json, as_markdown)
    report = classes_report(model, sources.load(data), n, seed, threads, tracked("generating"))
    show(report, as_json=as_json, as_markdown=as_markdown)


@app.command()
def copies(
    model: Model = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures, and test images beside them.")] = 10_000,
    seed: Seed = 0,
    threads: Threads = 0,
    data: Data = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Look for copies of training images among generated pictures.

    Example: gan-denoise eval copies -n 1000
    """
    from gan_denoise.data import sources
    from gan_denoise.eval.reports import copies_report
    from gan_denoise.eval.tables import show
    from gan_denoise.progress import tracked

    one_format(as_json, as_markdown)
    report = copies_report(model, sources.load(data), n, seed, threads, tracked("searching"))
    show(report, as_json=as_json, as_markdown=as_markdown)


@app.command("ffd")
def ffd_command(
    pictures: Annotated[Path, typer.Argument(help="An .npz file, or a folder of PNG files, as generate writes them.")],
    threads: Threads = 0,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Measure FFD-1 of any 28x28 pictures; needs no data set.

    Example: gan-denoise eval ffd pictures.npz
    """
    from gan_denoise.eval.reports import ffd_report
    from gan_denoise.eval.tables import show

    one_format(as_json, as_markdown)
    show(ffd_report(pictures, threads), as_json=as_json, as_markdown=as_markdown)


@app.command(hidden=True)
def ffd_reference(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")] = Path("ffd-1.npz"),
    data: Data = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Compute the reference of FFD-1 anew, as it was when it was pinned.

    Example: gan-denoise eval ffd-reference --out ffd-1.npz
    """
    from gan_denoise.data import sources
    from gan_denoise.eval import ffd
    from gan_denoise.export import runtime
    from gan_denoise.files import refuse_existing, write_atomic

    refuse_existing(out, force)
    write_atomic(out, ffd.reference_file(sources.load(data).test.images, runtime.load(runtime.FEATURES)))
    typer.echo(str(out))


@app.command()
def tune(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the parameters.")] = Path("tuned.json"),
    n: Annotated[int, typer.Option("-n", min=1, max=5_000, help="How many held-out training images.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the noise.")] = 1,
    data: Data = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Search the classical filters' parameters on training images (about 30 minutes).

    Example: gan-denoise eval tune --out eval/tuned.json --force
    """
    from gan_denoise.data import fashion_mnist, sources
    from gan_denoise.eval.baselines import FILTERS
    from gan_denoise.eval.machine import versions
    from gan_denoise.eval.methods import NEEDS, not_installed
    from gan_denoise.eval.tuning import tune as search
    from gan_denoise.files import refuse_existing, write_atomic
    from gan_denoise.progress import tracked

    refuse_existing(out, force)
    if missing := [name for name in not_installed() if name in FILTERS]:
        raise missing_extra(NEEDS[missing[0]], "compare")
    dataset = sources.load(data)
    _, holdout = fashion_mnist.fit_and_holdout(dataset.train)
    rows = list(search(fashion_mnist.to_float(holdout.images[:n]), seed, track=tracked("tuning")))
    content = {
        "images": f"the first {n} held-out training images",
        "n": n,
        "seed": seed,
        "data_sha256": dataset.sha256,
        "versions": {name: version for name, version in versions().items() if name not in ("onnxruntime", "torch")},
        "rows": rows,
    }
    write_atomic(out, json.dumps(content, indent=1) + "\n")
    typer.echo(f"{out}: {len(rows)} settings")


def one_format(as_json: bool, as_markdown: bool) -> None:
    """Raises UsageError when both are wanted."""
    if as_json and as_markdown:
        raise UsageError("--json --markdown: both found, one wanted")


def _warn() -> None:
    from gan_denoise.eval.machine import load, load_warning, runtimes_warning

    for warning in (load_warning(load(), os.cpu_count() or 1), runtimes_warning()):  # the load is the whole machine's
        if warning:
            typer.echo(warning, err=True)
