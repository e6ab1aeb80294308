"""Which trained networks of a run are compared: its final ones, or those that each epoch left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_denoise.errors import InputError
from gan_denoise.study.compare.statistics import JOINT, MEAN, NONE, SAMPLE
from gan_denoise.study.run.log import read_log
from gan_denoise.study.run.metadata import read_fingerprint


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The networks of a run after an epoch of their stage, each in a folder, and the ways in which they denoise."""

    run: str
    seed: int
    epoch: int
    denoisers: tuple[str, ...]
    gan: Path | None
    denoiser: Path | None
    log: Mapping[str, Any]  # what the stage logged after that epoch


def find_snapshots(folders: Sequence[Path], every_epoch: bool) -> list[Snapshot]:
    """What there is to compare in the folders of runs, in their order: the final networks, or those of every epoch.

    A generator and a denoiser of their own are `mean`, and if `every_epoch` `sample` too; those of the stage `join`
    are `joined`; a generator in a run without a denoiser is `none`, a denoiser alone is `mean`. Stages that are links
    to another run's belong to that one. Stages that saved no epochs, as the paper's, have their final networks alone.
    Raises InputError when a folder holds no stage, or two hold the same run and seed.
    """
    found: list[Snapshot] = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        ages = [*_apart(folder, every_epoch), *_joined(folder, every_epoch)]
        if not ages:
            raise InputError(f"{folder}: no stage of its own found, one or more wanted", "train the run first")
        if any((age.run, age.seed) == (ages[0].run, ages[0].seed) for age in found):
            raise InputError(f"{folder}: {ages[0].run} of seed {ages[0].seed} found twice, once wanted")
        found += ages
    return found


def _apart(folder: Path, every_epoch: bool) -> list[Snapshot]:
    gan, denoiser = folder / "gan", folder / "denoiser"
    if gan.is_symlink() or not (gan.is_dir() or denoiser.is_dir()):
        return []
    parts = [part for part in (gan, denoiser) if part.is_dir()]
    fingerprint = read_fingerprint(parts[0])
    names = set.intersection(*({path.name for path in part.glob("epochs/[0-9]*")} for part in parts))
    if not every_epoch or not names:
        return [_age(parts[0], fingerprint, _epochs(fingerprint), (MEAN,), gan, denoiser)]
    places = [(int(name), gan / "epochs" / name, denoiser / "epochs" / name) for name in sorted(names)]
    return [_age(parts[0], fingerprint, epoch, (MEAN, SAMPLE), *networks) for epoch, *networks in places]


def _joined(folder: Path, every_epoch: bool) -> list[Snapshot]:
    join = folder / "joint"
    places = sorted(join.glob("epochs/[0-9]*")) if every_epoch else [*join.glob("joined")]
    if not places:
        return []
    fingerprint = read_fingerprint(join)
    epochs = [int(place.name) if every_epoch else _epochs(fingerprint) for place in places]
    return [
        _age(join, fingerprint, epoch, (JOINT,), place / "gan", place / "denoiser")
        for epoch, place in zip(epochs, places, strict=True)
    ]


def _age(
    stage: Path, fingerprint: dict[str, Any], epoch: int, denoisers: tuple[str, ...], gan: Path, denoiser: Path
) -> Snapshot:
    seed = int(fingerprint["seed"])
    if not denoiser.is_dir():
        denoisers = (NONE,)
    elif not gan.is_dir():
        denoisers = (MEAN,)  # there is no image to draw near to
    return Snapshot(
        run=stage.parent.name.removesuffix(f"-{seed}"),
        seed=seed,
        epoch=epoch,
        denoisers=denoisers,
        gan=gan if gan.is_dir() else None,
        denoiser=denoiser if denoiser.is_dir() else None,
        log=next((event for event in read_log(stage / "log.jsonl") if event.get("epoch") == epoch), {}),
    )


def _epochs(fingerprint: dict[str, Any]) -> int:
    return int(fingerprint["config"]["epochs"])
