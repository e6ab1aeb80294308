"""Limits and command-line options that several commands share. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import set_quiet
from gan_denoise.errors import UsageError

BATCH = 64  # default number of images in one onnxruntime call
MAX_SEED = 2**63 - 1  # the largest that both torch and Philox accept
TILE_SIDE = 1024  # pixels of the largest tile that a graph with free height and width is given
MAX_THREADS = 1024
MAX_STRENGTH = 1.5  # of denoising: 1 is what the model removes
DATA_VARIABLE = "GAN_DENOISE_DATA"  # environment variable: the folder of Fashion-MNIST
PHOTO, PHOTO_GREY, FASHION = "photo", "photo-grey", "fashion"  # shipped denoisers: colour, grey, Fashion-MNIST
DENOISER_HELP = "photo, fashion, an ONNX file, or an exported folder that holds it; ./photo is a file."

# Features that generated images are compared by, beside those of an ONNX file.
FFD_1, SECOND_CLASSIFIER, IMAGENET, PIXELS = "ffd-1", "classifier-2", "imagenet", "pixels"
FEATURES, ALL = (FFD_1, SECOND_CLASSIFIER, IMAGENET, PIXELS), "all"
OWN_CLASSIFIER = "classifier"  # the one in the folder of the model, of other data than Fashion-MNIST
FID = "fid"  # those of Inception-v3, from torch-fidelity's file: the Fréchet distance on them is FID
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"  # the digits at the end begin its SHA-256

OUTPUT, MACHINE = "Output", "Machine"  # panels in the help of a command


class DatasetName(StrEnum):
    """The data sets that can be loaded."""

    fashion_mnist = "fashion-mnist"
    mnist = "mnist"
    kmnist = "kmnist"
    cifar10 = "cifar10"
    photos = "photos"
    folder = "folder"
    npz = "npz"


CENTRE, RANDOM, RESIZE = "centre", "random", "resize"


class Crop(StrEnum):
    """How an image becomes a square."""

    centre = CENTRE
    random = RANDOM
    resize = RESIZE


class TableFormat(StrEnum):
    """How a command prints its table."""

    table = "table"
    markdown = "markdown"
    csv = "csv"


class Provider(StrEnum):
    """What of onnxruntime runs the graphs."""

    cpu = "cpu"
    auto = "auto"
    cuda = "cuda"
    openvino = "openvino"
    coreml = "coreml"
    dml = "dml"


class FileFormat(StrEnum):
    """The files of a folder of many generated images."""

    npz = "npz"
    webdataset = "webdataset"
    parquet = "parquet"


def _check_format(context: typer.Context, table_format: TableFormat) -> TableFormat:
    """Raise UsageError if both --json and --format are on the command line."""
    source = context.get_parameter_source("table_format")
    if context.params.get("as_json") and source is not None and source.name == "COMMANDLINE":
        raise UsageError.expected("--json, --format", "one of them", f"--json --format {table_format}")
    return table_format


def exclude(option: str, value: object, others: Mapping[str, object]) -> None:
    """Raise UsageError if `option` was given (its `value` is not None) together with one of the `others`, by name."""
    together = [name for name, other in others.items() if other is not None]
    if value is not None and together:
        raise UsageError.expected(option, f"no {together[0]} beside it", "both", f"leave {together[0]} out")


# --- output and machine -------------------------------------------------------------------------

JsonOption = Annotated[  # eager, so that --format sees its value; the parameter must be called `as_json`
    bool, typer.Option("--json", is_eager=True, help="Print JSON and nothing else.", rich_help_panel=OUTPUT)
]
FormatOption = Annotated[  # the parameter must be called `table_format`
    TableFormat,
    typer.Option(
        "--format",
        callback=_check_format,
        help="Print a table for reading, a markdown table, or CSV with unrounded numbers.",
        rich_help_panel=OUTPUT,
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=set_quiet, help="Print no progress and no hints.", rich_help_panel=OUTPUT),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite existing output.", rich_help_panel=OUTPUT)]
ThreadsOption = Annotated[
    int,
    typer.Option(
        "--threads", min=0, max=MAX_THREADS, help="Threads; 0 = one per available core.", rich_help_panel=MACHINE
    ),
]
ProviderOption = Annotated[
    Provider,
    typer.Option(
        "--provider",
        help="What runs the model: the CPU, or another provider that the installed onnxruntime has; auto = a faster "
        "one that agrees with the CPU.",
        rich_help_panel=MACHINE,
    ),
]
OnOption = Annotated[  # docs/bulk.md, docs/sweep.md and docs/serve.md say what it does to each command
    str | None,
    typer.Option(
        "--on",
        metavar="ray[://HOST:PORT]",
        help="Run on a Ray cluster: the one of $RAY_ADDRESS, or of this machine alone, or the one at an address (needs "
        "the extra ray).",
        show_default="this machine, without Ray",
        rich_help_panel=MACHINE,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=MAX_SEED, help="Random seed.")]

# --- models and data ----------------------------------------------------------------------------

ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model", metavar="FILE|FOLDER", help="ONNX file, or exported folder that holds it.", show_default="shipped"
    ),
]
ModelFolderOption = Annotated[
    Path | None, typer.Option("--model", metavar="FOLDER", help="Exported folder.", show_default="shipped")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=f"Folder of Fashion-MNIST, or one above it; also read from ${DATA_VARIABLE}.",
        show_default="searched",
    ),
]
MeasuredDatasetOption = Annotated[
    DatasetName | None,
    typer.Option("--dataset", help="The data set to compare with.", show_default="the one the model was trained on"),
]
MeasuredPathOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help=f"Folder or file of the data set; of Fashion-MNIST also read from ${DATA_VARIABLE}.",
        show_default="where it was for training, or searched",
    ),
]
OtherDataOption = Annotated[
    bool,
    typer.Option("--other-data", help="Measure models that were trained on other data; the result records it."),
]
DatasetPathOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", help="Folder or .npz file of the data set.", show_default="searched"),
]
DatasetOption = Annotated[
    DatasetName,
    typer.Option(
        help="photos: free photographs, in tiles of 192x192; "
        "folder: image files, or one sub-folder of them per class, also in train and test; "
        "npz: arrays `images` and optionally `labels`, or as MedMNIST and Keras name them."
    ),
]
FetchOption = Annotated[
    DatasetName, typer.Option(metavar="fashion-mnist|mnist|kmnist|photos", help="The data set to fetch.")
]
FetchPathOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=f"Folder with the files, or one above it; for Fashion-MNIST also read from ${DATA_VARIABLE}.",
        show_default="searched",
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(help="Resize to 28, 32, 64 or 128 pixels a side.", show_default="unchanged; 28 for folder"),
]
ChannelsOption = Annotated[
    int | None,
    typer.Option(help="Convert to 1 (grey) or 3 (colour) channels.", show_default="unchanged; 1 for folder"),
]
CropOption = Annotated[
    Crop,
    typer.Option(
        help="Of image files: the central square; for large photographs several random squares of each, "
        "on one side of the split; or the whole image, squeezed."
    ),
]
FlipOption = Annotated[bool, typer.Option("--flip", help="Mirror training images at random; not for digits and text.")]
TestImagesOption = Annotated[
    Path | None,
    typer.Option(
        "--test",
        metavar="DIR",
        help="Test images of --dataset folder, laid out as --data.",
        show_default="DIR/test, or a twelfth of the images",
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE.csv",
        help="Labels of --dataset folder: columns `file` and `label`, optionally `split` (train, val, test).",
        show_default="sub-folders are classes",
    ),
]
