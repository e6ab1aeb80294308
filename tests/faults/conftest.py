"""Fixtures of the fault tests."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz.py"
MUTATIONS = 2_000


@pytest.fixture
def fuzz(tmp_path: Path) -> Callable[..., None]:
    """Reads 2,000 mutations of a file in a process of its own, in which none may end, hang, or take a gigabyte."""

    def run(kind: str, file: Path, *more: str) -> None:
        command = [sys.executable, str(FUZZ), kind, str(file), str(MUTATIONS), str(tmp_path), *more]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, (done.returncode, done.stderr[-2_000:])
        actual = json.loads(done.stdout)
        assert actual["mutations"] == MUTATIONS
        assert actual["refused"] > MUTATIONS / 20
        assert actual["slowest_s"] < 5
        assert actual["peak_bytes"] < 1_000_000_000

    return run
