"""Usable cores (CPU affinity, cgroup quotas) and the name of the machine."""

import math
import platform
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gan_denoise import machine

COUNT = "from gan_denoise.machine import usable_cores; print(usable_cores())"


def count(before: str = "") -> int:
    """The usable cores of a new process that first runs `before`."""
    done = subprocess.run([sys.executable, "-c", f"{before}\n{COUNT}"], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_affinity_is_followed() -> None:
    assert count("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})") == 1


@pytest.fixture
def group() -> Iterator[Path]:
    """A real cgroup with a quota of one and a half cores."""
    parents = [
        folder for folder in (machine.CGROUP_MOUNT / "cpu", machine.CGROUP_MOUNT) if (folder / "cgroup.procs").exists()
    ]
    if not parents:
        pytest.skip("no cgroups here")
    folder = parents[0] / f"gan-denoise-{uuid.uuid4().hex}"
    try:
        folder.mkdir()
        if (folder / "cpu.max").exists():
            (folder / "cpu.max").write_text("150000 100000")
        else:
            (folder / "cpu.cfs_quota_us").write_text("150000")
    except OSError as error:
        if folder.exists():
            folder.rmdir()
        pytest.skip(f"no cgroup can be created here: {error}")
    yield folder
    folder.rmdir()


@pytest.mark.skipif(machine.usable_cores() < 2, reason="needs two cores")
def test_a_real_quota_is_followed(group: Path) -> None:
    join_group = f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
    assert count() == machine.usable_cores() >= 2
    assert count(join_group) == 1


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "250000 100000"}, 2.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),  # the parent's limit applies
        ("0::/\n", {"cpu.max": "300000 100000"}, 3),  # inside a container
        ("0::/a\n", {"a/cpu.max": "max 100000"}, math.inf),
        ("0::/a\n", {}, math.inf),
        (
            "3:memory:/m\n2:cpu,cpuacct:/a\n0::/\n",
            {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("2:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, math.inf),
        ("0::/a\n", {"a/cpu.max": "nonsense"}, math.inf),
        ("2:cpuset:/a\n", {"cpuset/a/cpu.cfs_quota_us": "1", "cpuset/a/cpu.cfs_period_us": "1"}, math.inf),
    ],
)
def test_quotas_are_read_as_the_kernel_writes_them(
    tmp_path: Path, membership: str, files: dict[str, str], cores: float
) -> None:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert machine.cpu_quota(tmp_path / "membership", tmp_path) == cores


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert machine.cpu_quota(tmp_path / "missing", tmp_path) == math.inf


def test_less_than_one_core_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_quota", lambda: 0.1)
    assert machine.usable_cores() == 1


def test_the_machine_is_named_by_model_and_usable_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.cpu_name() in (platform.processor(), platform.machine())  # nothing to read: the architecture
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: One 9000 @ 1: fast\nmodel name : Two\n")
    assert machine.cpu_name() == "One 9000 @ 1: fast"
    assert machine.machine_name() == f"One 9000 @ 1: fast, {machine.usable_cores()} cores"
