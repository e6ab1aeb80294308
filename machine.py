"""The machine: cores that this process may use, CPU, load, versions."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
CPUINFO = Path("/proc/cpuinfo")
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}  # as x86 and Arm call them there
PACKAGES = ("onnxruntime", "numpy", "scipy", "scikit-image", "PyWavelets", "scikit-learn", "bm3d", "torch", "openvino")

MEMBERSHIP = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def describe_machine(threads: int = 0) -> dict[str, Any]:
    """CPU, cores, threads, system, load and versions; `threads` 0 means one a usable core."""
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "threads": threads or usable_cores(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_1min": load_average(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def cpu_name() -> str:
    """The processor's name as the system gives it, or its architecture."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def computes_bfloat16() -> bool | None:
    """Whether the processor has instructions for bfloat16, or None where the system does not tell."""
    words = set(_cpuinfo().split())
    return bool(words & BFLOAT16) if words else None


def _cpuinfo() -> str:
    try:
        return CPUINFO.read_text()
    except OSError:
        return ""


def versions() -> dict[str, str]:
    """The versions of the installed packages that figures depend on."""
    return _installed(PACKAGES)


def runtimes_warning() -> str | None:
    """One line when two packages of onnxruntime are installed: they write the same files, and the later one wins."""
    found = _installed(RUNTIMES)
    if len(found) < 2:
        return None
    names = " and ".join(f"{package} {version}" for package, version in found.items())
    return f"onnxruntime: {names} found, one wanted; pip uninstall {' '.join(found)}, then install the one you want"


def _installed(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def load_average() -> float | None:
    """How many processes wanted to run, on average over the last minute, or None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def load_warning(load_1min: float | None, cores: int) -> str | None:
    """One line when other work takes more than a quarter of the cores, so that timings are not to be trusted."""
    if load_1min is None or load_1min <= cores / 4:
        return None
    return f"load: {load_1min:g} found on {cores} cores, {cores / 4:g} or less wanted; the times below are too long"


def usable_cores() -> int:
    """The number of cores that this process may run on at once, 1 or more.

    A container's limit is a quota of time, not a choice of cores: a thread more than it allows only makes all wait.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min(allowed, quota())))


def quota(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> float:
    """The cores' worth of time that the control groups allow, in version 1 or 2 of their files; inf without a limit."""
    limits = [math.inf]
    for read, controller in ((_version_2, ""), (_version_1, "cpu")):
        for folder in _groups(membership, mount, controller):
            with contextlib.suppress(OSError, ValueError):  # no such file: no limit here
                limits.append(read(folder))
    return min(limits)


def _groups(membership: Path, mount: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's group and of all above it; a limit of any of them holds."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            folder = Path(path.lstrip("/"))
            yield from (mount / controller / above for above in (folder, *folder.parents))


def _version_2(folder: Path) -> float:
    """Of `cpu.max`: "max 100000" or "150000 100000", microseconds of time in each period."""
    return _cores((folder / "cpu.max").read_text())


def _version_1(folder: Path) -> float:
    """Of `cpu.cfs_quota_us`, -1 for none, and `cpu.cfs_period_us`."""
    return _cores((folder / "cpu.cfs_quota_us").read_text() + " " + (folder / "cpu.cfs_period_us").read_text())


def _cores(text: str) -> float:
    time, period = text.split()
    return math.inf if time in ("max", "-1") else int(time) / int(period)


def machine_name() -> str:
    """The processor's name and the cores that this process may use."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {usable_cores()} cores"
