"""`gan-denoise data`: fetch Fashion-MNIST, say what is in it, show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from gan_denoise.data import sources
from gan_denoise.data.fashion_mnist import CLASSES, SHA256, Dataset, Split
from gan_denoise.errors import UsageError
from gan_denoise.files import refuse_existing, replacing

if TYPE_CHECKING:
    from PIL.Image import Image

app = typer.Typer(help="Fetch, describe and show Fashion-MNIST.", no_args_is_help=True)

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=f"Folder with the four files, or a torchvision root; the only one tried. Or set {sources.DATA_VARIABLE}.",
    ),
]

PER_CLASS = 10  # images in a row of the preview
ZOOM = 2
CELL = 28 * ZOOM + 4  # pixels
LABELS = 150  # pixels, for the widest class name


@app.command()
def fetch(data: Data = None) -> None:
    """Fill the cache: from this machine if it has the files, else from the network.

    Example: gan-denoise data fetch
    """
    typer.echo(sources.fetch(data, say=lambda line: typer.echo(line, err=True)))


@app.command()
def info(data: Data = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False) -> None:
    """Print source, images per class and hashes.

    Example: gan-denoise data info --json
    """
    dataset = sources.load(data)
    if as_json:
        typer.echo(json.dumps(_summary(dataset), indent=2))
        return
    Console().print(_table(dataset))
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
    picture = draw_preview(sources.load(data).train)
    with replacing(out) as temporary:
        picture.save(temporary, format="PNG")
    typer.echo(out)


def draw_preview(split: Split) -> Image:
    """A picture with a row for each class: its number and name, then its first ten images, enlarged."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (LABELS + PER_CLASS * CELL, len(CLASSES) * CELL), color=255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=18)
    for label, name in enumerate(CLASSES):
        middle = (8, label * CELL + CELL // 2)
        pen.text(middle, f"{label} {name}", fill=0, font=font, anchor="lm")
        for column, image in enumerate(split.images[split.labels == label][:PER_CLASS]):
            big = np.kron(image, np.ones((ZOOM, ZOOM), np.uint8))  # (28, 28) -> (56, 56)
            picture.paste(Image.fromarray(big), (LABELS + column * CELL, label * CELL + 2))
    return picture


def _summary(dataset: Dataset) -> dict[str, object]:
    parts = {"train": dataset.train, "test": dataset.test}
    counts = {part: {"count": len(split), "classes": _per_class(split)} for part, split in parts.items()}
    return {"source": dataset.source, "sha256": dataset.sha256, **counts}


def _table(dataset: Dataset) -> Table:
    table = Table("class", "name", title="Fashion-MNIST, 28x28 grey")
    table.add_column("train", justify="right")
    table.add_column("test", justify="right")
    train, test = _per_class(dataset.train), _per_class(dataset.test)
    for label, name in enumerate(CLASSES):
        table.add_row(str(label), name, f"{train[name]:,}", f"{test[name]:,}", end_section=name == CLASSES[-1])
    table.add_row("", "all", f"{len(dataset.train):,}", f"{len(dataset.test):,}")
    return table


def _per_class(split: Split) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(CLASSES))
    return {name: int(count) for name, count in zip(CLASSES, counts, strict=True)}
