"""A training stage in its folder: lock, fingerprint, log, checkpoints, progress and signals.

A trainer has its own visible loop:

    with Stage.open(folder, fingerprint, modules, epochs, epoch_steps, epoch_images, options) as stage:
        for step in stage.steps():
            ...                                     # one update
            stage.accumulate(loss=...)              # sums over the epoch
            if stage.is_epoch_end(step):            # of many epochs: of some; stage.epoch names its files
                stage.log_epoch(step, ...)          # means of the sums since the last line, and measurements
            stage.end_step(step)                    # saves at intervals; raises Interrupted after a signal
        if stage.is_first:                          # of several ranks (see ranks.py), the one that saves
            ...
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from gan_denoise.errors import DivergedError, InputError, Interrupted, OutputError
from gan_denoise.export.run_folder import StageFolder
from gan_denoise.locks import exclusive_lock
from gan_denoise.machine import stop_signals_call
from gan_denoise.study.config import RunOptions
from gan_denoise.study.run import checkpoint, mode_collapse, ranks
from gan_denoise.study.run.device import warn_slow_bfloat16
from gan_denoise.study.run.log import RunLog
from gan_denoise.study.run.metadata import record_changes, verify_fingerprint
from gan_denoise.study.run.progress import EpochProgress
from gan_denoise.study.run.whole_batch import use_whole_batch

SAVE_EVERY = 200  # steps
MAX_REPORTS = 100  # lines in the log, samples and snapshots: of more epochs only every few have them


def report_interval(epochs: int) -> int:
    """The epochs between two lines of the log: 1 for up to MAX_REPORTS epochs."""
    return math.ceil(epochs / MAX_REPORTS)


@dataclass
class Stage:
    """An open stage; see the module docstring. `step` counts finished steps over all epochs."""

    folder: StageFolder
    modules: checkpoint.Modules
    total_steps: int
    epoch_steps: int
    report_intervals: tuple[int, ...]  # epochs; one that a number here divides is reported
    log: RunLog
    progress: EpochProgress
    step: int = 0
    epoch: int = 1  # the current one; keeps counting if --resume-inexact changes the steps of an epoch
    sums_start: int = 0  # the first step of the sums
    sums: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    stop_signal: int = 0  # that this rank received
    is_first: bool = field(default_factory=ranks.is_first)

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        folder: StageFolder,
        fingerprint: dict[str, Any],
        modules: checkpoint.Modules,
        epochs: int,
        epoch_steps: int,
        epoch_images: int,
        options: RunOptions,
    ) -> Iterator[Stage]:
        """Lock the folder, resume from its last checkpoint if there is one, and handle signals that stop it.

        Raises LockedError if another process holds the lock, OutputError if the folder holds a run and `resume` is not
        set or if memory runs out, InputError if the run has another fingerprint, and Interrupted after a signal.
        With several ranks the first one does this, and all stop together.
        """
        first = ranks.is_first()
        with (
            exclusive_lock(folder.path, "lock") if first else contextlib.nullcontext(),
            contextlib.ExitStack() as stack,
        ):
            tensorboard = options.tensorboard and first
            progress = stack.enter_context(EpochProgress(folder.path, epochs, epoch_steps, epoch_images, tensorboard))
            every = (report_interval(epochs), *([options.measure_every] if options.measure_every else []))
            stage = cls(folder, modules, epochs * epoch_steps, epoch_steps, every, RunLog(folder.log), progress)
            changed = ranks.from_first(lambda: verify_fingerprint(folder, fingerprint, options))
            ranks.check_same(fingerprint)
            stage._resume(exactly=not changed)
            if stage.step < stage.total_steps and first:  # else nothing will be trained
                warn_slow_bfloat16(options)
                record_changes(folder, fingerprint, changed, stage.step)
            for module in modules.values():
                if isinstance(module, nn.Module):
                    use_whole_batch(module)
            stack.enter_context(stop_signals_call(stage._stop, once=ranks.count() > 1))
            try:
                yield stage
            except DivergedError as error:
                hint = "try another --seed or --batch; the last checkpoint is from before the divergence"
                raise DivergedError(f"step {stage.step}: {error.message}", hint) from error
            except RuntimeError as error:  # torch.OutOfMemoryError on a GPU; a plain one on the CPU
                if not ("out of memory" in str(error) or "can't allocate memory" in str(error)):
                    raise
                batch = fingerprint["config"]["batch"]
                hint = f"--batch {max(batch // 2, 2)}; it changes the result, so it needs another --out"
                raise OutputError(f"step {stage.step}: not enough memory for a batch of {batch}", hint) from error
            stage.stop_signal = ranks.largest(stage.stop_signal)  # when all are here, and the weights saved
            if stage.stop_signal:  # a signal after the last step
                raise stage._interrupted()

    def steps(self) -> Iterator[int]:
        """The numbers of the remaining steps."""
        self.progress.start(self.step)
        yield from range(self.step, self.total_steps)

    def accumulate(self, **values: float) -> None:
        """Add values whose means over the epoch and the ranks are logged. Raises DivergedError if one is not finite."""
        means = ranks.average(torch.tensor([*values.values()], dtype=torch.float64)).tolist()
        for name, value in zip(values, means, strict=True):
            if not np.isfinite(value):
                raise DivergedError.expected(name, "a finite number", value)
            self.sums[name] = self.sums.get(name, 0.0) + value

    def is_epoch_end(self, step: int) -> bool:
        """Whether `step` is the last one of an epoch that is reported: the first rank measures, logs and saves then."""
        epoch, rest = divmod(step + 1, self.epoch_steps)
        is_reported = not rest and any(epoch % every == 0 for every in self.report_intervals)
        return self.is_first and (is_reported or step + 1 == self.total_steps)

    def log_epoch(self, step: int, images: int, **measured: float) -> None:
        """Log the means over the steps since the last line, the measurements after `step`, and images/s.

        `images` are those of an epoch.
        Warns of mode collapse if `inter_image_std` and `inter_image_std_real` are among the measurements.
        """
        seconds = self.sums.pop("seconds", 0.0) + time.monotonic() - self.started
        means = {name: value / (step + 1 - self.sums_start) for name, value in self.sums.items()}
        epochs = max(1, round((step + 1 - self.sums_start) / self.epoch_steps))
        event = {**means, **measured, "images_per_s": epochs * images / seconds, "seconds": seconds}
        event = {name: float(f"{value:.6g}") for name, value in event.items()}
        warning = mode_collapse.collapse_warning(event.get("inter_image_std"), event.get("inter_image_std_real"))
        self.log.append(step=step + 1, epoch=self.epoch, **event, **({"warning": warning} if warning else {}))
        self.progress.end_epoch(self.epoch, event, warning)
        self.sums, self.sums_start = {}, step + 1

    def end_step(self, step: int) -> None:
        """Save after a report, every SAVE_EVERY steps and after a signal; raises Interrupted after a signal."""
        self.step = step + 1
        self.epoch += self.step % self.epoch_steps == 0
        self.progress.advance()
        is_end = self.is_epoch_end(step)
        stop_signal = ranks.largest(self.stop_signal)
        if self.is_first and (is_end or self.step % SAVE_EVERY == 0 or stop_signal):
            self._save(new_epoch=is_end)
        if stop_signal:
            self.stop_signal = stop_signal
            ranks.wait()  # until the checkpoint is saved
            raise self._interrupted()

    def _save(self, new_epoch: bool) -> None:
        now = time.monotonic()
        if not new_epoch:
            self.sums["seconds"] = self.sums.get("seconds", 0.0) + now - self.started
        self.started = now
        trainer_state = {"epoch": self.epoch, "sums_start": self.sums_start, "sums": self.sums}
        checkpoint.save(self.folder.checkpoints, self.step, self.modules, trainer_state)

    def _resume(self, exactly: bool) -> None:
        saved = ranks.from_first(lambda: checkpoint.load_latest(self.folder.checkpoints))
        if saved is not None:
            try:
                checkpoint.restore(self.modules, saved.tensors)
            except RuntimeError as error:  # only with --resume-inexact
                hint = "give the sizes of the first start, or another --out"
                raise InputError.expected(
                    self.folder.path, "a checkpoint of the same networks", "other sizes", hint
                ) from error
            self.step, self.epoch, self.sums_start = saved.step, saved.trainer_state["epoch"], saved.step
            if exactly:  # else the epoch may have another length, and the sums other terms
                self.sums, self.sums_start = dict(saved.trainer_state["sums"]), saved.trainer_state["sums_start"]
        if self.is_first:
            self.log.rewind(self.step)

    def _interrupted(self) -> Interrupted:
        hint = "the same command resumes; for `train`, add --resume"
        return Interrupted(f"stopped after step {self.step}; checkpoint saved", hint, self.stop_signal)

    def _stop(self, number: int) -> None:
        self.stop_signal = number
