"""Which trained networks of a run are compared: its final ones, or those that each epoch left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_denoise.errors import InputError
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.study.compare.statistics import JOINT, MEAN, NONE, SAMPLE
from gan_denoise.study.run.log import read_log


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

    A generator and a denoiser of their own are `mean`, and if `every_epoch` `sample` too; those of the stage `joint`
    are `joint`; a generator in a run without a denoiser is `none`, a denoiser alone is `mean`. Stages that are links
    to another run's belong to that one. Stages that saved no epochs, as the paper's, have their final networks alone.
    Raises InputError when a folder holds no stage, or two hold the same run and seed.
    """
    found: list[Snapshot] = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        run = RunFolder(folder)
        snapshots = [*_separate(run, every_epoch), *_joint(run, every_epoch)]
        if not snapshots:
            raise InputError(f"{folder}: no stage of its own found, one or more wanted", "train the run first")
        first = snapshots[0]
        if any((other.run, other.seed) == (first.run, first.seed) for other in found):
            raise InputError(f"{folder}: {first.run} of seed {first.seed} found twice, once wanted")
        found += snapshots
    return found


def _separate(run: RunFolder, every_epoch: bool) -> list[Snapshot]:
    if run.gan.path.is_symlink():
        return []
    stages = [stage for stage in (run.gan, run.denoiser) if stage.path.is_dir()]
    if not stages:
        return []
    epochs = sorted(set.intersection(*(set(stage.saved_epochs()) for stage in stages)))
    if not every_epoch or not epochs:
        return [_snapshot(stages[0], _epochs(stages[0]), (MEAN,), run.gan.path, run.denoiser.path)]
    return [
        _snapshot(stages[0], epoch, (MEAN, SAMPLE), run.gan.epoch(epoch), run.denoiser.epoch(epoch)) for epoch in epochs
    ]


def _joint(run: RunFolder, every_epoch: bool) -> list[Snapshot]:
    stage = run.joint
    if every_epoch:
        places = {epoch: RunFolder(stage.epoch(epoch)) for epoch in stage.saved_epochs()}
    else:
        places = {_epochs(stage): stage.final} if stage.final.path.is_dir() else {}
    return [_snapshot(stage, epoch, (JOINT,), place.gan.path, place.denoiser.path) for epoch, place in places.items()]


def _snapshot(stage: StageFolder, epoch: int, denoisers: tuple[str, ...], gan: Path, denoiser: Path) -> Snapshot:
    seed = int(stage.read_fingerprint()["seed"])
    if not denoiser.is_dir():
        denoisers = (NONE,)
    elif not gan.is_dir():
        denoisers = (MEAN,)  # there is no image to draw near to
    return Snapshot(
        run=stage.path.parent.name.removesuffix(f"-{seed}"),
        seed=seed,
        epoch=epoch,
        denoisers=denoisers,
        gan=gan if gan.is_dir() else None,
        denoiser=denoiser if denoiser.is_dir() else None,
        log=next((event for event in read_log(stage.log) if event.get("epoch") == epoch), {}),
    )


def _epochs(stage: StageFolder) -> int:
    return int(stage.read_fingerprint()["config"]["epochs"])
