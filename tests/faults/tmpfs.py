"""Run a command with a small or read-only disk of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


def on_tmpfs(folder: Path, mount_options: str, *command: object) -> subprocess.CompletedProcess[str]:
    """Run the command with a private tmpfs at `folder`, then list the files there on stdout."""
    if shutil.which("unshare") is None or run("unshare", "-m", "true").returncode:
        pytest.skip("unshare: not installed, or no root")
    script = (
        'mount -t tmpfs -o "$1" none "$0" || exit 99; folder=$0; shift; "$@"; code=$?; ls -AR "$folder"; exit $code'
    )
    return run("unshare", "-m", "sh", "-c", script, folder, mount_options, *command)
