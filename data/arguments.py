"""The options that say which pictures a command is about."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.limits import DATA_VARIABLE

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=f"Folder with the four files, or a torchvision root; the only one tried. Or set {DATA_VARIABLE}.",
    ),
]
AnyData = Annotated[
    Path | None,
    typer.Option("--data", help="The data set's folder or .npz file. Default: the first one found that holds it."),
]


class DatasetName(StrEnum):
    """Which pictures."""

    fashion_mnist = "fashion-mnist"
    mnist = "mnist"
    kmnist = "kmnist"
    folder = "folder"
    npz = "npz"


DatasetOption = Annotated[
    DatasetName,
    typer.Option(
        help="folder: pictures, or a sub-folder of them a class; npz: arrays `images` and, for classes, `labels`."
    ),
]
Size = Annotated[int | None, typer.Option(help="28, 32 or 64 pixels a side. Default: the arrays' own; a folder's 28.")]
Channels = Annotated[int | None, typer.Option(help="1 grey or 3 colours. Default: the arrays' own; a folder's 1.")]
