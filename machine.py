"""The machine: usable cores, CPU, load, versions of packages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")  # all are one module
PACKAGES = (*RUNTIMES, "numpy", "scipy", "scikit-image", "PyWavelets", "scikit-learn", "bm3d", "torch", "openvino")

CPUINFO = Path("/proc/cpuinfo")
SIMD = ("amx", "asimd", "avx", "bf16", "f16c", "fma", "i8mm", "neon", "sse4", "sve")  # how their flags start
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # in /proc/cpuinfo, on x86 and Arm
PROC_STAT = Path("/proc/stat")
BUSY_S = 0.5  # seconds in which the busy cores are measured
BUSY_FRACTION = 0.25  # of the cores; with more of them busy, timings are unreliable
IDLE = slice(3, 5)  # of the ticks: idle and iowait
Ticks = tuple[int, ...]
CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")
CGROUP_MOUNT = Path("/sys/fs/cgroup")


def describe_machine(threads: int = 0, provider: str = "cpu") -> dict[str, Any]:
    """CPU, cores, threads, what runs the model, system, load and package versions.

    `threads` 0 means one per available core; `provider` is one of `options.Provider`.
    """
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "threads": threads or usable_cores(),
        "provider": str(provider),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_1min": load_average(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def machine_name() -> str:
    """CPU name and usable cores."""
    return f"{cpu_name()}, {usable_cores()} cores"


# --- CPU and load -------------------------------------------------------------------------------


def cpu_name() -> str:
    """The CPU's model name from /proc/cpuinfo, or its architecture."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def processor_kind() -> str:
    """The CPU's name and its vector instructions: where both are equal, so are the bits that onnxruntime computes.

    The name alone is not enough, since virtual machines often hide it.
    """
    lines = (line.partition(":") for line in _cpuinfo().splitlines())
    flags = next((text.split() for name, _, text in lines if name.strip() in ("flags", "Features")), [])
    return " ".join([cpu_name(), *sorted(flag for flag in flags if flag.startswith(SIMD))])


def computes_bfloat16() -> bool | None:
    """Whether the CPU has bfloat16 instructions; None if the system does not say."""
    words = set(_cpuinfo().split())
    return bool(words & BFLOAT16_FLAGS) if words else None


def _cpuinfo() -> str:
    try:
        return CPUINFO.read_text()
    except OSError:
        return ""


def load_average() -> float | None:
    """Average number of runnable processes over the last minute; None if the system does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def busy_cores(seconds: float = BUSY_S) -> float | None:
    """How many of the machine's cores other work keeps busy, time stolen by other guests included.

    Measured over `seconds` in which this thread sleeps: the load average would still count work that has ended. Where
    the system has no /proc/stat it is the load average; None if the system does not say.
    """
    before = _cpu_ticks()
    if before is None:
        return load_average()
    time.sleep(seconds)
    return busy_between(before, _cpu_ticks() or before, os.cpu_count() or 1)


def busy_between(before: Ticks, after: Ticks, cores: int) -> float:
    """Busy cores between two readings of the CPU time of all `cores`: (user, nice, system, idle, iowait, ...)."""
    ticks = [max(end - start, 0) for start, end in zip(before, after, strict=True)]
    total = sum(ticks)
    return round(cores * (total - sum(ticks[IDLE])) / total, 2) if total else 0.0


def _cpu_ticks() -> Ticks | None:
    try:
        first, *ticks = PROC_STAT.read_text().split("\n", 1)[0].split()
        return tuple(map(int, ticks[:8])) if first == "cpu" and len(ticks) >= 8 else None  # the rest is part of user
    except (OSError, ValueError):
        return None


def load_warning(busy: float | None, cores: int) -> str | None:
    """One line if other work keeps more than a quarter of the cores busy, which makes timings unreliable."""
    limit = cores * BUSY_FRACTION
    if busy is None or busy <= limit:
        return None
    return f"load: expected {limit:g} or fewer busy cores of {cores}, got {busy:g}; times would be too long"


# --- packages -----------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Versions of the installed packages that affect results."""
    return installed_versions(PACKAGES)


