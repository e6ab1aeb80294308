"""`gan-denoise data`: fetch Fashion-MNIST, summarise it or another data set, draw a preview."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import print_fitting, print_next, print_result, print_status, rich_console, to_csv
from gan_denoise.errors import UsageError
from gan_denoise.files import atomic_path, check_overwrite
from gan_denoise.options import (
    OUTPUT,
    ChannelsOption,
    DataOption,
    DatasetName,
    DatasetOption,
    DatasetPathOption,
    ForceOption,
    FormatOption,
    JsonOption,
    QuietOption,
    SizeOption,
    TableFormat,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Fetch Fashion-MNIST; inspect it or another data set.\n\nExample: gan-denoise data fetch",
)


@app.command()
def fetch(data: DataOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Copy Fashion-MNIST into the cache: from this machine if it has the files, else from the network.

    Example: gan-denoise data fetch
    """
    from gan_denoise.data import sources
    from gan_denoise.data.fashion_mnist import SHA256

    folder = sources.fetch_fashion_mnist(data, print_status)
    written = [folder / name for name in SHA256]
    print_result("data fetch", [folder], as_json, ("data", "info"), written=written, sha256=SHA256)


@app.command()
def info(
    dataset: DatasetOption = DatasetName.fashion_mnist,
    data: DatasetPathOption = None,
    size: SizeOption = None,
    channels: ChannelsOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Print source, images per class and hashes of a data set.

    Example: gan-denoise data info --dataset folder --data photos --size 64 --channels 3
    """
    from gan_denoise.data import datasets
    from gan_denoise.data.fashion_mnist import SHA256
    from gan_denoise.data.preview import count_rows, counts_markdown, counts_table, dataset_summary

    loaded = datasets.load_dataset(dataset.value, data, size, channels)
    if as_json:
        print_result("data info", (), as_json, (), **dataset_summary(loaded))
        return
    match table_format:
        case TableFormat.csv:
            typer.echo(to_csv(count_rows(loaded)), nl=False)
        case TableFormat.markdown:
            typer.echo(counts_markdown(loaded))
        case TableFormat.table:
            print_fitting(rich_console(), counts_table(loaded, dataset.value))
            typer.echo(f"source: {loaded.source}")
            is_published = dataset == DatasetName.fashion_mnist
            for name, sha256 in SHA256.items() if is_published else [("all images", loaded.sha256)]:
                typer.echo(f"{sha256}  {name}")  # the format of sha256sum
    print_next(("data", "preview", *_dataset_arguments(dataset, data, size, channels), "--out", "preview.png"))


@app.command()
def preview(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.png", help="Image file to write.", rich_help_panel=OUTPUT)
    ],
    force: ForceOption = False,
    dataset: DatasetOption = DatasetName.fashion_mnist,
    data: DatasetPathOption = None,
    size: SizeOption = None,
    channels: ChannelsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw the first ten training images of each class, or the first hundred of a data set without classes.

    Example: gan-denoise data preview --out preview.png
    """
    if out.suffix.lower() != ".png":
        raise UsageError.expected("--out", "a name that ends in .png", out, "--out preview.png")
    check_overwrite(out, force)
    from gan_denoise.data import datasets
    from gan_denoise.data.preview import draw_preview

    loaded = datasets.load_dataset(dataset.value, data, size, channels)
    image = draw_preview(loaded.train, loaded.classes)
    with atomic_path(out) as temporary:
        image.save(temporary, format="PNG")
    arguments = _dataset_arguments(dataset, data, size, channels)
    train = ("train", "gan", "--preset", "quick", *arguments)
    study = ("study", "run", "--preset", "quick", "--out", "runs/quick")  # for unchanged Fashion-MNIST only
    next_command = train if arguments else study
    print_result("data preview", [out], as_json, next_command, written=[out], source=loaded.source)


def _dataset_arguments(dataset: DatasetName, data: Path | None, size: int | None, channels: int | None) -> list[str]:
    """The options that select this data set in a `next:` hint; those with default values are left out."""
    values = {"dataset": dataset, "data": data, "size": size, "channels": channels}
    defaults = (None, DatasetName.fashion_mnist)
    return [word for name, value in values.items() if value not in defaults for word in (f"--{name}", str(value))]
