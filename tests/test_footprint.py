"""Commands write only their output and their cache, and make no network connections; checked by system calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_helpers import FASTER, cold_command, run_command
from PIL import Image

from gan_denoise.data import sources

WRITES = "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
CALLS = "connect,sendto,sendmsg,sendmmsg"
CALLED = re.compile(r".*AF_INET.*")
NAME = re.compile(r'"([^"]+)"')
PLACES = ("work/out", "work/.out", "home/.cache/gan-denoise", "temporary")
Traced = Callable[..., str]


@pytest.fixture
def traced(tmp_path: Path) -> Traced:
    """Run a command as a user with an empty home folder, and return the trace of its system calls."""
    if shutil.which("strace") is None:
        pytest.skip("strace: not installed")
    for folder in ("home", "work", "temporary"):
        (tmp_path / folder).mkdir()

    def run(*arguments: object, **more: str) -> str:
        trace = tmp_path / "trace"
        strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-o", str(trace), "-e", f"trace={WRITES},{CALLS}"]
        # Only these variables: onnxruntime sends no telemetry if it finds those of a CI.
        environment = {name: text for name, text in os.environ.items() if name.startswith(("PATH", "LANG", "OPENBLAS"))}
        environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary"), **more}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [*strace, *cold_command(FASTER), *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2_000:]
        return trace.read_text()

    return run


def written(trace: str, cwd: Path) -> set[str]:
    """The paths that were opened for writing, created, renamed or linked, without devices."""
    paths = set()
    for line in trace.splitlines():
        call = line.split("(")[0].split()[-1]
        reads = "open" in call and not re.search(r"O_(WRONLY|RDWR|CREAT)", line)
        if reads or call not in WRITES.split(",") or "EEXIST" in line:
            continue
        base = re.search(r"(?:AT_FDCWD|\d+)<([^>]*)>", line.split('"')[0])
        paths |= {os.path.normpath(os.path.join(base[1] if base else cwd, name)) for name in NAME.findall(line)}
    return {path for path in paths if not path.startswith(("/dev/", "/proc/"))}


COMMANDS = {
    "generate": ("generate", "-n", 97, "--out", "out"),
    "denoise": ("denoise", "../photo.png", "--out", "out"),
    "eval": ("eval", "ffd", "../images", "--json"),
    "train": ("train", "gan", "--preset", "smoke", "--threads", 1, "--out", "out"),
    "study": ("study", "run", "--preset", "smoke", "--threads", 1, "--out", "out"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_writes_its_output_and_its_cache_and_connects_to_nothing(
    traced: Traced, tmp_path: Path, name: str
) -> None:
    if name == "denoise":
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "photo.png")
    if name == "eval":
        run_command("generate", "-n", "97", "--out", tmp_path / "images", check=True)
    if name in ("train", "study"):
        shutil.copytree(sources.fetch_fashion_mnist(), tmp_path / "home/.cache/gan-denoise/fashion-mnist")
    trace = traced(*COMMANDS[name])
    assert not CALLED.findall(trace)
    paths = written(trace, tmp_path / "work")
    unexpected = [path for path in paths if not path.startswith(tuple(f"{tmp_path}/{place}" for place in PLACES))]
    assert not unexpected
    out = str(tmp_path / "work" / "out")
    assert (name == "eval") == (not any(path.startswith(out) for path in paths))


def test_files_of_telemetry_would_be_detected(traced: Traced, tmp_path: Path) -> None:
    trace = traced("generate", "--out", "out", ORT_DISABLE_TELEMETRY="0")
    assert any(path.startswith(f"{tmp_path}/home/.cache/Microsoft") for path in written(trace, tmp_path / "work"))
