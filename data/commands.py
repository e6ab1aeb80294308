"""`gan-denoise data`: fetch Fashion-MNIST, say what is in it or in other images, show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import (
    OUTPUT,
    AsCsv,
    AsJson,
    Quiet,
    check_one_format,
    print_next,
    print_result,
    print_status,
    to_csv,
)
from gan_denoise.errors import UsageError
from gan_denoise.files import atomic_path, check_overwrite
from gan_denoise.options import AnyDataOption, ChannelsOption, DataOption, DatasetName, DatasetOption, SizeOption

app = typer.Typer(
    no_args_is_help=True,
    help="Fetch and verify Fashion-MNIST, look at it and at other images.\n\nExample: gan-denoise data fetch",
)


@app.command()
def fetch(data: DataOption = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Fill the cache: from this machine if it has the files, else from the network.

    Example: gan-denoise data fetch
    """
    from gan_denoise.data import sources
    from gan_denoise.data.fashion_mnist import SHA256

    folder = sources.fetch_fashion_mnist(data, print_status)
    print_result(
        "data fetch", [folder], as_json, ("data", "info"), written=[folder / name for name in SHA256], sha256=SHA256
    )


@app.command()
def info(
    dataset: DatasetOption = DatasetName.fashion_mnist,
    data: AnyDataOption = None,
    size: SizeOption = None,
    channels: ChannelsOption = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    quiet: Quiet = False,
) -> None:
    """Print source, images per class and hashes.

    Example: gan-denoise data info --json
    Example: gan-denoise data info --dataset folder --data photos --size 64 --channels 3
    """
    from rich.console import Console

    from gan_denoise.data import datasets
    from gan_denoise.data.fashion_mnist import SHA256
    from gan_denoise.data.preview import count_rows, counts_table, dataset_summary

    check_one_format(as_json, as_csv=as_csv)
    found = datasets.load_dataset(dataset.value, data, size, channels)
    if as_json:
        print_result("data info", (), as_json, (), **dataset_summary(found))
        return
    if as_csv:
        typer.echo(to_csv(count_rows(found)), nl=False)
    else:
        Console().print(counts_table(found, dataset.value))
        typer.echo(f"source: {found.source}")
        for name, sha256 in SHA256.items() if dataset == DatasetName.fashion_mnist else [("all images", found.sha256)]:
            typer.echo(f"{sha256}  {name}")  # as sha256sum prints them
    print_next(("data", "preview", *_chosen(dataset, data, size, channels), "--out", "preview.png"))


@app.command()
def preview(
    out: Annotated[Path, typer.Option("--out", metavar="FILE.png", help="The image to write.", rich_help_panel=OUTPUT)],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.", rich_help_panel=OUTPUT)] = False,
    dataset: DatasetOption = DatasetName.fashion_mnist,
    data: AnyDataOption = None,
    size: SizeOption = None,
    channels: ChannelsOption = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write an image with the first ten training images of each class, or the first hundred where there are none.

    Example: gan-denoise data preview --out preview.png
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out: {out} found, a name that ends in .png wanted", "--out preview.png")
    check_overwrite(out, force)
    from gan_denoise.data import datasets
    from gan_denoise.data.preview import draw_preview

    found = datasets.load_dataset(dataset.value, data, size, channels)
    image = draw_preview(found.train, found.classes)
    with atomic_path(out) as temporary:
        image.save(temporary, format="PNG")
    study, train = ("study", "run", "--preset", "quick", "--out", "runs/quick"), ("train", "gan", "--preset", "quick")
    chosen = _chosen(dataset, data, size, channels)
    print_result(
        "data preview", [out], as_json, (*train, *chosen) if chosen else study, written=[out], source=found.source
    )


def _chosen(dataset: DatasetName, data: Path | None, size: int | None, channels: int | None) -> list[str]:
    """The options again, for the command that comes next."""
    default = {"dataset": DatasetName.fashion_mnist}
    given = {"dataset": dataset, "data": data, "size": size, "channels": channels}
    return [word for name, value in given.items() if value != default.get(name) for word in (f"--{name}", str(value))]
