"""How many processor cores this process may use: its affinity, and the quota of its control groups."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


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
