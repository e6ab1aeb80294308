"""The machine that a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from gan_denoise.cores import usable_cores

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
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The versions of the installed packages that figures depend on."""
    found = {}
    for package in PACKAGES:
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
