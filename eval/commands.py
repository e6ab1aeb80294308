"""`bench` and `eval`: parse, call one function, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.errors import UsageError

Model = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE|FOLDER", help="The model, or an exported folder.", show_default="shipped"),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of Fashion-MNIST's files.", show_default="searched"),
]
Threads = Annotated[int, typer.Option(min=0, max=1024, help="Threads; 0 is one a core.")]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of latents and noise.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print a markdown table.")]

app = typer.Typer(no_args_is_help=True, help="Measure the networks on Fashion-MNIST's test images.")


def bench(
    model: Model = None,
    repeats: Annotated[int, typer.Option(min=1, help="Calls for each batch size.")] = 100,
    threads: Threads = 0,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Time the fused graph against its two graphs and PyTorch.

    Example: gan-denoise bench --repeats 20 --markdown
    """
    from gan_denoise.eval.progress import tracked
    from gan_denoise.eval.reports import bench_report
    from gan_denoise.eval.tables import show

    _one_format(as_json, as_markdown)
    _warn_of_load()
    report = bench_report(model, repeats, threads, tracked("timing"))
    for name, reason in report.settings["not measured"].items():
        typer.echo(f"{name}: not measured ({reason})", err=True)
    if unstable := sum(not row["stable"] for row in report.rows):
        typer.echo(f"{unstable} of {len(report.rows)} rows: unstable, the rounds differ by more than 20 %", err=True)
    show(report, as_json=as_json, as_markdown=as_markdown)


@app.command()
def denoising(
    model: Model = None,
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many test images, from the first.")] = 500,
    seed: Seed = 0,
    threads: Threads = 0,
    data: Data = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Compare the denoiser with classical filters by PSNR and SSIM.

    Example: gan-denoise eval denoising -n 100 --json
    """
    from gan_denoise.data import sources
    from gan_denoise.eval.progress import tracked
    from gan_denoise.eval.reports import denoising_report
    from gan_denoise.eval.tables import show

    _one_format(as_json, as_markdown)
    _warn_of_load()
    report = denoising_report(model, sources.load(data), n, seed, threads, tracked("denoising"))
    show(report, as_json=as_json, as_markdown=as_markdown)


@app.command()
def generation(
    model: Model = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures to generate.")] = 10_000,
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
    from gan_denoise.eval.progress import tracked
    from gan_denoise.eval.reports import generation_report
    from gan_denoise.eval.tables import show

    _one_format(as_json, as_markdown)
    report = generation_report(model, sources.load(data), n, seed, threads, tracked("generating"))
    show(report, as_json=as_json, as_markdown=as_markdown)


@app.command()
def tune(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the parameters.")] = Path("tuned.json"),
    n: Annotated[int, typer.Option("-n", min=1, max=5_000, help="How many held-out training images.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise.")] = 1,
    data: Data = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Search the classical filters' parameters on training images (about 20 minutes).

    Example: gan-denoise eval tune --out eval/tuned.json --force
    """
    from gan_denoise.data import fashion_mnist, sources
    from gan_denoise.eval.machine import versions
    from gan_denoise.eval.progress import tracked
    from gan_denoise.eval.tuning import tune as search
    from gan_denoise.files import refuse_existing, write_atomic

    refuse_existing(out, force)
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


def _warn_of_load() -> None:
    from gan_denoise.eval.machine import load, load_warning
    from gan_denoise.export.runtime import usable_cores

    if warning := load_warning(load(), usable_cores()):
        typer.echo(warning, err=True)


def _one_format(as_json: bool, as_markdown: bool) -> None:
    if as_json and as_markdown:
        raise UsageError("--json --markdown: both found, one wanted")
