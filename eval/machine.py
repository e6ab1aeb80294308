"""The machine that a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_denoise.cores import usable_cores

RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
CPUINFO = Path("/proc/cpuinfo")
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}  # as x86 and Arm call them there
PACKAGES = ("onnxruntime", "numpy", "scipy", "scikit-image", "PyWavelets", "scikit-learn", "bm3d", "torch", "openvino")


def describe_machine(threads: int = 0) -> dict[str, Any]:
    """CPU, cores, threads, system, load and versions; `threads` 0 means one a usable core."""
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "threads": threads or usable_cores(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_1min": load(),
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


def load() -> float | None:
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
