"""`gan-denoise data`: fetch data sets, summarise these or another, draw a preview."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gan_denoise.console import print_fitting, print_next, print_result, print_status, rich_console, to_csv
from gan_denoise.data.dataset_options import DatasetOptions
from gan_denoise.errors import UsageError
from gan_denoise.files import atomic_path, check_overwrite
from gan_denoise.options import (
    OUTPUT,
    ChannelsOption,
    Crop,
    CropOption,
    DatasetName,
    DatasetOption,
    DatasetPathOption,
    FetchOption,
    FetchPathOption,
    ForceOption,
    FormatOption,
    JsonOption,
    LabelsOption,
    QuietOption,
    SizeOption,
    TableFormat,
    TestImagesOption,
)

if TYPE_CHECKING:
    from gan_denoise.data.dataset import Dataset

app = typer.Typer(
    no_args_is_help=True,
    help="Fetch Fashion-MNIST, MNIST, KMNIST or photographs; inspect these or another data set.\n\n"
    "Example: gan-denoise data fetch",
)


@app.command()
def fetch(
    dataset: FetchOption = DatasetName.fashion_mnist,
    data: FetchPathOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a data set into the cache: from this machine if it has the files, else from the network.

    Example: gan-denoise data fetch --dataset photos
    """
    match dataset:
        case DatasetName.fashion_mnist:
            from gan_denoise.data import sources
            from gan_denoise.data.fashion_mnist import SHA256

            folder = sources.fetch_fashion_mnist(data, print_status)
            hashes = {folder / name: sha256 for name, sha256 in SHA256.items()}
        case DatasetName.mnist | DatasetName.kmnist:
            from gan_denoise.data import mnist

            folder = mnist.fetch_idx(dataset.value, data, print_status)
            hashes = {folder / name: sha256 for name, sha256 in mnist.fetched_hashes(dataset.value).items()}
        case DatasetName.photos:
            from gan_denoise.data.photograph_packages import fetch_photographs, fetched_files

            folder = fetch_photographs(data, print_status)
            hashes = fetched_files(folder)
        case _:
            hint = f"gan-denoise data info --dataset {dataset.value} --data PATH reads it where it is"
            raise UsageError.expected("--dataset", "fashion-mnist, mnist, kmnist or photos", dataset.value, hint)
    sha256 = {str(file.relative_to(folder)): sha256 for file, sha256 in hashes.items()}
    next_command = ("data", "info", *DatasetOptions(dataset.value).arguments())
    print_result("data fetch", [folder], as_json, next_command, written=list(hashes), sha256=sha256)


@app.command()
def info(
    dataset: DatasetOption = DatasetName.fashion_mnist,
    data: DatasetPathOption = None,
    size: SizeOption = None,
    channels: ChannelsOption = None,
    crop: CropOption = Crop.centre,
    test: TestImagesOption = None,
    labels: LabelsOption = None,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Print source, images per class and hashes of a data set; of photographs also authors and licences.

    Example: gan-denoise data info --dataset folder --data photos --size 64 --channels 3
    """
    from gan_denoise.data.datasets import load_images

    options = DatasetOptions(dataset.value, data, size, channels, crop.value, False, test, labels)
    loaded = load_images(options)
    print_summary = _print_photographs if dataset == DatasetName.photos else _print_counts
    print_summary(loaded, dataset, as_json, table_format)
    if not as_json:
        print_next(("data", "preview", *options.arguments(), "--out", "preview.png"))


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
    crop: CropOption = Crop.centre,
    test: TestImagesOption = None,
    labels: LabelsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw the first ten training images of each class, or a hundred of a data set without classes.

    Example: gan-denoise data preview --out preview.png
    """
    if out.suffix.lower() != ".png":
        raise UsageError.expected("--out", "a name that ends in .png", out, "--out preview.png")
    check_overwrite(out, force)
    from gan_denoise.data.datasets import load_images
    from gan_denoise.data.preview import draw_preview, spread_images

    options = DatasetOptions(dataset.value, data, size, channels, crop.value, False, test, labels)
    loaded = load_images(options)
    is_photos = dataset == DatasetName.photos  # in the order of the photographs, the others shuffled
    image = draw_preview(spread_images(loaded.train) if is_photos else loaded.train, loaded.classes)
    with atomic_path(out) as temporary:
        image.save(temporary, format="PNG")
    arguments = options.arguments()
    photo = ("train", "photo", *(() if data is None else ("--data", data)))
    train = photo if is_photos else ("train", "gan", "--preset", "quick", *arguments)
    study = ("study", "run", "--preset", "quick", "--out", "runs/quick")  # for unchanged Fashion-MNIST only
    next_command = train if arguments else study
    print_result("data preview", [out], as_json, next_command, written=[out], source=loaded.source)


def _print_counts(loaded: Dataset, dataset: DatasetName, as_json: bool, table_format: TableFormat) -> None:
    """Print the images per class in the format that was chosen, as a table or JSON also the source and hashes."""
    from gan_denoise.data.fashion_mnist import SHA256
    from gan_denoise.data.preview import count_rows, counts_markdown, counts_table, dataset_summary

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
            is_published = dataset == DatasetName.fashion_mnist
            _print_source(loaded, SHA256 if is_published else {"all images": loaded.sha256})


def _print_photographs(loaded: Dataset, dataset: DatasetName, as_json: bool, table_format: TableFormat) -> None:
    """As `_print_counts`, the photographs and their licences."""
    from gan_denoise.data import photograph_tables as tables
    from gan_denoise.data.preview import dataset_summary

    rows, licences = tables.photograph_rows(), tables.count_licences()
    if as_json:
        print_result("data info", (), True, (), **dataset_summary(loaded), photographs=rows, licences=licences)
        return
    match table_format:
        case TableFormat.csv:
            typer.echo(to_csv(rows), nl=False)
        case TableFormat.markdown:
            typer.echo(tables.photographs_markdown())
        case TableFormat.table:
            print_fitting(rich_console(), tables.photographs_table(loaded))
            typer.echo(f"licences: {', '.join(f'{count} {licence}' for licence, count in licences.items())}")
            _print_source(loaded, {"all tiles": loaded.sha256})


def _print_source(loaded: Dataset, hashes: Mapping[str, str]) -> None:
    typer.echo(f"source: {loaded.source}")
    for name, sha256 in hashes.items():
        typer.echo(f"{sha256}  {name}")  # the format of sha256sum
