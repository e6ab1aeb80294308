"""Command-line options that several commands of `train` and `study` share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gan_denoise.errors import importing
from gan_denoise.options import MACHINE, MAX_SEED, OUTPUT
from gan_denoise.study.overrides import run_name
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
    """What convolutions and matrix products compute in while training."""

    float32 = "float32"
    bfloat16 = "bfloat16"


PresetOption = Annotated[
    PresetName,
    typer.Option(
        help="smoke, smoke-best: seconds, for tests; quick: minutes; paper: the paper's networks and budget; "
        "best: class-conditional GAN, blind denoiser and joint training, the paper's budget."
    ),
]
EpochsOption = Annotated[int | None, typer.Option(help="Epochs. Default: the preset's.")]
BatchOption = Annotated[int | None, typer.Option(help="Batch size. Default: the preset's.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a field of the configuration; repeatable. Tuples: widths=64,64. Nested: network.widths=32,64.",
    ),
]
SetStageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="STAGE.FIELD=VALUE",
        help="Change a field of gan, denoiser or joint, such as gan.learning_rate=1e-3; repeatable.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Read the configuration from JSON, as --dry-run prints it. Missing fields are the preset's.",
    ),
]
SeedOrConfigOption = Annotated[
    int | None, typer.Option(min=0, max=MAX_SEED, help="Random seed. Default: that of --config, or 0.")
]
DeviceOption = Annotated[Device, typer.Option(help="auto: a GPU if there is one.", rich_help_panel=MACHINE)]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        help="bfloat16: twice as fast on CPUs with native bfloat16, much slower on others.", rich_help_panel=MACHINE
    ),
]
PairsOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="NOISY CLEAN", help="Train on real noise: two folders of images with equal names."),
]
OutOption = Annotated[
    Path | None, typer.Option(help="Run folder. Default: runs/PRESET[-CHANGES].", rich_help_panel=OUTPUT)
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Resume the interrupted training in the run folder.")]
ResumeInexactOption = Annotated[
    bool,
    typer.Option("--resume-inexact", help="Resume even if options, data or torch changed; recorded in meta.json."),
]
MeasureEveryOption = Annotated[
    int,
    typer.Option(
        "--measure-every",
        min=0,
        metavar="N",
        help="Log the distance of 1,000 generated images to held-out training images every N epochs.",
        show_default="never",
    ),
]
TensorBoardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Also write TensorBoard event files.", rich_help_panel=OUTPUT)
]
TrainOnlyOption = Annotated[
    bool, typer.Option("--train-only", help="End after the training; the same command without it does the rest.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the configuration as JSON and exit.", rich_help_panel=OUTPUT)
]


def without_options(
    command: Callable[..., None], names: tuple[str, ...], replaced: Mapping[str, Any] | None = None
) -> Callable[..., None]:
    """The command with fewer options: `names` keep their defaults, `replaced` get other annotations.

    typer reads a command's signature, so one function serves several commands that differ in a few options.
    """

    @functools.wraps(command)
    def shorter(**options: Any) -> None:
        command(**options)

    parameters = [
        parameter.replace(annotation=(replaced or {}).get(name, parameter.annotation))
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if name not in names
    ]
    shorter.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    shorter.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return shorter


def run_folder(out: Path | None, preset: PresetName, changes: Mapping[str, str]) -> Path:
    """The folder of a run: `out`, or `runs/` and a name made of the preset and the changed fields."""
    return out if out is not None else Path("runs") / run_name(str(preset.value), dict(changes))


def run_options(
    seed: int,
    device: Device,
    threads: int,
    precision: Precision,
    resume: bool,
    tensorboard: bool,
    resume_inexact: bool = False,
    measure_every: int = 0,
) -> RunOptions:
    """The options of a stage."""
    from gan_denoise.study.config import RunOptions

    return RunOptions(
        seed=seed,
        device=device.value,
        threads=threads,
        precision=precision.value,
        resume=resume,
        resume_inexact=resume_inexact,
        tensorboard=tensorboard,
        measure_every=measure_every,
    )


def check_torch() -> None:
    """Raises InputError, which names the extra, if torch is not installed."""
    with importing("torch", "train"):
        import torch  # noqa: F401
