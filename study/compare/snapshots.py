"""Find the trained networks to compare: the final ones of a run, or one snapshot for each saved epoch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_denoise.errors import InputError
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.study.rows import JOINT, MEAN, NONE, SAMPLE
from gan_denoise.study.run.log import read_log


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The networks of a run after an epoch of a stage, the folder of each, and the denoisers to apply."""

    run: str
    seed: int
    epoch: int
    denoisers: tuple[str, ...]  # of MEAN, SAMPLE, JOINT, NONE, GAUSSIAN, NLM
    gan: Path | None
    denoiser: Path | None
    log: Mapping[str, Any]  # what the stage logged after that epoch


@dataclass(frozen=True, slots=True)
class Selection:
    """Which snapshots to compare, and by which denoisers beside the trained one."""

    every_epoch: bool = False  # else the final networks
    epochs: Collection[int] = ()  # of `every_epoch`, these alone; empty for all
    extra: tuple[str, ...] = ()  # of SAMPLE, GAUSSIAN, NLM

    def of_stage(self, stage: StageFolder) -> list[int]:
        """The saved epochs of a stage that are selected."""
        saved = stage.saved_epochs() if self.every_epoch else []
        return [epoch for epoch in saved if not self.epochs or epoch in self.epochs]


def find_snapshots(folders: Sequence[Path], selection: Selection) -> list[Snapshot]:
    """The networks to compare in the folders of runs, in their order: final, or one for each selected epoch.

    A generator of any epoch goes with the finished denoiser of its run: `mean`, and what the selection adds. The
    networks of the stage `joint` give `joint`; a generator without a denoiser gives `none`, a denoiser without a
    generator `mean`. Symlinked stages belong to the run that they point to and are skipped. Stages that saved no epochs
    have only their final networks; `missing_epochs` names what is missing. Raises InputError when a folder has no
    stage, or the same run and seed as another folder, and when there is no snapshot of the selected epochs.
    """
    snapshots: list[Snapshot] = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        run = RunFolder(folder)
        of_run = [*_separate_snapshots(run, selection), *_joint_snapshots(run, selection)]
        if not of_run:
            message = f"{folder}: no trained stage (symlinked stages do not count)"
            raise InputError(message, "train the run first: gan-denoise study run")
        first = of_run[0]
        if any((other.run, other.seed) == (first.run, first.seed) for other in snapshots):
            expected, got = "each run and seed once", f"{first.run} with seed {first.seed} a second time"
            raise InputError.expected(folder, expected, got, "give one of the two folders")
        snapshots += of_run
    return snapshots


def missing_epochs(snapshots: Sequence[Snapshot], wanted: Collection[int] = ()) -> dict[str, str]:
    """The earlier epochs of each run that have no snapshot, with the reason; joint training counts separately.

    Of `wanted` those that are earlier than the last snapshot; by default every epoch up to it.
    """
    epochs: dict[str, set[int]] = {}
    for snapshot in snapshots:
        joint = ", joint training" if JOINT in snapshot.denoisers else ""
        epochs.setdefault(f"{snapshot.run}, seed {snapshot.seed}{joint}", set()).add(snapshot.epoch)
    missing = {
        name: sorted(epoch for epoch in wanted or range(1, max(saved)) if epoch < max(saved) and epoch not in saved)
        for name, saved in epochs.items()
    }
    return {
        f"epoch{'s' * (len(gaps) > 1)} {_ranges(gaps)} of {name}": "weights not kept"
        for name, gaps in missing.items()
        if gaps
    }


def _ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers as text: 1 to 4, 7, 9."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


def trained_stages(folders: Sequence[Path]) -> list[StageFolder]:
    """The stages `gan`, `denoiser` and `joint` in the folders of runs."""
    runs = [RunFolder(path) for path in folders]
    return [stage for run in runs for stage in (run.gan, run.denoiser, run.joint) if stage.path.is_dir()]


def _separate_snapshots(run: RunFolder, selection: Selection) -> list[Snapshot]:
    """Snapshots of the stages `gan` and `denoiser`."""
    if run.gan.path.is_symlink():
        return []
    stages = [stage for stage in (run.gan, run.denoiser) if stage.path.is_dir()]
    if not stages:
        return []
    first, denoisers = stages[0], (MEAN, *selection.extra)
    epochs = selection.of_stage(first)
    if not epochs:
        _check_selected(first, selection)
        return [_snapshot(first, _last_epoch(first), denoisers, run.gan.path, run.denoiser.path)]
    if not run.gan.path.is_dir():
        return [_snapshot(first, epoch, denoisers, run.gan.path, first.epoch(epoch)) for epoch in epochs]
    return [_snapshot(first, epoch, denoisers, run.gan.epoch(epoch), run.denoiser.path) for epoch in epochs]


def _joint_snapshots(run: RunFolder, selection: Selection) -> list[Snapshot]:
    """Snapshots of the stage `joint`."""
    stage, denoisers = run.joint, (JOINT, *(name for name in selection.extra if name != SAMPLE))
    epochs = {epoch: RunFolder(stage.epoch(epoch)) for epoch in selection.of_stage(stage)}
    if not epochs and stage.final.path.is_dir():
        epochs = {_last_epoch(stage): stage.final}
    return [_snapshot(stage, epoch, denoisers, saved.gan.path, saved.denoiser.path) for epoch, saved in epochs.items()]


def _check_selected(stage: StageFolder, selection: Selection) -> None:
    """Raises InputError if epochs were named of which the stage has no snapshot, not even of its last one."""
    saved = stage.saved_epochs() or [_last_epoch(stage)]
    if selection.epochs and not set(selection.epochs) & set(saved):
        got = ", ".join(map(str, sorted(selection.epochs)))
        raise InputError.expected("--at", f"saved epochs of {stage.path}: {_ranges(saved)}", got)


def _snapshot(stage: StageFolder, epoch: int, denoisers: tuple[str, ...], gan: Path, denoiser: Path) -> Snapshot:
    fingerprint = stage.read_fingerprint()
    seed = int(fingerprint["seed"])
    if not denoiser.is_dir():
        denoisers = (NONE, *(name for name in denoisers[1:] if name != SAMPLE))
    elif not gan.is_dir():
        denoisers = (MEAN,)  # there are no generated images to tune another one on
    return Snapshot(
        run=stage.path.parent.name.removesuffix(f"-{seed}"),
        seed=seed,
        epoch=epoch,
        denoisers=denoisers,
        gan=gan if gan.is_dir() else None,
        denoiser=denoiser if denoiser.is_dir() else None,
        log=next((event for event in read_log(stage.log) if event.get("epoch") == epoch), {}),
    )


def _last_epoch(stage: StageFolder) -> int:
    return int(stage.read_fingerprint()["config"]["epochs"])
