"""The options that several commands of `train` and `study` have, and what becomes of them."""

from __future__ import annotations

from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gan_denoise.errors import missing_extra
from gan_denoise.options import MACHINE, OUTPUT
from gan_denoise.study.presets import PRESETS

if TYPE_CHECKING:
    from gan_denoise.study.config import RunOptions


PresetName = Enum("PresetName", {name: name for name in PRESETS})  # type: ignore[misc]


class Device(StrEnum):
    """Where to train."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(StrEnum):
    """What convolutions compute in while training."""

    float32 = "float32"
    bfloat16 = "bfloat16"


PresetOption = Annotated[
    PresetName,
    typer.Option(
        help="smoke, smoke-best: seconds, a test; quick: minutes; paper: the paper's networks and budget; best: ours."
    ),
]
EpochsOption = Annotated[int | None, typer.Option(help="Default: the preset's.")]
BatchOption = Annotated[int | None, typer.Option(help="Images a step. Default: the preset's.")]
DeviceOption = Annotated[Device, typer.Option(help="auto takes a GPU when there is one.", rich_help_panel=MACHINE)]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        help="bfloat16 is twice as fast where the processor has it, and slow where not.", rich_help_panel=MACHINE
    ),
]
PairsOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="NOISY CLEAN", help="Train on real noise: two folders of images of the same names."),
]
OutOption = Annotated[Path | None, typer.Option(help="The run's folder. Default: runs/PRESET.", rich_help_panel=OUTPUT)]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on where an earlier run in the folder stopped.")]
ResumeInexactOption = Annotated[
    bool,
    typer.Option(
        "--resume-inexact", help="Go on although options, data or torch differ from before; the run records it."
    ),
]
TensorBoardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Write event files too.", rich_help_panel=OUTPUT)
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the resolved configuration and stop.", rich_help_panel=OUTPUT)
]


def run_folder(out: Path | None, preset: PresetName) -> Path:
    """Where a run goes: `out`, or a folder of the preset's name."""
    return out if out is not None else Path("runs") / str(preset.value)


def run_options(
    seed: int,
    device: Device,
    threads: int,
    precision: Precision,
    resume: bool,
    tensorboard: bool,
    resume_inexact: bool = False,
) -> RunOptions:
    """What the options say about how a stage is run."""
    from gan_denoise.study.config import RunOptions

    return RunOptions(
        seed=seed,
        device=device.value,
        threads=threads,
        precision=precision.value,
        resume=resume,
        resume_inexact=resume_inexact,
        tensorboard=tensorboard,
    )


def check_torch() -> None:
    """Raises InputError, which names the extra, when torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise missing_extra("torch", "train") from error
