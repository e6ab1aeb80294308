"""One training stage in its folder: its lock, identity, log, checkpoints, progress, and how it stops.

A trainer keeps its own visible loop:

    with Stage.open(folder, identity, parts, steps, steps_in_epoch, options) as stage:
        for step in stage.steps():
            ...                                     # one update
            stage.count(loss=...)                   # sums over the epoch
            if stage.epoch_ends(step):
                stage.log_epoch(step, ...)          # means of the sums, and what else was measured
            stage.step_done(step)                   # saves when it is time, leaves when a signal asked for it
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from gan_denoise import __version__
from gan_denoise.cores import usable_cores
from gan_denoise.errors import DivergedError, InputError, Interrupted, LockedError, OutputError
from gan_denoise.files import write_atomic
from gan_denoise.study import checkpoint
from gan_denoise.study.progress import EpochProgress
from gan_denoise.study.runlog import RunLog

SAVE_EVERY = 200  # steps
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a stage is run. What changes the result's bits (seed, device, threads) belongs to its identity."""

    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    threads: int = 0  # 0 means one a usable core
    precision: str = "float32"  # or bfloat16: convolutions in half precision, weights and losses not
    resume: bool = False
    tensorboard: bool = False


@dataclass
class Stage:
    """An open stage; see the module's text. `step` counts finished steps over all epochs."""

    folder: Path
    parts: checkpoint.Parts
    total_steps: int
    epoch_steps: int
    log: RunLog
    progress: EpochProgress
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    stop_signal: int = 0

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        folder: Path,
        identity: dict[str, Any],
        parts: checkpoint.Parts,
        epochs: int,
        epoch_steps: int,
        epoch_images: int,
        options: Options,
    ) -> Iterator[Stage]:
        """Lock the folder, go on from its last checkpoint when asked to, and restore the signals at the end.

        Raises LockedError when another process holds it, OutputError when it holds a run and `resume` is not
        set, InputError when what it holds was trained differently, Interrupted when a signal asked to stop.
        """
        with _locked(folder), contextlib.ExitStack() as stack:
            progress = stack.enter_context(
                EpochProgress(folder, epochs, epoch_steps, epoch_images, options.tensorboard)
            )
            stage = cls(folder, parts, epochs * epoch_steps, epoch_steps, RunLog(folder / "log.jsonl"), progress)
            _check_identity(folder / "meta.json", identity, options.resume)
            stage._go_on()
            stack.enter_context(_stopping(stage._stop))
            try:
                yield stage
            except DivergedError as error:
                hint = "try another --seed or --batch; the last checkpoint is from before"
                raise DivergedError(f"step {stage.step}: {error.message}", hint) from error
            if stage.stop_signal:  # it came after the last step
                raise stage._interrupted()

    def steps(self) -> Iterator[int]:
        """The numbers of the steps that are left."""
        self.progress.start(self.step)
        yield from range(self.step, self.total_steps)

    def count(self, **values: float) -> None:
        """Add up numbers whose means over the epoch are logged. Raises DivergedError when one is not finite."""
        for name, value in values.items():
            if not np.isfinite(value):
                raise DivergedError(f"{name}: {value} found, a finite number wanted")
            self.sums[name] = self.sums.get(name, 0.0) + value

    def epoch_ends(self, step: int) -> bool:
        """Whether `step` is the last one of its epoch."""
        return (step + 1) % self.epoch_steps == 0

    def log_epoch(self, step: int, images: int, **measured: float) -> None:
        """Log the means over the epoch that ends with `step`, what was measured after it, and images/s."""
        seconds = self.sums.pop("seconds", 0.0) + time.monotonic() - self.started
        means = {name: value / self.epoch_steps for name, value in self.sums.items()}
        event = {**means, **measured, "images_per_s": images / seconds, "seconds": seconds}
        epoch = (step + 1) // self.epoch_steps
        event = {name: float(f"{value:.6g}") for name, value in event.items()}
        self.log.append(step=step + 1, epoch=epoch, **event)
        self.progress.epoch_done(epoch, event)
        self.sums = {}

    def step_done(self, step: int) -> None:
        """Save after an epoch, every so many steps, and when a signal asked to stop; then raise Interrupted."""
        self.step = step + 1
        self.progress.advance()
        ends = self.epoch_ends(step)
        if ends or self.step % SAVE_EVERY == 0 or self.stop_signal:
            self._save(new_epoch=ends)
        if self.stop_signal:
            raise self._interrupted()

    def _save(self, new_epoch: bool) -> None:
        now = time.monotonic()
        if not new_epoch:
            self.sums["seconds"] = self.sums.get("seconds", 0.0) + now - self.started
        self.started = now
        checkpoint.save(self.folder / "checkpoints", self.step, self.parts, {"sums": self.sums})

    def _go_on(self) -> None:
        saved = checkpoint.load_latest(self.folder / "checkpoints")
        if saved is not None:
            checkpoint.restore(self.parts, saved.tensors)
            self.step, self.sums = saved.step, dict(saved.notes["sums"])
        self.log.rewind(self.step)

    def _interrupted(self) -> Interrupted:
        hint = "the same command goes on (`train` wants --resume)"
        return Interrupted(f"stopped after step {self.step}, saved", hint, self.stop_signal)

    def _stop(self, number: int) -> None:
        self.stop_signal = number


