"""Limits and command-line options that several commands share. Imports nothing heavy."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

BATCH = 64  # images a call of onnxruntime, where nobody says otherwise
MAX_SEED = 2**63 - 1  # torch and Philox take it alike
MAX_THREADS = 1024
DATA_VARIABLE = "GAN_DENOISE_DATA"  # in the environment: the folder of the data


class DatasetName(StrEnum):
    """Which images."""

    fashion_mnist = "fashion-mnist"
    mnist = "mnist"
    kmnist = "kmnist"
    folder = "folder"
    npz = "npz"


DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=f"Folder with the four files, or a torchvision root; the only one tried. Or set {DATA_VARIABLE}.",
    ),
]
AnyDataOption = Annotated[
    Path | None,
    typer.Option("--data", help="The data set's folder or .npz file. Default: the first one found that holds it."),
]


DatasetOption = Annotated[
    DatasetName,
    typer.Option(
        help="folder: images, or a sub-folder of them a class; npz: arrays `images` and, for classes, `labels`."
    ),
]
SizeOption = Annotated[
    int | None, typer.Option(help="28, 32 or 64 pixels a side. Default: the arrays' own; a folder's 28.")
]
ChannelsOption = Annotated[
    int | None, typer.Option(help="1 grey or 3 colours. Default: the arrays' own; a folder's 1.")
]