def version(package: str) -> str | None:
    """The version of an installed package; None if it is not installed under this name."""
    return installed_versions([package]).get(package)


def runtimes_warning() -> str | None:
    """One line if several onnxruntime packages are installed: they overwrite each other's files."""
    installed = installed_versions(RUNTIMES)
    if len(installed) < 2:
        return None
    names = " and ".join(f"{package} {version}" for package, version in installed.items())
    fix = f"pip uninstall {' '.join(installed)}, then install the one to use"
    return f"onnxruntime: expected one package, got {names}; {fix}"


def installed_versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of those of `packages` that are installed."""
    installed = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[package] = importlib.metadata.version(package)
    return installed


# --- signals ------------------------------------------------------------------------------------


def stop_signals() -> list[int]:
    """The signals that end a command in order: SIGINT, SIGTERM, and SIGHUP unless it is ignored, as by nohup."""
    hangup = hangup_signal()
    kept = [] if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN else [hangup]
    return [signal.SIGINT, signal.SIGTERM, *kept]


def hangup_signal() -> int | None:
    """SIGHUP, which a closed terminal sends, often twice; None on Windows."""
    return getattr(signal, "SIGHUP", None)


@contextlib.contextmanager
def stop_signals_call(stop: Callable[[int], None], once: bool = False) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP calls `stop`; a second one ends the process at once, except SIGHUP.

    With `once` a second one does nothing: a scheduler signals all processes, and torchrun passes its own on to them.
    """
    before = {number: signal.getsignal(number) for number in stop_signals()}

    def handle(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN if once or number == hangup_signal() else signal.SIG_DFL)
        stop(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- processes of torchrun ----------------------------------------------------------------------


def torchrun_count() -> int:
    """The number of processes that torchrun started, on all machines; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def torchrun_rank() -> int:
    """The number of this process of torchrun, from 0; 0 without torchrun."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def torchrun_local() -> tuple[int, int]:
    """The number of this process of torchrun on its machine, from 0, and the number of those there."""
    return int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])


# --- cores --------------------------------------------------------------------------------------


def usable_cores() -> int:
    """The number of cores that this process can use at once, 1 or more: its CPU affinity, limited by cgroup quotas.

    A container's limit is a quota of CPU time. More threads than it allows only make all threads wait.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min(allowed, cpu_quota())))


def cpu_quota(membership: Path = CGROUP_MEMBERSHIP, mount: Path = CGROUP_MOUNT) -> float:
    """The lowest cgroup limit on CPU time, in cores, from cgroup v1 or v2 files; inf without a limit."""
    limits = [math.inf]
    for read_quota, controller in ((_quota_v2, ""), (_quota_v1, "cpu")):
        for folder in _cgroup_folders(membership, mount, controller):
            with contextlib.suppress(OSError, ValueError):  # a folder without these files has no limit
                limits.append(read_quota(folder))
    return min(limits)


def _cgroup_folders(membership: Path, mount: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup and of its parents; each may set a limit."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            folder = Path(path.lstrip("/"))
            yield from (mount / controller / parent for parent in (folder, *folder.parents))


def _quota_v2(folder: Path) -> float:
    """Cores allowed by `cpu.max`: "max 100000" or "150000 100000", microseconds of quota and period."""
    quota, period = (folder / "cpu.max").read_text().split()
    return _cores_from_quota(quota, period)


def _quota_v1(folder: Path) -> float:
    """Cores allowed by `cpu.cfs_quota_us` (-1 for no limit) and `cpu.cfs_period_us`."""
    quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
    return _cores_from_quota(quota, period)


def _cores_from_quota(quota: str, period: str) -> float:
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)
