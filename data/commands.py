"""`gan-denoise data`: fetch Fashion-MNIST, say what is in it, show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.errors import UsageError
from gan_denoise.files import refuse_existing, replacing
from gan_denoise.limits import DATA_VARIABLE

app = typer.Typer(help="Fetch, describe and show Fashion-MNIST.", no_args_is_help=True)

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=f"Folder with the four files, or a torchvision root; the only one tried. Or set {DATA_VARIABLE}.",
    ),
]


@app.command()
def fetch(data: Data = None) -> None:
    """Fill the cache: from this machine if it has the files, else from the network.

    Example: gan-denoise data fetch
    """
    from gan_denoise.data import sources

    typer.echo(sources.fetch(data, say=lambda line: typer.echo(line, err=True)))


@app.command()
def info(data: Data = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False) -> None:
    """Print source, images per class and hashes.

    Example: gan-denoise data info --json
    """
    from rich.console import Console

    from gan_denoise.data import overview, sources
    from gan_denoise.data.fashion_mnist import SHA256

    dataset = sources.load(data)
    if as_json:
        typer.echo(json.dumps(overview.summary(dataset), indent=2))
        return
    Console().print(overview.table(dataset))
    typer.echo(f"source: {dataset.source}")
    for name, sha256 in SHA256.items():
        typer.echo(f"{sha256}  {name}")  # as sha256sum prints them


@app.command()
def preview(
    out: Annotated[Path, typer.Option("--out", metavar="FILE.png", help="The picture to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    data: Data = None,
) -> None:
    """Write a picture with the first ten training images of each class.

    Example: gan-denoise data preview --out preview.png
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out: {out} found, a name that ends in .png wanted", "--out preview.png")
    refuse_existing(out, force)
    from gan_denoise.data import overview, sources

    picture = overview.draw_preview(sources.load(data).train)
    with replacing(out) as temporary:
        picture.save(temporary, format="PNG")
    typer.echo(out)