def identity_of(config: dict[str, Any], config_sha256: str, data_sha256: str, options: Options) -> dict[str, Any]:
    """What two runs must share for their weights to be equal bit for bit."""
    return {
        "config": config,
        "config_sha256": config_sha256,
        "data_sha256": data_sha256,
        "seed": options.seed,
        "device": pick_device(options.device).type,
        "threads": options.threads or usable_cores(),
        "precision": options.precision,
        "torch": torch.__version__,
    }


def read_identity(folder: Path) -> dict[str, Any]:
    """The identity of the run in a stage's folder. Raises InputError when it is missing or damaged."""
    path = folder / "meta.json"
    try:
        identity: dict[str, Any] = json.loads(path.read_text())["identity"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: missing or damaged, a run's description wanted", "another --out starts anew"
        ) from error
    return identity


def pick_device(name: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda`. Raises InputError for `cuda` without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: no usable CUDA GPU found, one wanted", "--device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def prepare_torch(options: Options) -> torch.device:
    """Set threads and ask for repeatable kernels; returns the device."""
    device = pick_device(options.device)
    torch.set_num_threads(options.threads or usable_cores())
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return device


def training_precision(device: torch.device, options: Options) -> torch.autocast:
    """The context in which a step's networks run, as `options.precision` says."""
    half = options.precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, half, cache_enabled=False)  # weights change within a step


def on_device(network: Network, device: torch.device) -> Network:
    """The network on `device`, its convolutions' weights laid out channels last, which is faster on both kinds."""
    return network.to(device).to(memory_format=torch.channels_last)


def _check_identity(path: Path, identity: dict[str, Any], resume: bool) -> None:
    if path.exists():
        if not resume:
            raise OutputError(f"{path.parent}: holds a run", "--resume goes on with it, another --out starts anew")
        found = read_identity(path.parent)
        for name in identity:
            if found.get(name) != identity[name]:
                raise InputError(
                    f"{name}: the run in {path.parent} has {found.get(name)}, {identity[name]} was asked for",
                    "give the same options as before, or another --out",
                )
    else:
        circumstances = {
            "version": __version__,
            "commit": _git_commit(),
            "machine": machine_name(),
            "python": platform.python_version(),
        }
        write_atomic(path, json.dumps({"identity": identity, **circumstances}, indent=1) + "\n")


def machine_name() -> str:
    """The processor's name and the cores that this process may use."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {usable_cores()} cores"


def _git_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the kernel lets go when it dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}", "choose another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise LockedError(f"{folder}: process {lock.read().strip()} is writing to it", "wait for it") from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextlib.contextmanager
def _stopping(stop: Callable[[int], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls `stop`; a second one ends the process at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
